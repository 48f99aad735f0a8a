"""`preshared:` on a peer: a preshared key that it had before, or none at all, in everything that hosts and people are given."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from test_pasted import FORMS, KEYS, stands
from test_pasted import environment as pasted_environment
from test_pasted import made as pasted_of
from test_render import keys_of, tree

from wg_office.environment.model import Environment
from wg_office.hosts import keys
from wg_office.hosts.description import public_names, read
from wg_office.hosts.render import Scripts, render_description
from wg_office.network.plan import plan
from wg_office.people.pasted import render_pasted, to_be_pasted
from wg_office.people.profiles import profiles, render_profile
from wg_office.reading.load import inspect
from wg_office.review.difference import difference

OFFICE = """\
environment: office
network: {cidr: 10.70.0.0/16}
hub: {name: hub, address: 10.70.0.1, endpoint: 203.0.113.10:51820, ssh: {host: 203.0.113.10}}
gateways:
  - name: gw
    site: beijing
    address: 10.70.0.2
    lan: {cidr: 192.168.200.0/24, address: 192.168.200.248}
    ssh: {host: 198.51.100.7}
developers:
  - {name: e, address: 10.70.0.10, access: [beijing], public_key: WmPHJ+Zl7RFpw6+Vr4L4IkzSR+Kpty1lcrSNFDlSsxY=}
  - {name: f, address: 10.70.0.11, access: [beijing]}
"""


def office(tmp_path: Path, **lines: str) -> Environment:
    """The office; `name=text` puts more into the entry of that name."""
    text = OFFICE
    for name, more in lines.items():
        text = text.replace(f"name: {name}\n", f"name: {name}\n    {more}\n").replace(f"{{name: {name},", f"{{name: {name}, {more},")
    (tmp_path / "office.yaml").write_text(text)
    report = inspect(tmp_path / "office.yaml", require_host_keys=False)
    assert report.environment is not None, report.faults
    return report.environment


def netdev(env: Environment, host: str) -> str:
    return tree(env)[f"{host}/run/systemd/network/50-wg0.netdev"]


def test_who_has_no_preshared_key_has_no_line_of_one_at_either_end(tmp_path: Path) -> None:
    before, after = office(tmp_path), office(tmp_path, gw="preshared: none", e="preshared: none")
    assert netdev(before, "hub").count("PresharedKeyFile=") == 3
    assert netdev(after, "hub").count("PresharedKeyFile=") == 1, "that of f alone"
    assert "PresharedKeyFile=" in netdev(before, "gw")
    assert "PresharedKeyFile=" not in netdev(after, "gw")


def test_an_adopted_preshared_key_is_named_like_any_other(tmp_path: Path) -> None:
    env, theirs = office(tmp_path, e="preshared: adopted"), "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
    made = keys.names("the secret of e", None, "public", theirs)
    assert made.preshared_name == keys.key_name("preshared", theirs)
    assert made != keys.names("the secret of e", None, "public")
    assert netdev(env, "hub") == netdev(office(tmp_path), "hub"), "whose key it is does not show; the name of its file does"


def test_a_file_without_preshared_key_has_no_line_about_it(tmp_path: Path) -> None:
    env = office(tmp_path, e="preshared: none")
    for profile in profiles(env, env.clients[0]):
        with_key, without = (render_profile(profile, each) for each in (KEYS, replace(KEYS, preshared_key=None)))
        assert [line for line in with_key.splitlines() if line not in without.splitlines()] == [f"PresharedKey = {KEYS.preshared_key}"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_pasted_says_no_preshared_key_where_there_is_none(form: str) -> None:
    made = pasted_of(pasted_environment("plain", managed=form, preshared="none"))
    without = replace(KEYS, preshared_key=None)
    assert made.hub.psk_of is None
    assert "None" not in render_pasted(made, without)
    assert str(KEYS.preshared_key) not in render_pasted(made, without)
    assert to_be_pasted(made, stands(made), stands(made)) is None


@pytest.mark.parametrize("form", FORMS)
def test_a_device_is_down_until_a_preshared_key_is_set_or_taken_away_there(form: str) -> None:
    shared, none = (pasted_of(pasted_environment("plain", managed=form, **more)) for more in ({}, {"preshared": "none"}))
    for before, after in ((shared, none), (none, shared)):
        assert "is down until" in str(to_be_pasted(after, stands(after), stands(before)))


def test_an_up_is_due_where_a_host_has_a_preshared_key_that_the_file_no_longer_wants(tmp_path: Path) -> None:
    scripts = Scripts("#!/bin/bash\n", "", "")
    for was, now in (("preshared: none", "rotation: 1"), ("rotation: 1", "preshared: none")):
        before, after = office(tmp_path, e=was), office(tmp_path, e=now)
        held = read(render_description(plan(before)[0], keys_of(before), "x", scripts))
        host = plan(after)[0]
        assert read(render_description(host, public_names(host, held, after.brought_keys), "x", scripts)) != held


def test_diff_names_the_hosts_that_a_preshared_key_touches(tmp_path: Path) -> None:
    for now in ("none", "adopted"):
        found = difference(office(tmp_path), office(tmp_path, gw=f"preshared: {now}"))
        assert {host.host: host.touched for host in found.hosts if host.touched} == {"hub": ("peers",), "gw": ("peers",)}


def test_whoever_keeps_every_key_keeps_the_file(tmp_path: Path) -> None:
    def warned(hub: str, e: str) -> list[str]:
        text = OFFICE.replace("{name: hub,", f"{{name: hub, {hub},").replace("{name: e,", f"{{name: e, {e},")
        (tmp_path / "office.yaml").write_text(text)
        return [each.path for each in inspect(tmp_path / "office.yaml", require_host_keys=False).warnings]

    assert warned("adopt_key: true", "rotation: 1") == ["hub.adopt_key"]
    assert warned("adopt_key: true", "preshared: none") == []
    assert warned("adopt_key: true", "preshared: adopted") == []
    assert warned("rotation: 1", "preshared: adopted, rotation: 2") == ["developers[0].rotation"]


@pytest.mark.parametrize(
    ("place", "line", "remedy"),
    [
        ("hub", "preshared: none", "each gateway and developer has one with the hub"),
        ("e", "preshared: generated", "adopted or none"),
        ("e", "psk: FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=", "write preshared: adopted and give the key to the stack as a secret"),
    ],
)
def test_what_cannot_be_said_is_answered_with_what_can(tmp_path: Path, place: str, line: str, remedy: str) -> None:
    (tmp_path / "office.yaml").write_text(OFFICE.replace(f"{{name: {place},", f"{{name: {place}, {line},"))
    [fault] = inspect(tmp_path / "office.yaml", require_host_keys=False).faults
    assert remedy in fault.message
    assert "FpCy" not in str(fault)


def test_a_device_of_several_has_its_own(tmp_path: Path) -> None:
    data = yaml.safe_load(OFFICE)
    data["developers"] = [{"name": "e", "devices": [{"name": "a", "address": "10.70.0.10", "preshared": "none"}]}]
    assert [client.preshared for client in Environment.model_validate(data).clients] == ["none"]
