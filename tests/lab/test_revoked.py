"""What `revoke` does to a host: at once, before anything else on its disk, and until a confirmed description has the key no more.

The real script in namespaces (sandbox.py). The command that tells the hosts so is tried in test_status_client.py.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bootunit import boot
from sandbox import UNCONFIRMED, Office, Sandbox, planned

from wg_office.environment.grants import DeveloperGrant
from wg_office.environment.model import Environment
from wg_office.hosts import hostscript, keys
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
RULES = "nft list table inet wg_office_host"
F, F_REFUSED = "10.70.0.5", "ip saddr 10.70.0.5 drop"
REVOKE_F, LIFT_F = f"revoke f {F}\n", "lift f\n"
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)


HERE = hostscript.scripts().host.removesuffix('main "$@"; exec true\n')
"""The script's functions."""


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, Office]]:
    with Sandbox("203.0.113.10/24") as public, Sandbox("192.168.200.248/24") as inside:
        z = Office(public, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        c = Office(inside, ENVIRONMENT, planned(ENVIRONMENT, "gateway", "c"))
        for host in (z, c):
            host.install()
        yield {"hub": z, "gateway": c}


@pytest.fixture
def hub(hosts: dict[str, Office]) -> Iterator[Office]:
    yield hosts["hub"]
    clean(hosts["hub"])


@pytest.fixture
def gateway(hosts: dict[str, Office]) -> Iterator[Office]:
    yield hosts["gateway"]
    clean(hosts["gateway"])


def clean(host: Office) -> None:
    """As after the installation: what an undone change has withdrawn would stay so, and it would not be tried again."""
    host.sandbox.shell("rm -rf /etc/wg-office/revoked; conntrack -F 2>/dev/null")
    if host.sandbox.run("[ -e /run/wg-office/armed ]").returncode == 0:
        undone(host)
    host.sandbox.shell("rm -rf /etc/wg-office/gen/*/withdrawn /run/wg-office/rolled-back")
    if host.sandbox.shell("cat /etc/wg-office/current/description") != host.description():
        host.install()
    ours = f'{HERE}\nenforce_revoked; activate "$(current_gen)" "$(current_gen)"'
    assert host.sandbox.run("bash -s", ours).returncode == 0
    assert host.drift() == []


def told(host: Office, lines: str) -> "subprocess.CompletedProcess[str]":
    return host.sandbox.run(hostscript.revoke_command("root"), hostscript.revoke_lines([lines.rstrip("\n")]))


def revoked(host: Office) -> str:
    done = told(host, REVOKE_F)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refuses_f(host: Office) -> bool:
    return F_REFUSED in host.sandbox.run(RULES).stdout


def running_peers(host: Office) -> str:
    return host.sandbox.shell("wg show wg0 dump")


def tunnel_of_networkd(host: Office) -> str:
    return host.sandbox.shell("cat /run/systemd/network/50-wg0.netdev")


def without_f(host: Office) -> Office:
    """The same host for a file in which nobody speaks of f any more."""
    e, _ = ENVIRONMENT.developers
    alone = e.model_copy(update={"access": tuple(grant for grant in e.access if not isinstance(grant, DeveloperGrant))})
    return described(host, ENVIRONMENT.model_copy(update={"developers": (alone,)}))


def described(host: Office, environment: Environment) -> Office:
    other = Office(host.sandbox, environment, planned(environment, host.plan.role, host.plan.name))
    other.secrets = other.secrets | host.secrets
    other.names = {**other.names, **host.names}
    return other


def with_a_new_key(host: Office) -> Office:
    """What `rotation: 2` comes to."""
    rotated = described(host, ENVIRONMENT)
    secret = "another".ljust(keys.SECRET_LENGTH, "x")
    rotated.secrets = {**host.secrets, "f": secret}
    rotated.names = {**host.names, "f": keys.names(secret, keys.private_key(secret))}
    return rotated


def undone(host: Office) -> None:
    host.sandbox.shell("bash /etc/wg-office/current/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)")


# --- at once ------------------------------------------------------------------------------------------------------------------------------


def test_a_running_change_is_waited_for(hub: Office) -> None:
    holder = subprocess.Popen(
        [*hub.sandbox.enter.split(), "flock", "/run/wg-office/lock", "sh", "-c", "echo held; read -r line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    short = hostscript.revoke_lines([REVOKE_F.strip()]).replace('take_lock "$revoke_waits"', "take_lock 0")
    done = hub.sandbox.run(hostscript.revoke_command("root"), short)
    assert done.returncode == hostscript.BUSY
    assert not refuses_f(hub)
    command = [*hub.sandbox.enter.split(), "sh", "-c", hostscript.revoke_command("root")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdin is not None
        waiting.stdin.write(hostscript.revoke_lines([REVOKE_F.strip()]))
        waiting.stdin.close()
        assert waiting.poll() is None
        holder.communicate("\n")
        assert waiting.wait(60) == 0
    assert refuses_f(hub)


def test_the_hub_refuses_both_directions_and_forgets_the_peer_and_says_no_drift(hub: Office) -> None:
    key = hub.public("f")
    assert key in running_peers(hub)
    assert revoked(hub) == f"revoked f {F}\n"
    rules = hub.sandbox.run(RULES).stdout
    assert F_REFUSED in rules
    assert f"ip daddr {F} drop" in rules
    assert "10.70.0.4" not in rules
    assert key not in running_peers(hub)
    assert hub.public("e") in running_peers(hub)
    said = hub.status()
    assert "\nrevoked f\n" in said
    assert hub.drift() == []


def test_a_gateway_which_knows_no_keys_refuses_the_address(gateway: Office) -> None:
    assert revoked(gateway) == f"revoked f {F}\n"
    assert refuses_f(gateway)
    assert gateway.drift() == []


def test_open_connections_end_on_both_hosts_and_those_of_others_stay(hub: Office, gateway: Office) -> None:
    for host in (hub, gateway):
        for source in (F, "10.70.0.4"):
            host.sandbox.shell(
                f"conntrack -I -p tcp -s {source} -d 192.168.200.244 --sport 40000 --dport 22 --state ESTABLISHED --timeout 600"
            )
        revoked(host)
        tracked = host.sandbox.run("conntrack -L 2>/dev/null").stdout
        assert f"src={F} " not in tracked
        assert "src=10.70.0.4 " in tracked


def test_it_is_on_the_disk_before_anything_is_tried(hub: Office) -> None:
    """Killed at the very next step."""
    killed = hostscript.revoke_lines([REVOKE_F.strip()]).replace("\n  enforce_revoked", "\n  kill -KILL $$; enforce_revoked", 1)
    assert hub.sandbox.run(hostscript.revoke_command("root"), killed).returncode != 0
    assert hub.sandbox.shell("cat /etc/wg-office/revoked/f") == f"key {hub.public('f')}\n"
    assert not refuses_f(hub)
    assert boot(hub.sandbox)
    assert refuses_f(hub)
    assert hub.public("f") not in tunnel_of_networkd(hub)


def test_a_second_time_changes_nothing(hub: Office) -> None:
    revoked(hub)
    before = hub.look()
    assert revoked(hub) == f"revoked f {F}\n"
    assert hub.look() == before


def test_a_name_that_the_hub_does_not_have_is_found_by_its_address(hub: Office) -> None:
    """f has become `f-laptop` in the file, and no `up` has come yet."""
    assert told(hub, f"revoke f-laptop {F}\n").stdout == f"revoked f-laptop {F}\n"
    assert refuses_f(hub)
    assert hub.public("f") not in running_peers(hub)


def test_an_address_that_was_a_gateways_or_nobodys_is_not_revoked(hub: Office) -> None:
    before = hub.look()
    assert told(hub, f"revoke x {ENVIRONMENT.gateways[0].address}\n").stdout == "unknown x\n"
    assert told(hub, "revoke x 10.70.0.77\n").stdout == "unknown x\n"
    assert hub.look() == before


def test_a_name_of_the_file_is_not_overruled_by_its_new_address(hub: Office) -> None:
    """In the file f has the address that e has on the host."""
    assert told(hub, "revoke f 10.70.0.4\n").stdout == f"revoked f {F}\n"
    assert hub.public("e") in running_peers(hub)


def test_a_line_that_is_none_is_refused_and_nothing_is_written(hub: Office) -> None:
    for line in ("revoke ../x 10.70.0.5", "revoke f 10.70.0.5;reboot", "revoke f", "forget f 10.70.0.5", "revoke"):
        done = told(hub, line)
        assert done.returncode == hostscript.REJECTED, line
        assert hub.sandbox.run("ls /etc/wg-office/revoked").returncode != 0


def test_a_host_without_anything_of_ours_says_so() -> None:
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        done = told(office, REVOKE_F)
        assert done.returncode == hostscript.UNFIT
        assert "nothing of wg-office is installed here, so that nobody is let in" in done.stderr
        assert sandbox.run("ls /etc/wg-office").returncode != 0


# --- it holds -----------------------------------------------------------------------------------------------------------------------------


def test_it_holds_across_a_reboot(hub: Office) -> None:
    revoked(hub)
    assert boot(hub.sandbox)
    assert refuses_f(hub)
    assert hub.public("f") not in tunnel_of_networkd(hub)
    assert hub.public("e") in tunnel_of_networkd(hub)


def test_an_unchanged_up_and_a_repair_do_not_bring_it_back(hub: Office) -> None:
    revoked(hub)
    assert hub.apply(hub.description()).returncode == 0, "as it is, it is as it should be"
    assert refuses_f(hub)
    hub.install(repair="1")
    assert refuses_f(hub)
    assert hub.public("f") not in running_peers(hub)
    assert hub.drift() == []


def test_a_change_of_others_does_not_bring_it_back_on_either_host(hub: Office, gateway: Office) -> None:
    e, f = ENVIRONMENT.developers
    for host in (hub, gateway):
        revoked(host)
        described(host, ENVIRONMENT.model_copy(update={"developers": (e.model_copy(update={"access": ()}), f)})).install()
        assert refuses_f(host)
        assert host.public("f") not in running_peers(host)


def test_a_change_that_awaits_its_confirmation_is_confirmed_without_it(hub: Office) -> None:
    e, f = ENVIRONMENT.developers
    change = described(hub, ENVIRONMENT.model_copy(update={"developers": (e.model_copy(update={"access": ()}), f)}))
    assert change.apply(change.description()).returncode == UNCONFIRMED
    revoked(hub)
    assert refuses_f(hub)
    assert hub.public("f") not in running_peers(hub)
    done = change.apply(change.description())
    assert (done.returncode, done.stderr) == (0, "")
    assert refuses_f(hub)


def test_a_change_that_is_undone_does_not_bring_it_back(hub: Office) -> None:
    change = without_f(hub)
    assert change.apply(change.description()).returncode == UNCONFIRMED
    revoked(hub)
    undone(hub)
    assert refuses_f(hub)
    assert hub.public("f") not in running_peers(hub)


# --- it ends ------------------------------------------------------------------------------------------------------------------------------


def test_it_ends_with_a_confirmed_description_without_the_peer_and_one_with_it_may_come_later_on_purpose(
    hub: Office, gateway: Office
) -> None:
    for host in (hub, gateway):
        revoked(host)
        gone = without_f(host)
        assert gone.apply(gone.description()).returncode == UNCONFIRMED
        assert "\nrevoked f\n" in host.status(), "not before it is confirmed"
        assert gone.apply(gone.description()).returncode == 0
        assert "\nrevoked f\n" not in host.status()
        host.install()
        assert not refuses_f(host)


def test_a_name_that_begins_like_anothers_ends_by_itself(gateway: Office) -> None:
    revoked(gateway)
    assert told(gateway, "revoke f-x 10.70.0.4\n").returncode == 0
    without_f(gateway).install()
    assert [line for line in gateway.status().splitlines() if line.startswith("revoked ")] == ["revoked f-x"]


def test_a_new_key_ends_it_at_the_hub_and_the_old_one_stays_out(hub: Office) -> None:
    revoked(hub)
    rotated = with_a_new_key(hub)
    rotated.install()
    assert not refuses_f(hub)
    assert rotated.public("f") in running_peers(hub)
    assert hub.public("f") not in running_peers(hub)
    assert "\nrevoked f\n" not in hub.status()


def test_the_new_key_can_be_revoked_as_well(hub: Office) -> None:
    revoked(hub)
    rotated = with_a_new_key(hub)
    rotated.put_keys()
    assert rotated.apply(rotated.description()).returncode == UNCONFIRMED
    assert rotated.public("f") in running_peers(hub)
    revoked(hub)
    assert rotated.public("f") not in running_peers(hub)
    assert rotated.apply(rotated.description()).returncode == 0
    assert refuses_f(hub)


def test_a_gateway_is_told_when_the_new_key_may_pass_and_a_hub_is_not(hub: Office, gateway: Office) -> None:
    for host in (hub, gateway):
        revoked(host)
    done = told(hub, LIFT_F)
    assert done.returncode == hostscript.REJECTED
    assert "f still has the key that was revoked" in done.stderr
    assert refuses_f(hub)
    assert told(gateway, LIFT_F).stdout == "lifted f\n"
    assert not refuses_f(gateway)
    assert gateway.drift() == []
    assert told(gateway, LIFT_F).stdout == "lifted f\n"


def test_without_a_revocation_the_hosts_own_rules_and_tunnel_are_as_they_were(hub: Office) -> None:
    look = "cat /etc/wg-office/current/files/host.nft /etc/wg-office/current/files/run/systemd/network/50-wg0.netdev"
    before = hub.sandbox.shell(look)
    assert "revoked" not in before
    revoked(hub)
    assert hub.sandbox.shell(look) != before
    without_f(hub).install()
    hub.install()
    assert hub.sandbox.shell(look) == before
