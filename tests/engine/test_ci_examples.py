"""docs/ci, run: the commands of both examples as they are printed, in a clone with a change, against the toolchain and a server for hosts.

What the CI service itself does (checkout, secrets, the comment's other end, Pulumi's installation) is stood in for.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from landings import CLONE, lay
from sshd import LOOPBACK, Sshd, free_port, running_sshd

GITHUB, GITLAB = (yaml.safe_load((CLONE / "docs" / "ci" / f"{name}.yml").read_text()) for name in ("github", "gitlab"))
FILE = "configs/office.yaml"
NEWCOMER = {"name": "g", "address": "10.70.0.9", "access": ["beijing"]}

# Each writes what it was asked for, and answers as the service would: comments are kept in a file.
STUBS = {
    "gh": """
import json, os, pathlib, sys
store, words = pathlib.Path(os.environ["COMMENTS_FILE"]), sys.argv[1:]
kept = json.loads(store.read_text())
if "--method" not in words:
    marker = words[words.index("--jq") + 1].split('startswith("')[1].split('")')[0]
    print("\\n".join(str(at) for at, body in enumerate(kept) if body.startswith(marker)))
    sys.exit()
url, body = words[3], pathlib.Path(words[words.index("--field") + 1].removeprefix("body=@")).read_text()
if words[2] == "PATCH":
    assert "/issues/comments/" in url, url
    kept[int(url.rpartition("/")[2])] = body
else:
    assert url.endswith("/issues/7/comments"), url
    kept.append(body)
store.write_text(json.dumps(kept))
""",
    "curl": """
import json, os, pathlib, sys
words = sys.argv[1:]
if words[-1] == "https://get.pulumi.com":
    sys.exit()
store = pathlib.Path(os.environ["COMMENTS_FILE"])
kept = json.loads(store.read_text())
assert "PRIVATE-TOKEN: token" in words
if "--request" not in words:
    print(json.dumps([{"id": at, "body": body} for at, body in enumerate(kept)]))
    sys.exit()
body = pathlib.Path(words[words.index("--data-urlencode") + 1].removeprefix("body@")).read_text()
if words[words.index("--request") + 1] == "PUT":
    kept[int(words[-1].rpartition("/")[2])] = body
else:
    assert words[-1].endswith("/merge_requests/7/notes"), words
    kept.append(body)
