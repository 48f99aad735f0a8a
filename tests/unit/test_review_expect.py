"""`expect:` and `policy:`: what does not hold is a fault with the line of the grant that breaks it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from wg_office.reading.load import inspect

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA5++BQ3Q6b1xTXftLLYGzq6JmeQEQXrv3TMUitrytwl"
OFFICE = f"""\
environment: office
network: {{cidr: 10.70.0.0/16}}
hub: {{name: z, address: 10.70.0.1, endpoint: 203.0.113.10:51820, ssh: {{host: 203.0.113.10, host_key: {KEY}}}}}
gateways:
  - name: c
    site: beijing
    address: 10.70.0.3
    lan: {{cidr: 192.168.200.0/24, address: 192.168.200.248}}
    return_path: masquerade
    ssh: {{host: 198.51.100.1, host_key: {KEY}}}
    access: [{{developer: f, ports: [514/udp]}}]
groups:
  outer: {{access: [{{group: inner}}]}}
  inner:
    access:
      - {{site: beijing, hosts: [192.168.200.244], ports: [22/tcp]}}
developers:
  - {{name: e, address: 10.70.0.4, access: [{{group: outer}}]}}
  - {{name: f, address: 10.70.0.5, access: [beijing, {{developer: e, ports: [22/tcp]}}]}}
