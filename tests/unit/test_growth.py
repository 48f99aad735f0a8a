"""How much more work a larger office is: calls of functions, counted, of which a busy machine makes as many as any other."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from wg_office.commands.access_report import columns
from wg_office.hosts.keys import PublicNames
from wg_office.hosts.render import render_files
from wg_office.network.access import reach_of
from wg_office.network.instructions import by_hand
from wg_office.network.plan import plan
from wg_office.people.profiles import profiles
from wg_office.reading.load import inspect

SITES = 5


def one_lan(site: int) -> dict[str, Any]:
    return {"lan": {"cidr": f"192.168.{10 + site}.0/24", "address": f"192.168.{10 + site}.2"}}


def several_lans(site: int) -> dict[str, Any]:
    """Two that are the same at all sites, another VLAN, and a partner."""
    return {
        "lans": [
            {"cidr": "192.168.1.0/24", "address": "192.168.1.2", "as": f"10.99.{site}.0/24"},
            {"cidr": f"172.22.{site}.0/24", "address": f"172.22.{site}.2"},
            {"cidr": "10.20.0.0/16", "via": "192.168.1.1", "as": f"10.{100 + site}.0.0/16", "return_path": "masquerade"},
            {"cidr": f"203.0.113.{128 + site}/32", "via": "internet"},
        ]
    }


def developer(number: int, home: str) -> dict[str, Any]:
    """Each reaches two sites, and has a home network that a site has as well."""
    access = [f"s{number % SITES}", {"site": f"s{(number + 1) % SITES}", "ports": ["22/tcp"]}]
    return {"name": f"d{number}", "address": f"10.70.{1 + number // 250}.{number % 250 + 1}", "access": access, "home": home}


def office(developers: int, lans: Any, home: str) -> dict[str, Any]:
    return {
        "environment": "grown",
        "network": {"cidr": "10.70.0.0/16"},
        "hub": {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": {"host": "198.51.100.1"}},
        "gateways": [
            {"name": f"g{site}", "site": f"s{site}", "address": f"10.70.0.{site + 2}", "ssh": {"host": f"198.51.100.{site + 2}"}}
            | lans(site)
            for site in range(SITES)
        ],
        "developers": [developer(number, home) for number in range(developers)],
    }


def everything(file: Path) -> None:
    """What `check`, a preview and the outputs work out."""
    env = inspect(file, require_host_keys=False).environment
    assert env is not None
    reach = reach_of(env)
    names = {peer.name: PublicNames(peer.name, peer.name, peer.name) for peer in env.peers}
    for host in plan(env, reach):
        render_files(host, names)
    by_hand(env, reach)
    columns(env, reach)
    for client in env.clients:
        profiles(env, client)


def calls(folder: Path, *of: Any) -> int:
    file, made = folder / "grown.yaml", 0
    file.write_text(yaml.safe_dump(office(*of), sort_keys=False))

    def count(_frame: object, event: str, _value: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        everything(file)
    finally:
        sys.setprofile(None)
    return made


@pytest.mark.parametrize(("lans", "home"), [(one_lan, "192.168.10.0/24"), (several_lans, "172.22.0.0/24")])
def test_three_times_the_developers_are_no_more_than_three_times_the_work(lans: Any, home: str, tmp_path: Path) -> None:
    calls(tmp_path, 5, lans, home)  # what is worked out once
    few, many = (calls(tmp_path, developers, lans, home) for developers in (20, 60))
    assert many < 3.1 * few


def test_aliases_and_several_lans_are_a_few_times_the_work(tmp_path: Path) -> None:
    plain, grown = (calls(tmp_path, 30, lans, home) for lans, home in ((one_lan, "192.168.10.0/24"), (several_lans, "172.22.0.0/24")))
    assert grown < 4 * plain, "each site has four LANs in place of one"
