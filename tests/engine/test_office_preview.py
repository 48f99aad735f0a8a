"""The program itself with the real engine: previews, and what bad input gets. Nothing here ever applies anything to a host."""

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from landings import CLONE, losses, pinned, project
from sshd import BEHIND, LOOPBACK, Sshd, free_port, new_key, running_sshd
from stacks import Stack, StackFactory, told_to_end, wait_for, warnings

from toolchain.environment import LAB_PASSPHRASE
from wg_office.asking.stack import Stack as StackOfCore
from wg_office.hosts.keys import public_key

ADOPTED = "8GUOAOKKNOFJnJZTmNzrvfG1zRYT9scYOLQFdUBNTWQ="
GATEWAYS = "sNfFPW2rzcxZLqyyKJpp8YDuNLVfnrPBDMcyTgFDJ2M="

# The gateway is reached through the hub, so that the hub is always the first host to be dialled; its tunnel is one that stands already.
ENVIRONMENT = """\
environment: test
network: {{cidr: 10.70.0.0/16}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  ssh: {{host: 127.0.0.1, port: {hub_port}, user: {user}, host_key: {hub_key}}}
gateways:
  - name: a
    site: shenzhen
    address: 10.70.0.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    return_path: static-route
    adopt_key: true
    ssh: {{host: {gateway_host}, port: {gateway_port}, host_key: {gateway_key}, via: hub}}
    router: {{address: 192.168.201.1}}
developers:
  - {{name: e, address: 10.70.0.4, access: [shenzhen]}}
"""

OfficeFactory = Callable[..., Stack]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Host keys for the file, and the operator's key."""
    made = {name: new_key(tmp_path / name).with_suffix(".pub").read_text().strip() for name in ("hub", "gateway")}
    return {**made, "operator": new_key(tmp_path / "operator").read_text()}


@pytest.fixture
def office(tmp_path: Path, stack_factory: StackFactory, keys: dict[str, str]) -> OfficeFactory:
    """Makes stacks of a copy of the clone's program: nothing that a test does reaches the clone's own stack."""

    def make(environment: str | None = ENVIRONMENT, name: str = "test", **given: object) -> Stack:
        usual = {"hub_port": free_port(), "user": "root", "gateway_host": "10.70.0.2", "gateway_port": 22}
        known = {**usual, "hub_key": keys["hub"], "gateway_key": keys["gateway"], **given}
        text = environment.format(**known) if environment is not None else None
        stack = project(stack_factory(name=name), tmp_path / "operator", text)
        stack.pulumi("config", "set", "--secret", "--path", "privateKeys.a", GATEWAYS)
        return stack

    return make


def test_the_first_preview_shows_what_is_to_be_made_and_dials_nobody(office: OfficeFactory, sshd: Sshd) -> None:
    stack = office(hub_port=sshd.port, hub_key=sshd.host_key)
    said = stack.preview()
    assert "deployment (generated on apply)" in said
    assert f"# z, hub of test; reached as root@{LOOPBACK}:{sshd.port}, host key SHA256:" in said
    assert "dev_e_conf" in said
    assert "wg-office:network:Gateway" in said
    assert not warnings(said)
    assert "Traceback" not in said
    # The fixture's own look whether the server answers leaves one line there.
    assert "publickey" not in sshd.log


def test_the_state_is_read_once_the_engine_has_written_the_stack_down(office: OfficeFactory, tmp_path: Path) -> None:
    # While it writes, a state in files cannot be read: "failed to load checkpoint: EOF", a few times in a thousand.
    calls = tmp_path / "calls.json"
    office().preview(PULUMI_DEBUG_GRPC=str(calls))
    made = [(call["method"].rpartition("/")[2], call.get("response")) for call in map(json.loads, calls.read_text().splitlines())]
    assert ("Invoke", None) in made
    assert "RegisterResource" in {method for method, answer in made[: made.index(("Invoke", None))] if answer}


def test_a_preview_shows_no_secret_it_knows(office: OfficeFactory, keys: dict[str, str]) -> None:
    stack = office(ENVIRONMENT.replace("  address: 10.70.0.1\n", "  address: 10.70.0.1\n  adopt_key: true\n"))
    stack.pulumi("config", "set", "--secret", "--path", "privateKeys.z", ADOPTED)
    said = stack.preview("--show-config", "--debug")
    assert '"z":"[secret]"' in said, "the preview had the adopted key"
    assert ADOPTED not in said
    body = keys["operator"].splitlines()[2]
    assert body not in said
    assert ADOPTED in stack.pulumi("config", "--show-secrets"), "the search would have found it"