"""


def faults(folder: Path, **more: Any) -> list[str]:
    file = folder / "office.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(OFFICE) | more, sort_keys=False) if "network" in more else OFFICE + yaml.safe_dump(more))
    return [str(fault).removeprefix(f"{file}:") for fault in inspect(file).faults]


HOLDS = [
    {"who": "e", "reaches": {"site": "beijing", "hosts": ["192.168.200.244"], "ports": ["22/tcp"]}},
    {"who": "e", "never_reaches": {"site": "beijing", "hosts": ["192.168.200.244"], "ports": ["23-65535/tcp", "icmp"]}},
    {"who": "f", "reaches": "beijing"},
    {"who": "f", "never_reaches": {"address": "192.168.200.248"}},
    {"who": "f", "never_reaches": {"host": "c"}},
    {"who": {"group": "inner"}, "reaches": {"address": "192.168.200.244", "ports": ["22/tcp"]}},
    {"who": {"site": "beijing"}, "never_reaches": {"developer": "e"}},
    {"who": {"site": "beijing"}, "reaches": {"developer": "f", "ports": ["514/udp"]}},
    {"who": {"host": "z"}, "never_reaches": "beijing"},
    # Within a LAN nothing of ours is in the way.
    {"who": {"site": "beijing"}, "reaches": "beijing"},
    {"who": {"address": "192.168.200.9"}, "reaches": {"address": "192.168.200.10"}},
    {"who": {"host": "c"}, "reaches": "beijing"},
]
BROKEN = [
    (
        {"who": "e", "reaches": {"site": "beijing", "hosts": ["192.168.200.244"], "ports": ["22/tcp", "80/tcp"]}},
        "expect[0].reaches: does not hold: e does not reach site beijing (192.168.200.244) on 22/tcp, 80/tcp; "
        "closed are 192.168.200.244 on 80/tcp; grant it, or correct the statement",
    ),
    (
        {"who": {"group": "outer"}, "never_reaches": "beijing"},
        "expect[0].never_reaches: does not hold: e reaches 192.168.200.244 on 22/tcp (line 16); "
        "take the grant back, or correct the statement",
    ),
    (
        {"who": {"address": "10.70.0.5"}, "never_reaches": {"developer": "e"}},
        "expect[0].never_reaches: does not hold: address 10.70.0.5 reaches 10.70.0.4 on 22/tcp (line 19); "
        "take the grant back, or correct the statement",
    ),
    (
        {"who": {"site": "beijing"}, "reaches": {"developer": "f"}},
        "expect[0].reaches: does not hold: site beijing does not reach developer f; "
        "closed are 10.70.0.5 on everything but 514/udp; grant it, or correct the statement",
    ),
    (
        {"who": {"host": "z"}, "never_reaches": {"developer": "e"}},
        "expect[0].never_reaches: does not hold: z reaches 10.70.0.4 on everything; "
        "no grant says so, but what the hub itself sends to peers is not filtered: correct the statement",
    ),
    (
        {"who": {"site": "beijing"}, "never_reaches": {"site": "beijing", "hosts": ["192.168.200.244"], "ports": ["22/tcp"]}},
        "expect[0].never_reaches: does not hold: site beijing reaches 192.168.200.244 on 22/tcp; "
        "machines of one LAN reach each other without the tunnel, and no rule of ours is in between: correct the statement",
    ),
    (
        {"who": {"host": "z"}, "reaches": "beijing"},
        "expect[0].reaches: does not hold: z does not reach site beijing; "
        "closed are 192.168.200.0/24 but 192.168.200.248 on everything; grant it, or correct the statement",
    ),
    ({"who": "x", "reaches": "beijing"}, "expect[0].who: x is not a developer of this file; there are e, f"),
    ({"who": "e", "reaches": "nope"}, "expect[0].reaches: nope is not a site of this file; there is beijing"),
    ({"who": "e"}, "expect[0]: must say either reaches or never_reaches; for both, write two statements"),
    (
        {"who": {"developer": "e", "group": "inner"}, "reaches": "beijing"},
        "expect[0].who: names developer and group; name exactly one of developer, group, site, host and address",
    ),
    (
        {"who": "e", "reaches": {"developer": "f", "hosts": ["10.70.0.5"]}},
        "expect[0].reaches: hosts belong to a site; name the site, or write address",
    ),
]


NOBODY_GETS_THERE = [
    ({"site": "beijing"}, {"address": "fd70::5"}),
    ({"address": "10.70.0.5"}, {"address": "fd70::4"}),
    ({"address": "fd70::5"}, {"address": "10.70.0.4"}),
    ({"address": "fd70::5"}, "beijing"),
    ("f", {"address": "2001:db8::1"}),
]


@pytest.mark.parametrize(("who", "target"), NOBODY_GETS_THERE, ids=str)
def test_a_sender_of_one_family_reaches_nothing_of_the_other(tmp_path: Path, who: Any, target: Any) -> None:
    network = {"cidr": "10.70.0.0/16", "cidr6": "fd70::/64"}
    (found,) = faults(tmp_path, network=network, expect=[{"who": who, "reaches": target}])
    assert "does not hold" in found
    assert faults(tmp_path, network=network, expect=[{"who": who, "never_reaches": target}]) == []


def test_hosts_of_a_statement_are_in_the_sites_lan(tmp_path: Path) -> None:
    statement = {"who": "e", "never_reaches": {"site": "beijing", "hosts": ["192.168.200.9", "192.168.20.5"]}}
    (found,) = faults(tmp_path, expect=[statement])
    assert found.endswith(
        "expect[0].never_reaches.hosts[1]: 192.168.20.5 is outside the LAN 192.168.200.0/24 of site beijing; "
        "name hosts inside 192.168.200.0/24"
    )


@pytest.mark.parametrize("statement", HOLDS, ids=str)
def test_a_statement_that_holds_is_no_fault(tmp_path: Path, statement: dict[str, Any]) -> None:
    assert faults(tmp_path, expect=[statement]) == []


@pytest.mark.parametrize(("statement", "told"), BROKEN, ids=str)
def test_a_statement_that_does_not_hold_names_the_grant_and_its_line(tmp_path: Path, statement: dict[str, Any], told: str) -> None:
    found = faults(tmp_path, expect=[statement])
    assert [text.split(" ", 1)[1] for text in found] == [told]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            {"ports_required": True},
            ["19 developers[1].access[0]: grants all ports (line 21); name ports, such as 22/tcp"],
        ),
        (
            {"widest_grant": 16},
            ["19 developers[1].access[0]: grants 256 addresses, and the policy allows 16 (line 21); name hosts, or raise widest_grant"],
        ),
        (
            {"masquerade_reason_required": True},
            ["9 gateways[0].return_path: masquerade hides who is there (line 21); say why in return_path_reason"],
        ),
        (
            {"protected": {"developers": ["g"]}},
            [
                "22 policy.protected.developers[0]: g is protected, and is not among the developers of this file (any more); "
                "put it back, or take it out of the protected first"
            ],
        ),
        ({"protected": {"developers": ["e"], "sites": ["beijing"]}, "widest_grant": 256}, []),
    ],
    ids=str,
)
def test_a_guard_that_the_file_breaks_is_a_fault_with_both_lines(tmp_path: Path, policy: dict[str, Any], told: list[str]) -> None:
    found = faults(tmp_path, policy=policy)
    assert len(found) == len(told)
    for text, wanted in zip(found, told, strict=True):
        assert text.split(" ", 1)[1] == wanted.split(" ", 1)[1]
