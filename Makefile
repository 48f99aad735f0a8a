# wg-office: `make demo` shows it, `make test` proves it. `make help` lists the rest.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
CACHE := $(or $(WG_OFFICE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/wg-office)
VENV := .venv/.ready
PIP := --quiet --disable-pip-version-check --require-hashes --only-binary :all:
ENV := eval "$$(.venv/bin/python -m toolchain env)"
SHELL_FILES := $(shell git ls-files -z -- hostside lab .ci | xargs -0 -r grep -lE -m1 '^\#!.*\b(ba)?sh\b')

.PHONY: help
help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

$(VENV): requirements-dev.txt
	@echo "python: installing the packages of requirements-dev.txt into .venv, each by its hash" >&2
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install $(PIP) -r requirements-dev.txt >&2
	@touch $@

.PHONY: venv
venv: $(VENV) ## the Python environment, in .venv

.PHONY: lock
lock: $(VENV) ## versions and hashes of all that pip installs, from the .in files (LOCK=--upgrade: the newest)
	@for file in requirements requirements-dev bench/requirements; do .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" $(LOCK) $$file.in -o $$file.txt || exit 1; done

.PHONY: toolchain
toolchain: $(VENV) ## Pulumi with its plugins: found, fetched or built
	@.venv/bin/python -m toolchain install

.PHONY: lab
lab: $(VENV) ## the virtual office, up
	@.venv/bin/python -m lab up

.PHONY: env
env: $(VENV) ## for eval: a shell in the demo's environment
	@.venv/bin/python -m toolchain install >&2
	@.venv/bin/python -m toolchain env

.PHONY: demo
demo: toolchain lab ## from nothing to a developer's ping of a device in the office
	@$(ENV) && .venv/bin/python -m lab.demo

.PHONY: try
try: $(VENV) ## your own environment file on machines made for it, tried with packets: make try FILE=configs/dev.yaml (TRY=--json)
	@.venv/bin/python -m toolchain install >&2
	@.venv/bin/python -m lab try $(or $(FILE),$(error give the file: make try FILE=configs/dev.yaml)) $(TRY)

# Debian packages that the checks and tests use beyond Python's; the lab installs its own.
TEST_PACKAGES := shellcheck wireguard-tools openssh-server openssh-client procps iproute2 nftables iptables conntrack firewalld dbus mawk \
	chromium zbar-tools fonts-wqy-microhei

.PHONY: packages
packages: ## the system's packages for checks and tests, by apt
	@missing=$$(for package in $(TEST_PACKAGES); do dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q ' installed' || echo $$package; done | xargs); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "the tests need packages: sudo apt-get install --no-install-recommends $$missing" >&2; exit 1; fi; \
	echo "packages: installing $$missing" >&2; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >.apt.log 2>&1 \
		|| { tail -n 5 .apt.log >&2; exit 1; }; rm -f .apt.log

.PHONY: check
check: $(VENV) packages ## style, types, shell and CI examples; and that all tests are found
	@.venv/bin/ruff check . && .venv/bin/ruff format --check --quiet . && .venv/bin/mypy && .venv/bin/mypy tests/lab/conftest.py
	@shellcheck --exclude=SC1091 $(SHELL_FILES)
	@shellcheck --shell=bash --external-sources --check-sourced <(printf '. %s\n' hostside/wg-office.d/*.sh)
	@.venv/bin/python -c 'from wg_office.hosts.hostscript import scripts; print(scripts().host, end="")' | shellcheck -
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows docs/ci/github.yml
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci docs/ci/gitlab.yml
	@.venv/bin/python -m pytest tests --collect-only -qq -p no:cacheprovider >.collected 2>&1 || { cat .collected >&2; exit 1; }; rm -f .collected

.PHONY: format
format: $(VENV) ## put the Python files into shape
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

.PHONY: test-unit
test-unit: $(VENV) packages ## the tests that need neither the Pulumi engine nor the lab
	@.venv/bin/python -m pytest tests/unit -q

# What runs in one process; the rest of tests/engine, and tests/lab, have the program in other processes and on other machines.
COVERED := tests/unit tests/engine/test_office_mocks.py

.PHONY: coverage
coverage: $(VENV) packages ## the branches of wg_office and components that no test takes; fails where they are more than today
	@mkdir -p .state && .venv/bin/coverage run -m pytest $(COVERED) -q && .venv/bin/coverage report

.PHONY: test-engine
test-engine: toolchain packages ## the tests that need the Pulumi engine
	@$(ENV) && .venv/bin/python -m pytest tests/engine -q

.PHONY: test-lab
test-lab: toolchain lab packages ## the tests that need the lab
	@$(ENV) && .venv/bin/python -m pytest tests/lab -q $(FAULTS:%=--ignore=%)

# What is done to hosts half-way through a change. In a lab of its own, whose hosts have three releases: z the main one, a the oldest, c the newest.
FAULTS := tests/lab/test_faults.py tests/lab/test_faults_reboot.py tests/lab/test_faults_pulumi.py
MIXED := LAB_NAME=mixed LAB_PORT_BASE=$$(( $(or $(LAB_PORT_BASE),22000) + 100 ))

.PHONY: test-faults
test-faults: toolchain packages ## the fault table, on hosts of three releases
	@$(ENV) && export $(MIXED) && .venv/bin/python -m lab up --release a=bullseye --release c=trixie >/dev/null \
		&& .venv/bin/python -m pytest $(FAULTS) -m "not matrix" --durations=15; status=$$?; .venv/bin/python -m lab down && exit $$status

SEEDS ?= 20

.PHONY: test-random
test-random: $(VENV) packages ## random networks, the access table against packets: make test-random SEEDS=20
	@SEEDS=$(SEEDS) .venv/bin/python -m pytest tests/lab/test_random_offices.py --durations=5

# Two at once: each is a third of an hour on one processor.
.PHONY: test-without-vm
test-without-vm: toolchain packages ## the tests that need no virtual machine
	@$(ENV) && mkdir -p .state && { .venv/bin/python -m pytest tests/engine $(COVERED:%=--ignore=%) --durations=15 >.state/engine.log 2>&1 & engine=$$!; \
	.venv/bin/coverage run -m pytest $(COVERED) --durations=15 && .venv/bin/coverage report; status=$$?; \
	.venv/bin/python -m pytest tests/lab -m "not vm and not matrix" --durations=15 || status=1; \
	wait $$engine || status=1; cat .state/engine.log; exit $$status; }

# Two labs side by side: each has one emulated processor. What needs none takes a third of the time, and is done before they are.
.PHONY: test
test: packages toolchain lab ## all tests but those that test-matrix alone runs
	@$(MAKE) -s test-faults >.state/faults.log 2>&1 & faults=$$!; nice -n 10 $(MAKE) -s test-without-vm >.state/without-vm.log 2>&1 & others=$$!; \
	echo "meanwhile: the fault table in .state/faults.log, and what needs no virtual machine in .state/without-vm.log" >&2; \
	$(ENV) && .venv/bin/python -m pytest tests/lab -m "vm and not matrix" $(FAULTS:%=--ignore=%) --durations=15; status=$$?; \
	wait $$others || status=1; cat .state/without-vm.log; wait $$faults || status=1; cat .state/faults.log; exit $$status

RELEASES ?= bullseye bookworm trixie
# What depends on a host's release.
HOST_TESTS := $(FAULTS) $(addprefix tests/lab/test_,firewall_backends.py access_packets.py at_the_office.py host_script.py main_job.py lab_itself.py status.py \
	hub_by_name.py takeover_on_hosts.py adopt_on_hosts.py)

.PHONY: test-matrix
test-matrix: packages toolchain ## the tests of hosts, with all hosts on each release in turn
	@$(ENV) && export $(MIXED) && for release in $(RELEASES); do \
		.venv/bin/python -m lab down && .venv/bin/python -m lab up $$(printf -- "--release %s=$$release " z a c r1) >/dev/null \
		&& .venv/bin/python -m pytest $(HOST_TESTS) || exit 1; \
	done; .venv/bin/python -m lab down
	@.venv/bin/python -m pytest tests/lab/test_trial_packets.py && $(ENV) && .venv/bin/python -m pytest tests/lab/test_first_minute.py \
		&& .venv/bin/python -m pytest tests/lab/test_bootstrap_over_ssh.py

.PHONY: bench
bench: toolchain ## what a change costs, beside the engine's floor and an Ansible playbook
	@.venv/bin/python -m pip install $(PIP) -r bench/requirements.txt >&2
	@$(ENV) && export LAB_NAME=bench LAB_PORT_BASE=$$(( $(or $(LAB_PORT_BASE),22000) + 200 )) && .venv/bin/python -m bench $(BENCH); \
		status=$$?; .venv/bin/python -m lab down && exit $$status

.PHONY: clean
clean: ## take away all that this clone has made, the running lab included; the cache stays
	@if [ -x .venv/bin/python ]; then .venv/bin/python -m lab clean; for lab in mixed bench try; do LAB_NAME=$$lab .venv/bin/python -m lab clean; done; fi
	@rm -rf .state .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build wg_office.egg-info
	@find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: clean-cache
clean-cache: ## empty the download and build cache that all clones share
	@rm -rf "$(CACHE)"