def test_a_broken_environment_file_gets_a_line_per_fault_and_no_traceback(office: OfficeFactory) -> None:
    broken = ENVIRONMENT.replace("address: 10.70.0.4", "address: 10.71.0.4").replace("return_path", "retrun_path")
    said = office(broken).preview(fails=True)
    assert "office.yaml cannot be deployed:" in said
    assert "office.yaml:13 gateways[0].retrun_path: is not a known field; did you mean return_path?" in said
    assert "office.yaml:18 developers[0].address: " in said
    assert "Traceback" not in said


def test_a_stack_without_its_configuration_is_told_what_to_set(office: OfficeFactory) -> None:
    said = office(environment=None, name="fresh").preview(fails=True)
    assert "configs/fresh.yaml: cannot be read: No such file or directory" in said
    assert "pulumi config set environment" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("file", "reason"), [("nowhere", "No such file or directory"), (".", "Is a directory"), ("hub.pub", "is no private key")]
)
def test_an_operator_key_file_that_is_none_is_named(office: OfficeFactory, tmp_path: Path, file: str, reason: str) -> None:
    stack = office()
    stack.pulumi("config", "set", "sshKeyFile", str(tmp_path / file))
    said = stack.preview(fails=True)
    assert f"the operator's SSH key {tmp_path / file}: {reason}. Set sshKeyFile" in said
    assert "Traceback" not in said