store.write_text(json.dumps(kept))
""",
    "pip": "",
}


@dataclass
class Service:
    """A CI service: a folder for the checkout, and the variables of a job."""

    checkout: Path
    environment: dict[str, str]
    comments: Path
    said: list[str] = field(default_factory=list)

    def run(self, script: str, shell: str, **variables: str) -> int:
        """One step."""
        done = subprocess.run(
            ["bash", *shell.split(), "-c", script],
            cwd=self.checkout,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.said.append(done.stdout)
        return done.returncode

    def told(self) -> list[str]:
        """The comments there are."""
        found: list[str] = json.loads(self.comments.read_text())
        return found

    def git(self, *words: str) -> None:
        own = ["-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *own, *words], cwd=self.checkout, check=True, capture_output=True)

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Edit the environment file, and commit."""
        file = self.checkout / FILE
        env = json.loads(file.read_text())
        edit(env)
        file.write_text(json.dumps(env, indent=1))
        self.git("commit", "-qam", "x")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Sshd]:
    """One server on two ports, which takes every description and does nothing."""
    (tmp_path / "hosts").mkdir()
    yield from running_sshd(tmp_path / "hosts", f"ListenAddress {LOOPBACK}:{free_port()}\nForceCommand cat >/dev/null\n")


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """A bucket of a server that speaks S3, as a backend's URL."""
    port = free_port()
    with (tmp_path / "s3.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)], stdout=log, stderr=log)
    try:
        _make_bucket(f"http://{LOOPBACK}:{port}/pulumi-state", server, tmp_path / "s3.log")
        yield f"s3://pulumi-state?endpoint={LOOPBACK}:{port}&s3ForcePathStyle=true&disableSSL=true&region=us-east-1"
    finally:
        server.terminate()
        server.wait()


def _make_bucket(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(url, method="PUT")):
                return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture
def service(tmp_path: Path, hosts: Sshd, toolchain_environment: dict[str, str], request: pytest.FixtureRequest) -> Service:
    """A clone of a repository with the program and a deployed-to-be office, on a branch with one developer more.

    Its state is in a folder; with the parameter "s3" in a bucket.
    """
    in_bucket = getattr(request, "param", "") == "s3"
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in STUBS.items():
        executable(commands / name, f"#!{CLONE}/.venv/bin/python\n{text}")
    # What `python -m venv` makes: a Python with the packages, and a pip that has nothing left to do.
    venv = f"mkdir -p .venv/bin; cp {commands}/python {commands}/pip .venv/bin/; exit 0"
    executable(commands / "python", f'#!/bin/bash\nif [ "$*" = "-m venv .venv" ]; then {venv}; fi\nexec {CLONE}/.venv/bin/python "$@"\n')
    (tmp_path / "comments").write_text("[]")
    environment = {
        **toolchain_environment,
        "PATH": f"{commands}{os.pathsep}{toolchain_environment['PATH']}",
        "PULUMI_BACKEND_URL": request.getfixturevalue("bucket") if in_bucket else f"file://{tmp_path / 'state'}",
        **({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"} if in_bucket else {}),
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
        "PULUMI_STACK": "office",
        "ENVIRONMENT_FILE": FILE,
        "COMMENTS_FILE": str(tmp_path / "comments"),
    }
    (tmp_path / "state").mkdir()
    made = Service(tmp_path / "origin", environment, tmp_path / "comments")
    fill(made, hosts)
    made.git("clone", "-q", str(made.checkout), str(tmp_path / "checkout"))
    made.checkout = tmp_path / "checkout"
    made.git("checkout", "-q", "-b", "topic")
    made.change(lambda env: env["developers"].append(NEWCOMER))
    return made


def executable(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def fill(origin: Service, hosts: Sshd) -> None:
    """The repository: the program, a stack, and an environment file."""
    folder = origin.checkout
    (folder / "configs").mkdir(parents=True)
    lay(CLONE, folder)
    ports = [hosts.port, *map(int, re.findall(rf"{LOOPBACK}:(\d+)", hosts.extra))]
    hub, gateway = ({"host": LOOPBACK, "port": port, "user": hosts.user, "host_key": hosts.host_key} for port in ports)
    lan = {"cidr": "192.168.200.0/24", "address": "192.168.200.248"}
    env = {
        "environment": "office",
        "network": {"cidr": "10.70.0.0/16"},
        "hub": {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": hub},
        "gateways": [{"name": "c", "site": "beijing", "address": "10.70.0.3", "lan": lan, "return_path": "masquerade", "ssh": gateway}],
        "policy": {"protected": {"developers": ["e"]}},
        "developers": [{"name": "e", "address": "10.70.0.4", "access": ["beijing"]}],
    }
    (folder / FILE).write_text(json.dumps(env, indent=1))
    (folder / ".gitignore").write_text(".venv\n__pycache__\n.cache\n")
    (folder / ".venv").symlink_to(CLONE / ".venv")
    assert origin.run('pulumi stack init "$PULUMI_STACK"', "-e") == 0, origin.said
    (folder / ".venv").unlink()
    origin.git("init", "-q", "-b", "main")
    origin.git("add", "-A")
    origin.git("commit", "-qm", "x")


# --- GitHub ----------------------------------------------------------------------------------------------------------------------------

EXPRESSIONS = {
    "github.base_ref": "main",
    "github.token": "token",
    "github.repository": "o/r",
    "github.event.pull_request.number": "7",
}


def steps(job: str) -> dict[str, Mapping[str, Any]]:
    return {step["name"]: step for step in GITHUB["jobs"][job]["steps"] if "run" in step}


def _evaluated(expression: re.Match[str]) -> str:
    return EXPRESSIONS[expression[1]]


def step(service: Service, step: Mapping[str, Any], **secrets: str) -> int:
    """As a runner does it, which puts values for expressions in the step's variables; there are none in its commands."""
    variables = {
        name: re.sub(r"\$\{\{ ([\w.]+) \}\}", _evaluated, str(value)) for name, value in step.get("env", {}).items() if name not in secrets
    }
    assert "${{" not in step["run"]
    return service.run(step["run"], "-e", **variables, **secrets)


def test_github_comments_once_and_keeps_the_comment_up_to_date(service: Service) -> None:
    review = steps("review")
    assert list(review) == ["Packages", "Faults, and statements that do not hold", "Difference", "Comment"]
    assert [step(service, each) for each in review.values()] == [0, 0, 0, 0], service.said
    (comment,) = service.told()
    assert comment.startswith("<!-- wg-office-diff -->\n### wg-office: office: 1 person, ")
    assert "+ g comes: 10.70.0.9" in comment

    service.change(lambda env: env.update(policy={}, developers=[NEWCOMER]))
    assert [step(service, each) for each in review.values()] == [0, 0, 1, 0], "the guard stops the merge, and the reviewer is told"
    (comment,) = service.told()
    assert "developer e goes, and is protected" in comment
    assert "- e goes: 10.70.0.4" in comment


@pytest.mark.parametrize("service", ["s3"], indirect=True)
def test_github_previews_and_deploys_with_its_state_in_a_bucket(service: Service, hosts: Sshd, tmp_path: Path) -> None:
    preview, deploy = steps("preview"), steps("deploy")
    assert [step(service, each) for each in preview.values()] == [0, 0], service.said
    assert "# g, developer" not in service.said[-1], "the text of a host that is new is what `render` is for"
    assert "dev_g_conf" in service.said[-1]
    assert [step(service, each, OPERATOR_KEY=hosts.private_key) for each in deploy.values()] == [0, 0], service.said
    assert "z-state created" in service.said[-1]
    assert "PUT /pulumi-state/.pulumi/stacks/wg-office/office.json" in (tmp_path / "s3.log").read_text()
    assert list((tmp_path / "state").iterdir()) == []


# --- GitLab ----------------------------------------------------------------------------------------------------------------------------

MERGE_REQUEST = {
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_API_V4_URL": "https://gitlab.example.net/api/v4",
    "CI_PROJECT_ID": "1",
    "CI_MERGE_REQUEST_IID": "7",
    "NOTES_TOKEN": "token",
}


def job(service: Service, name: str, **variables: str) -> int:
    """As a runner does it: before_script and script in one shell, after_script in another, whatever came of the first."""
    own = GITLAB[name]
    whole = {**GITLAB.get(own.get("extends", ""), {}), **own}
    status = service.run("\n".join([*whole["before_script"], *whole["script"]]), "-eo pipefail", **MERGE_REQUEST, **variables)
    assert service.run("\n".join(whole.get("after_script", [])), "-eo pipefail", **MERGE_REQUEST, **variables) == 0, service.said
    return status


def test_gitlab_notes_once_and_keeps_the_note_up_to_date(service: Service) -> None:
    assert job(service, "review") == 0, service.said
    (note,) = service.told()
    assert note.startswith("<!-- wg-office-diff -->\n### wg-office: office: 1 person, ")
    service.change(lambda env: env.update(policy={}, developers=[NEWCOMER]))
    assert job(service, "review") == 1
    (note,) = service.told()
    assert "developer e goes, and is protected" in note


def test_gitlab_previews_and_deploys(service: Service, hosts: Sshd) -> None:
    assert job(service, "preview") == 0, service.said
    assert "dev_g_conf" in service.said[-2]
    key = service.checkout.parent / "operator"
    key.write_text(hosts.private_key)
    assert job(service, "up", OPERATOR_KEY=str(key)) == 0, service.said
    assert "z-state created" in service.said[-2]
