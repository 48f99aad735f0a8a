"""A withdrawal is one-way: whatever becomes of the change, what it took from somebody does not come back by itself.

The real script in namespaces (sandbox.py). What its rules do to packets is in test_firewall_closed.py.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bootunit import boot
from sandbox import UNCONFIRMED, Office, Sandbox, planned

from wg_office.environment.grants import SiteGrant
from wg_office.environment.model import Environment
from wg_office.hosts import hostscript, keys
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
DENIED = "nft list table inet wg_office_host"
F_TO_D = "ct direction original ip saddr 10.70.0.5 ip daddr 192.168.200.244 tcp dport 22 drop"
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)


def without_f(environment: Environment) -> Environment:
    """f keeps his place, and may nothing."""
    e, f = environment.developers
    return environment.model_copy(update={"developers": (e, f.model_copy(update={"access": ()}))})


@pytest.fixture
def host() -> Iterator[Office]:
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        office.install()
        yield office


def withdrawing(host: Office) -> Office:
    return Office(host.sandbox, ENVIRONMENT, planned(without_f(ENVIRONMENT), "hub"))


def tried(host: Office, change: Office) -> None:
    done = host.sandbox.run(hostscript.apply_command("root"), change.description())
    assert done.returncode == UNCONFIRMED, done.stderr


def undone(host: Office) -> None:
    host.sandbox.shell("bash /etc/wg-office/current/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)")


def denied(host: Office) -> str:
    return host.sandbox.run(DENIED).stdout


def test_what_was_withdrawn_stays_so_by_roll_back_and_by_reboot_until_a_later_change_is_confirmed(host: Office) -> None:
    assert "withdrawn" not in denied(host)
    tried(host, withdrawing(host))
    assert "withdrawn" not in denied(host), "the change has its own rules"
    undone(host)
    assert F_TO_D in denied(host)
    assert boot(host.sandbox)
    assert F_TO_D in denied(host)
    said = host.status()
    assert "\nwithdrawn 10.70.0.5/32 192.168.200.244/32 tcp 22-22\n" in said
    assert "drift firewall" not in said
    host.install(repair="1")
    assert "withdrawn" not in denied(host), "a description that was confirmed is what counts"


def test_it_is_on_the_disk_before_anything_is_tried(host: Office) -> None:
    """Killed at the very next step."""
    killed = withdrawing(host).description().replace('\n  arm "$digest"', '\n  kill -KILL $$; arm "$digest"')
    assert host.sandbox.run(hostscript.apply_command("root"), killed).returncode not in (0, UNCONFIRMED)
    assert F_TO_D in denied(host)
    assert boot(host.sandbox)
    assert F_TO_D in denied(host)


def test_a_narrower_grant_keeps_what_both_allow(host: Office) -> None:
    e, f = ENVIRONMENT.developers
    grant = f.access[0]
    assert isinstance(grant, SiteGrant)
    narrower = f.model_copy(update={"access": (grant.model_copy(update={"ports": grant.ports[:1]}),)})
    change = Office(host.sandbox, ENVIRONMENT, planned(ENVIRONMENT.model_copy(update={"developers": (e, narrower)}), "hub"))
    tried(host, change)
    undone(host)
    rules = denied(host)
    assert rules.index("tcp dport 22 return") < rules.index("tcp dport 443 drop")
    assert F_TO_D not in rules


def test_an_old_key_is_denied_by_its_address_and_the_hubs_own_is_none(host: Office) -> None:
    rotated = withdrawing(host)
    rotated.plan = host.plan
    secret = "another".ljust(keys.SECRET_LENGTH, "x")
    rotated.names = {**host.names, "f": keys.names(secret, keys.private_key(secret))}
    host.sandbox.shell(
        f"cp -a /etc/wg-office/keys/{host.names['f'].preshared_name} /etc/wg-office/keys/{rotated.names['f'].preshared_name}"
    )
    tried(host, rotated)
    undone(host)
    assert "ip saddr 10.70.0.5 drop" in denied(host)
    assert "10.70.0.4" not in denied(host)


def test_a_gateway_takes_no_new_key_of_the_hub_for_a_withdrawal() -> None:
    plan = planned(ENVIRONMENT, "gateway", ENVIRONMENT.gateways[1].name)
    with Sandbox("192.168.200.248/24") as sandbox:
        office = Office(sandbox, ENVIRONMENT, plan)
        office.install()
        rotated = Office(sandbox, ENVIRONMENT, plan)
        secret = "another".ljust(keys.SECRET_LENGTH, "x")
        rotated.names = {**office.names, "z": replace(office.names["z"], public_key=keys.public_key(keys.private_key(secret)))}
        tried(office, rotated)
        undone(office)
        assert "withdrawn" not in denied(office)