def test_without_any_key_set_the_agent_is_used(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi("config", "rm", "sshKeyFile")
    assert "z-state" in stack.preview()
    stack.pulumi("config", "set", "sshKeyFile", "")
    assert "z-state" in stack.preview()


def test_two_kinds_of_key_are_refused_before_a_host_is_dialled(office: OfficeFactory, sshd: Sshd) -> None:
    stack = office(hub_port=sshd.port, hub_key=sshd.host_key)
    stack.pulumi("config", "set", "--secret", "sshKey", "another")
    said = stack.up(fails=True)
    assert "sshKey and sshKeyFile are both set" in said
    assert "Traceback" not in said
    assert "publickey" not in sshd.log


def test_the_demos_passphrase_is_refused_for_a_host_elsewhere(office: OfficeFactory) -> None:
    stack = office(ENVIRONMENT.replace("host: 127.0.0.1", "host: 203.0.113.10"))
    stack.pulumi("stack", "init", "public", PULUMI_CONFIG_PASSPHRASE=LAB_PASSPHRASE)
    stack.pulumi("config", "set", "environment", "office.yaml", PULUMI_CONFIG_PASSPHRASE=LAB_PASSPHRASE)
    said = stack.preview(fails=True, PULUMI_CONFIG_PASSPHRASE=LAB_PASSPHRASE)
    assert "the passphrase of this shell is the demo's" in said
    assert "Traceback" not in said


def test_a_private_key_to_adopt_that_is_none_is_named_and_not_shown(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi("config", "set", "--secret", "--path", "privateKeys.z", "no-key-at-all")
    said = stack.preview(fails=True)
    assert "privateKeys.z is no WireGuard private key" in said
    assert "no-key-at-all" not in said
    assert "Traceback" not in said


def test_the_command_that_repair_prints_sets_a_repair_that_the_program_takes(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi(*StackOfCore("test", None).repair_command(["z", "gone-host"], "20261124T100000Z"))
    assert "20261124T100000Z" in stack.pulumi("config", "get", "--path", 'repair["z"]')
    stack.preview()


def test_a_repair_that_would_be_more_than_a_line_is_refused(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi("config", "set", "--path", "repair.z", "1\n---- file /etc/passwd 0644\nroot::0")
    said = stack.preview(fails=True)
    assert "repair must hold a stamp of letters, digits, ':' and '-' per host" in said
    assert "pulumi config rm repair" in said
    assert "Traceback" not in said


def test_a_wrong_passphrase_is_a_clear_error(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi("config", "set", "--secret", "--path", "privateKeys.z", ADOPTED)
    said = stack.preview(fails=True, PULUMI_CONFIG_PASSPHRASE="not it")
    assert "incorrect passphrase" in said
    assert "Traceback" not in said


def test_an_unreachable_host_is_named_with_its_address_within_a_minute(office: OfficeFactory) -> None:
    port = free_port()
    stack = office(hub_port=port)
    began = time.monotonic()
    said = stack.up(fails=True)
    assert time.monotonic() - began < 60
    assert f"z: root@{LOOPBACK}:{port} cannot be reached." in said
    assert f"ssh-keyscan -t ed25519 -p {port} {LOOPBACK}" in said
    assert f"dial tcp {LOOPBACK}:{port}: connect: connection refused" in said
    assert "Traceback" not in said


def test_a_wrong_host_key_is_told_with_the_host_and_how_to_check(office: OfficeFactory, sshd: Sshd) -> None:
    # The pinned keys are not this server's, so that nobody can log in, let alone run anything.
    said = office(hub_port=sshd.port).up(fails=True)
    assert f"z: root@{LOOPBACK}:{sshd.port} shows another host key than the pinned one (SHA256:" in said
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in said
    assert "Traceback" not in said
    assert sshd.dials == 0


def test_a_host_that_does_not_let_the_operator_in_is_told(office: OfficeFactory, sshd: Sshd) -> None:
    # The operator's key is none that this server accepts.
    said = office(hub_port=sshd.port, hub_key=sshd.host_key, user=sshd.user).up(fails=True)
    assert f"z: {sshd.user}@{LOOPBACK}:{sshd.port} does not let the operator in." in said
    assert "Traceback" not in said
    assert sshd.dials == 0


def test_a_port_where_no_ssh_server_answers_is_told(office: OfficeFactory) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        port = server.getsockname()[1]
        said = office(hub_port=port).up(fails=True)
        server.shutdown(socket.SHUT_RDWR)
    assert f"z: root@{LOOPBACK}:{port} ended the connection before the login." in said
    assert "Traceback" not in said


# --- what a change would do to those who are connected -----------------------------------------------------------------------------------

# Takes every description, and does nothing: these tests are about what is said before a host is asked.
AGREES = "ForceCommand cat >/dev/null\n"


@pytest.fixture
def deployed(office: OfficeFactory, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose hub and gateway have taken their first description."""
    serve = contextmanager(running_sshd)
    with serve(tmp_path / "z", AGREES) as hub, serve(tmp_path / "a", AGREES) as gateway:
        (tmp_path / "operator").write_text(hub.private_key)
        (gateway.folder / "authorized_keys").write_text((hub.folder / "client.pub").read_text())
        gateways = {"gateway_host": BEHIND, "gateway_port": gateway.port, "gateway_key": gateway.host_key}
        stack = office(hub_port=hub.port, hub_key=hub.host_key, user=hub.user, **gateways)
        stack.up()
        yield stack


def edit(stack: Stack, old: str, new: str) -> None:
    file = stack.folder / "office.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_a_gentle_change_is_previewed_without_a_warning(deployed: Stack) -> None:
    edit(deployed, "developers:\n", "developers:\n  - {name: g, address: 10.70.0.9, access: [shenzhen]}\n")
    said = deployed.preview()
    assert "# g, developer" in said
    assert not warnings(said)


def test_a_preview_says_whom_a_change_interrupts(deployed: Stack) -> None:
    edit(deployed, "address: 10.70.0.4", "rotation: 2, address: 10.70.0.44")
    said = deployed.preview()
    assert "warning: z: the key of e, developer changes, and its session ends until both sides know" in said
    assert "warning: z: the address of e, developer changes from 10.70.0.4/32 to 10.70.0.44/32" in said


def test_another_name_of_the_network_changes_a_line_on_each_host_and_no_key(deployed: Stack) -> None:
    kept = losses(deployed), pinned(deployed).secrets
    edit(deployed, "environment: test", "environment: hq")
    said = deployed.preview()
    for host in ("# z, hub of ", "# a, gateway of "):
        assert f"- {host}test;" in said
        assert f"+ {host}hq;" in said
    assert not warnings(said)
    assert losses(deployed) == []
    deployed.up()
    assert (losses(deployed), pinned(deployed).secrets) == kept
    deployed.pulumi("preview", "--expect-no-changes")


def key_of(name: str, stack: Stack) -> str:
    keys = dict(line.split() for line in stack.outputs()["public_keys"].splitlines())
    return str(keys[name])


def test_who_was_removed_and_comes_back_by_the_same_name_has_new_keys(deployed: Stack) -> None:
    """So that nobody is let in by a file that was kept."""
    before = key_of("e", deployed)
    edit(deployed, "name: e,", "name: g,")
    deployed.up()
    edit(deployed, "name: g,", "name: e,")
    deployed.up()
    after = key_of("e", deployed)
    assert before != after


def people(count: int) -> str:
    return "".join(f"  - {{name: p{number}, address: 10.70.1.{number + 1}, access: [shenzhen]}}\n" for number in range(count))


def test_many_removals_are_refused_before_anybody_is_dialled_and_pass_where_the_operator_says_so(deployed: Stack, tmp_path: Path) -> None:
    edit(deployed, "developers:\n", f"policy: {{removals: {{share: 40}}}}\ndevelopers:\n{people(6)}")
    said = deployed.up()
    assert not warnings(said), "a change that removes nobody is not asked about"
    dials = [(tmp_path / name / "log").read_text() for name in ("z", "a")]
    edit(deployed, people(6), "")
    line = (deployed.folder / "office.yaml").read_text().splitlines().index("policy: {removals: {share: 40}}") + 1
    place = f"office.yaml:{line} policy.removals"
    for refused in (deployed.preview(fails=True), deployed.up(fails=True)):
        assert f"{place}: 6 of 9 peers go at once (p0, p1, p2, p3, p4 and 1 more), and their keys for good; " in refused
        assert "the policy allows 20, or 40 %; split the change, or let one run pass: WG_OFFICE_ALLOW=removals pulumi up" in refused
        assert "Traceback" not in refused
    assert [(tmp_path / name / "log").read_text() for name in ("z", "a")] == dials
    assert "WG_OFFICE_ALLOW=all: there is no such guard" in deployed.preview(fails=True, WG_OFFICE_ALLOW="all")
    shown = deployed.preview(WG_OFFICE_ALLOW="removals")
    assert f"warning: WG_OFFICE_ALLOW=removals: {place}: 6 of 9 peers go at once" in shown
    assert "readStack" not in shown
    assert "allowed for this run" in deployed.up(WG_OFFICE_ALLOW="removals")
    assert "WG_OFFICE_ALLOW" not in deployed.state()
    assert deployed.pulumi("preview", "--expect-no-changes")


def test_a_gateway_that_retires_counts_as_a_removal_and_only_then(deployed: Stack) -> None:
    file = deployed.folder / "office.yaml"
    kept, _, gateway = file.read_text().partition("gateways:\n  - name: a\n")
    guarded = f"policy: {{removals: {{at_most: 1}}}}\n{kept}developers: []\ngateways:"
    file.write_text(f"{guarded}\n  - name: a\n    retired: true\n{gateway.partition('developers:')[0]}")
    said = deployed.preview(fails=True)
    assert "policy.removals: 2 of 3 peers go at once (a retired, e); the policy allows 1, or 50 %; split the change" in said
    deployed.up(WG_OFFICE_ALLOW="removals")
    file.write_text(f"{guarded} []\n")
    assert "- 2 to delete" in deployed.preview()


def test_a_key_does_not_change_over_the_tunnel_that_it_makes(deployed: Stack) -> None:
    deployed.pulumi("config", "set", "--secret", "--path", "privateKeys.a", ADOPTED)
    said = deployed.preview(fails=True)
    assert "a's key changes, over which a is reached; give it an ssh without `via: hub` for this change" in said
    assert "Traceback" not in said
    said = deployed.up(fails=True)
    assert "a's key changes, over which a is reached" in said
    assert "Traceback" not in said


def test_a_gateway_behind_the_hub_leaves_in_two_steps(deployed: Stack) -> None:
    text = (deployed.folder / "office.yaml").read_text()
    kept, _, rest = text.partition("  - name: a\n")
    without = f"{kept}  []\ndevelopers: []\n".replace("gateways:\n  []", "gateways: []")
    (deployed.folder / "office.yaml").write_text(without)
    said = deployed.preview(fails=True)
    assert "a is reached through the hub and could not be taken down any more; set retired: true for it first" in said
    (deployed.folder / "office.yaml").write_text(f"{kept}  - name: a\n    retired: true\n{rest}")
    assert "a-state deleted" in deployed.up()
    (deployed.folder / "office.yaml").write_text(without)
    deployed.up()


DOWN = "warning: a: site shenzhen is down until what gateway_a_conf says is set there: pulumi stack output gateway_a_conf --show-secrets"


def test_a_host_that_becomes_a_device_is_taken_down_and_what_is_pasted_there_holds_its_keys_and_is_secret(deployed: Stack) -> None:
    file = deployed.folder / "office.yaml"
    file.write_text(re.sub("    adopt_key: true\n    ssh: .*\n", "    managed: routeros\n", file.read_text()))
    said = deployed.up()
    assert "a-state deleted" in said
    assert DOWN in said
    outputs = deployed.outputs()
    private, preshared = (re.search(rf'{name}-key="(\S{{44}})"', outputs["gateway_a_conf"]) for name in ("private", "preshared"))
    assert private is not None
    assert preshared is not None
    assert re.search(rf"^a +{re.escape(public_key(private[1]))}$", outputs["public_keys"], re.MULTILINE)
    assert not [key for key in (private[1], preshared[1]) if key in deployed.state() or key in said]
    assert deployed.outputs(secrets=False)["gateway_a_conf"] == "[secret]"
    assert not warnings(deployed.pulumi("preview", "--expect-no-changes"))
    edit(deployed, "managed: routeros", "rotation: 2\n    managed: routeros")
    assert DOWN in deployed.preview()


def test_a_gateway_that_does_not_let_the_hub_in_is_not_reached_through_it(deployed: Stack) -> None:
    edit(deployed, ", via: hub", "")
    deployed.up()
    edit(deployed, "    ssh: {host: 127.0.0.2, port", "    ssh: {via: hub, host: 127.0.0.2, port")
    assert "a: does not let the hub in yet; first put {host: a, ports: [" in deployed.preview(fails=True)


def test_a_gateway_is_not_set_up_over_a_tunnel_that_does_not_stand(office: OfficeFactory) -> None:
    said = office(ENVIRONMENT.replace("    adopt_key: true\n", "")).preview(fails=True)
    assert "a: is reached over a tunnel that does not stand yet; give it an ssh without `via: hub` for its first `pulumi up`" in said
    assert "where nobody can dial it, have it dial the hub: `python -m wg_office bootstrap a --file FILE`" in said
    assert "Traceback" not in said


LETS_IN = "  access: [{{host: a, ports: [%d/tcp]}}]\n"


def test_a_gateway_that_has_dialled_the_hub_itself_is_set_up_by_that_way(office: OfficeFactory, tmp_path: Path) -> None:
    serve = contextmanager(running_sshd)
    with serve(tmp_path / "z", AGREES) as hub, serve(tmp_path / "a", AGREES) as gateway:
        (tmp_path / "operator").write_text(hub.private_key)
        (gateway.folder / "authorized_keys").write_text((hub.folder / "client.pub").read_text())
        # what `bootstrap` would have the hub listen on; both are this machine
        way = {"gateway_host": LOOPBACK, "gateway_port": gateway.port, "gateway_key": gateway.host_key}
        first = ENVIRONMENT.replace("    adopt_key: true\n", "").replace("  endpoint:", f"{LETS_IN}  endpoint:")
        stack = office(first % gateway.port, hub_port=hub.port, hub_key=hub.host_key, user=hub.user, **way)
        stack.up()
        assert gateway.dials > 0
        assert "python -m wg_office bootstrap a --file FILE" in stack.outputs()["by_hand"]
        edit(stack, f"host: {LOOPBACK}, port: {gateway.port}", f"host: {BEHIND}, port: {gateway.port}")
        assert "does not let the hub in yet" in stack.preview(fails=True), "127.0.0.2 is nothing that its rules know"
        edit(stack, f"host: {BEHIND}, port: {gateway.port}", f"host: 10.70.0.2, port: {gateway.port}")
        stack.preview()


def through_a_jump(hub: Sshd, gateway: Sshd, jump: Sshd, pinned: Sshd) -> str:
    """The environment, with hub and gateway behind a machine; `pinned` is whose key the file has for it."""
    line = f"jumps: {{{{bastion: {{{{host: 127.0.0.1, port: {jump.port}, user: {jump.user}, host_key: {pinned.host_key}}}}}}}}}\n"
    text = ENVIRONMENT.replace("via: hub", "via: bastion").replace("host_key: {hub_key}", "host_key: {hub_key}, via: bastion")
    return line + text.replace("    adopt_key: true\n", "")


def test_hub_and_gateway_are_reached_through_a_jump_whose_key_is_pinned(office: OfficeFactory, tmp_path: Path) -> None:
    serve = contextmanager(running_sshd)
    with serve(tmp_path / "z", AGREES) as hub, serve(tmp_path / "a", AGREES) as gateway, serve(tmp_path / "j") as jump:
        (tmp_path / "operator").write_text(hub.private_key)
        for other in (gateway, jump):
            (other.folder / "authorized_keys").write_text((hub.folder / "client.pub").read_text())
        given = {"hub_port": hub.port, "hub_key": hub.host_key, "user": hub.user}
        given |= {"gateway_host": BEHIND, "gateway_port": gateway.port, "gateway_key": gateway.host_key}
        stack = office(through_a_jump(hub, gateway, jump, pinned=gateway), **given)
        said = stack.up(fails=True)
        assert f"or the machine on the way there ({jump.user}@127.0.0.1:{jump.port}), shows another host key than the pinned one" in said
        assert (jump.dials, hub.dials, gateway.dials) == (0, 0, 0)
        edit(stack, f"user: {jump.user}, host_key: {gateway.host_key}", f"user: {jump.user}, host_key: {jump.host_key}")
        stack.up()
        assert jump.dials == hub.dials + gateway.dials > 0
        way = f"through {jump.user}@127.0.0.1:{jump.port} (host key"
        shown = [str(command) for command in stack.resources("command:remote:Command") if way in str(command)]
        assert len(shown) == 2, "a reviewer sees the way to both hosts, in their descriptions"
        edit(stack, "network: {cidr: 10.70.0.0/16}", "network: {cidr: 10.70.0.0/16, keepalive: 20}")
        assert not warnings(stack.preview())


def test_whatever_the_preview_refuses_is_refused_before_the_keys_travel_too(deployed: Stack, tmp_path: Path) -> None:
    log = tmp_path / "a" / "log"
    edit(deployed, ", via: hub", "")
    deployed.up()
    was = log.read_text()
    edit(deployed, "    ssh: {host: 127.0.0.2, port", "    ssh: {via: hub, host: 127.0.0.2, port")
    assert "a: does not let the hub in yet; first put {host: a, ports: [" in deployed.up(fails=True)
    assert log.read_text() == was, "nobody was dialled"


def test_a_key_that_would_cut_the_way_is_not_even_brought(deployed: Stack, tmp_path: Path) -> None:
    log = tmp_path / "a" / "log"
    was = log.read_text()
    deployed.pulumi("config", "set", "--secret", "--path", "privateKeys.a", ADOPTED)
    assert "a's key changes, over which a is reached" in deployed.up(fails=True)
    assert log.read_text() == was, "nobody was dialled"


# --- what holds an `up`, and what ends it ------------------------------------------------------------------------------------------------

NOTHING_ELSE = ENVIRONMENT.partition("gateways:")[0].replace("cidr: 10.70.0.0/16", "cidr: 10.70.0.0/16, rollback_after: 30")


@contextmanager
def answering(first: bytes) -> Iterator[int]:
    """A port that takes connections, says this much, and nothing more."""
    with socket.create_server((LOOPBACK, 0)) as server:
        kept = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    kept.append(server.accept()[0])
                    kept[-1].sendall(first)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        serving.join()
        for connection in kept:
            connection.close()


def test_a_port_that_takes_connections_and_says_nothing_does_not_hold_an_up(office: OfficeFactory) -> None:
    with answering(b"") as port:
        said = office(NOTHING_ELSE, hub_port=port).up(fails=True)
    assert f"z: root@{LOOPBACK}:{port} takes connections and then says nothing." in said
    assert "z holds the state it had. The next `pulumi up` settles it" in said
    assert "Traceback" not in said


STALLS = (
    'ForceCommand cat >/dev/null; case "$SSH_ORIGINAL_COMMAND" in *"-- keys") exit 0 ;; esac; '
    "touch $WG_TEST_HOME/began; kill -STOP $PPID; sleep 300\n"
)
"""A server that takes the keys, and stops in the middle of the description."""


@pytest.fixture
def stalling(tmp_path: Path) -> Iterator[Sshd]:
    """Such a server, for the operator's key."""
    with contextmanager(running_sshd)(tmp_path / "z", STALLS) as hub:
        (tmp_path / "operator").write_text(hub.private_key)
        yield hub


WITHOUT_LIMITS = """\
#!/bin/sh
: >{started}
exec {python} -I -c '
import sys
sys.argv = ["plugin_command", *sys.argv[1:]]
sys.path.insert(0, "{clone}")
from toolchain import launch, remote_shell
launch.without_the_sdk()
whole = remote_shell.ssh_options
async def options(endpoint, stack):
    return {{**await whole(endpoint, stack), "keepalive_interval": 0}}
remote_shell.ssh_options = options
remote_shell.asyncio.timeout = lambda seconds: __import__("contextlib").AsyncExitStack()
from toolchain import plugin_command
plugin_command.main()
' "$@"
"""
"""The stand-in, with no more limits than the official plugin has once there is a TCP connection."""


@pytest.fixture(params=["the toolchain's plugin", "a plugin without limits"])
def impatient(request: pytest.FixtureRequest, office: OfficeFactory, tmp_path: Path) -> Iterator[OfficeFactory]:
    """Stacks whose runs are given up soon, with the plugin of the toolchain in use and with that one."""
    plugin, started = tmp_path / "bin" / "pulumi-resource-command", tmp_path / "started"
    plugin.parent.mkdir()
    plugin.write_text(WITHOUT_LIMITS.format(python=CLONE / ".venv" / "bin" / "python", clone=CLONE, started=started))
    plugin.chmod(0o755)
    on_path = request.param == "a plugin without limits"

    def make(*arguments: object, **given: object) -> Stack:
        stack = office(*arguments, **given)
        if on_path:
            stack.environment["PATH"] = f"{plugin.parent}:{stack.environment['PATH']}"
            stack.environment["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "false"
        module = stack.folder / "components" / "under_way.py"
        text = module.read_text()
        assert "SECONDS_MORE = 40\n" in text
        module.write_text(text.replace("SECONDS_MORE = 40\n", "SECONDS_MORE = -22\n"))
        return stack

    yield make
    assert started.exists() is on_path, "the engine took another plugin"


EITHER = "z holds the state it had or the new one, whole, and if it is not confirmed goes back within 30 seconds."


def test_a_session_that_stalls_ends_also_where_the_plugin_knows_no_limit(impatient: OfficeFactory, stalling: Sshd) -> None:
    said = impatient(NOTHING_ELSE, hub_port=stalling.port, hub_key=stalling.host_key, user=stalling.user).up(fails=True)
    assert "z: nothing was heard of it for 8 seconds, and it is not waited for any longer." in said
    assert EITHER in said
    assert "The next `pulumi up` settles it" in said
    assert "Traceback" not in said


def test_a_server_that_stalls_at_the_login_ends_there_too(impatient: OfficeFactory) -> None:
    with answering(b"SSH-2.0-stalls\r\n") as port:
        said = impatient(NOTHING_ELSE, hub_port=port).up(fails=True)
    assert "z: nothing was heard of it for 8 seconds, and it is not waited for any longer." in said
    assert "z holds the state it had." in said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_up_that_is_told_to_end_ends_and_says_what_becomes_of_the_change(office: OfficeFactory, stalling: Sshd, how: int) -> None:
    stack = office(NOTHING_ELSE, hub_port=stalling.port, hub_key=stalling.host_key, user=stalling.user)
    process = stack.start("up", "--yes", "--skip-preview")
    wait_for(stalling.home / "began", process)
    said = told_to_end(process, stack.folder, how, seconds=120)
    assert "interrupted while this changed: z." in said
    assert "run `pulumi up` again" in said
    assert EITHER in said
    assert "rpc error" not in said
    assert "Traceback" not in said
