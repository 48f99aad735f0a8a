"""What a person pastes on a gateway that nobody logs in to: the whole texts, what each form must hold, and when it is to be pasted anew.

After an intended change: WG_OFFICE_UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/unit/test_pasted.py
"""

import difflib
import json
import os
import re
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from netaddr import IPNetwork

from wg_office.environment.model import Environment
from wg_office.hosts.keys import PublicNames, key_name, public_key
from wg_office.network.access import reach_of
from wg_office.people.pasted import Pasted, Standing, fingerprint, held, pasted, render_pasted, standing, to_be_pasted
from wg_office.people.profiles import MISSING_PRIVATE_KEY, ClientKeys
from wg_office.reading.checks import check

GOLDEN = Path(__file__).parents[1] / "golden" / "pasted"
CASES = ("branches", "plain", "aliases")
FORMS = ("routeros", "openwrt", "opnsense", "wg-quick", "no")

# The example keys of the WireGuard documentation, so that the golden files parse like real ones.
KEYS = ClientKeys(
    "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
    "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=",
    "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
)
BROUGHT = replace(KEYS, private_key=None)


def environment(case: str, **changes: Any) -> Environment:
    """An environment of the golden files; `changes` are of its first gateway."""
    data = yaml.safe_load((GOLDEN / case / "environment.yaml").read_text(encoding="utf-8"))
    data["gateways"][0] |= changes
    return Environment.model_validate(data)


def made(env: Environment, number: int = 0) -> Pasted:
    gateway = env.pasted_gateways[number]
    return pasted(env, gateway, reach_of(env).policies[gateway.name])


def stands(one: Pasted, keys: ClientKeys = KEYS) -> Standing:
    """What its tunnel stands on with these keys."""
    own = public_key(str(keys.private_key))
    names = PublicNames(own, key_name("private", str(keys.private_key)), key_name("preshared", str(keys.preshared_key)))
    return standing(one, PublicNames(keys.hub_public_key, "", ""), names, fingerprint(render_pasted(one, keys)))


def texts(env: Environment) -> dict[str, str]:
    each = (made(env, number) for number in range(len(env.pasted_gateways)))
    return {f"{one.gateway}.conf": render_pasted(one, BROUGHT if one.gateway in env.brought_keys else KEYS) for one in each}


@pytest.mark.parametrize("case", CASES)
def test_the_texts_are_exactly_the_reviewed_ones(case: str) -> None:
    env = environment(case)
    assert check(env) == []
    found = texts(env)
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        for file in (GOLDEN / case).glob("*.conf"):
            file.unlink()
        for name, text in found.items():
            (GOLDEN / case / name).write_text(text, encoding="utf-8")
    assert found == {path.name: path.read_text(encoding="utf-8") for path in (GOLDEN / case).glob("*.conf")}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_all_that_the_tunnel_needs(form: str) -> None:
    one = made(environment("plain", managed=form))
    text = render_pasted(one, KEYS)
    for value in (*KEYS.__dict__.values(), "203.0.113.20", "51820", "10.77.0.2/16", "10.77.0.0/16", "192.168.50.0/24", "1280", "15"):
        assert re.search(rf"(?<![\w.]){re.escape(value)}", text), value


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_device_with_a_key_of_its_own_says_where_that_goes(form: str) -> None:
    text = render_pasted(made(environment("plain", managed=form)), BROUGHT)
    assert text.count(MISSING_PRIVATE_KEY) == 2, "in its place, and in the comment that says what to put there"
    assert str(KEYS.private_key) not in text


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_hub_as_the_file_does(form: str) -> None:
    env = environment("plain", managed=form)
    for endpoint, host in (("vpn.example.org:443", "vpn.example.org"), ("[2001:db8::1]:443", "2001:db8::1")):
        data = env.model_dump(by_alias=True, exclude_unset=True) | {"hub": env.hub.model_dump(exclude_unset=True) | {"endpoint": endpoint}}
        text = render_pasted(made(Environment.model_validate(data)), KEYS)
        assert host in text
        assert re.search(r"(?<!\d)443(?!\d)", text)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("masked", [True, False])
def test_every_form_masquerades_where_the_return_path_says_so(form: str, masked: bool) -> None:
    text = render_pasted(made(environment("plain", managed=form, return_path="masquerade" if masked else "static-route")), KEYS)
    assert bool(re.search("masquerade|MASQUERADE|Outbound", text)) == masked


# --- LANs that all others know by another prefix -----------------------------------------------------------------------------------------

LAN, ALIAS, OTHER_ALIAS = "192.168.51.0/24", "10.99.51.0/24", "10.98.51.0/24"
ALIASED = {"cidr": LAN, "address": "192.168.51.1", "as": ALIAS}


def numbers(text: str, *wanted: str) -> list[bool]:
    return [bool(re.search(rf"(?<![\w.]){re.escape(value)}", text)) for value in wanted]


@pytest.mark.parametrize("form", FORMS)
def test_without_the_lines_that_translate_every_form_is_what_it_is_without_an_alias(form: str) -> None:
    """Filters and masquerading go by the addresses that the site's machines have, as the other lines show."""
    bare = render_pasted(made(environment("plain", managed=form)), KEYS)
    text = render_pasted(made(environment("plain", managed=form, lan=ALIASED)), KEYS)
    before, after = (re.sub(r"(?m)^\d+\. ", "", each).splitlines() for each in (bare, text))
    more = difflib.ndiff(before, after)
    changed = [line for line in more if line[0] in "+-"]
    assert [line for line in changed if line.startswith("-")] == []
    assert numbers("\n".join(changed), LAN, ALIAS) == [True, True]
    assert numbers(bare, LAN, ALIAS) == [True, False]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("before", "after"),
    [({"as": ALIAS}, {"as": OTHER_ALIAS}), ({"as": ALIAS}, {}), ({}, {"as": ALIAS})],
    ids=["changes", "goes", "comes"],
)
def test_an_alias_that_comes_goes_or_changes_takes_the_lan_down_until_it_is_pasted(
    form: str, before: dict[str, str], after: dict[str, str]
) -> None:
    was, now = (made(environment("plain", managed=form, lan={"cidr": LAN, "address": "192.168.51.1"} | each)) for each in (before, after))
    assert to_be_pasted(was, stands(was), stands(was)) is None
    assert "is down" in str(to_be_pasted(now, stands(now), stands(was)))


@pytest.mark.parametrize("form", FORMS)
def test_a_further_lan_with_an_alias_leaves_the_others(form: str) -> None:
    further = {"cidr": "192.168.52.0/24", "address": "192.168.52.1", "as": "10.99.52.0/24"}
    one, two = (made(environment("plain", managed=form, lan=None, lans=lans)) for lans in ([ALIASED], [ALIASED, further]))
    for was, now in ((one, two), (two, one)):
        assert "says something else now" in str(to_be_pasted(now, stands(now), stands(was)))


def test_openwrts_file_for_the_firewall_goes_with_the_alias(tmp_path: Path) -> None:
    device = OpenWrt(tmp_path)
    device.paste(render_pasted(made(environment("plain", managed="openwrt", lan=ALIASED)), KEYS))
    assert numbers((device.included / "branches_vpn.nft").read_text(), LAN, ALIAS) == [True, True]
    device.paste(render_pasted(made(environment("plain", managed="openwrt")), KEYS))
    assert list(device.included.iterdir()) == []


# --- wg-quick and the shell read them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "name"), [("branches", "nas"), ("branches", "other"), ("plain", "gate"), ("aliases", "nas")])
def test_wg_quick_reads_its_own_forms(case: str, name: str, tmp_path: Path) -> None:
    text = (GOLDEN / case / f"{name}.conf").read_text()
    (tmp_path / "branches-vpn.conf").write_text(text.replace(MISSING_PRIVATE_KEY, str(KEYS.private_key)))
    (tmp_path / "branches-vpn.conf").chmod(0o600)
    stripped = subprocess.run(["wg-quick", "strip", tmp_path / "branches-vpn.conf"], capture_output=True, text=True, check=True).stdout
    assert "Address" not in stripped
    assert "PostUp" not in stripped
    assert f"PresharedKey = {KEYS.preshared_key}" in stripped


UCI = r"""#!/bin/bash
# Enough of uci to keep what is set, a line each, in $STATE: FILE.SECTION[.OPTION]=VALUE
[ "$1" = -q ] && shift
case $1 in
  set) key=${2%%=*}; grep -v "^$key=" "$STATE" >"$STATE.new"; mv "$STATE.new" "$STATE"; printf '%s\n' "$2" >>"$STATE" ;;
  add_list) printf '%s\n' "$2" >>"$STATE" ;;
  delete) grep -v "^${2//./\\.}[.=]" "$STATE" >"$STATE.new"; mv "$STATE.new" "$STATE" ;;
  show) grep "^$2\." "$STATE" ;;
  commit) ;;
  *) echo "uci: $*" >&2; exit 1 ;;
esac
"""


class OpenWrt:
    """A shell with a uci of that kind."""

    def __init__(self, folder: Path) -> None:
        self.state, self.bin = folder / "state", folder / "bin"
        self.included = folder / "nftables.d"
        self.bin.mkdir(parents=True)
        self.included.mkdir()
        self.state.write_text("network.lan=interface\nfirewall.branches_vpnx=zone\n")
        (self.bin / "uci").write_text(UCI)
        (self.bin / "uci").chmod(0o755)

    def paste(self, text: str) -> list[str]:
        commands = text.replace("/etc/init.d/", "true ").replace("/etc/nftables.d", str(self.included))
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "STATE": str(self.state)}
        done = subprocess.run([shutil.which("dash") or "sh"], input=commands, capture_output=True, text=True, check=True, env=environment)
        assert done.stderr == ""
        return self.state.read_text().splitlines()


def test_pasted_again_openwrt_holds_what_the_new_text_says_and_nothing_of_the_old(tmp_path: Path) -> None:
    device, once = OpenWrt(tmp_path / "twice"), OpenWrt(tmp_path / "once")
    wide = environment("plain", managed="openwrt", return_path="masquerade", lan=None, lans=WIDE)
    narrow = environment("plain", managed="openwrt")
    before = device.paste(render_pasted(made(wide), KEYS))
    assert [line for line in before if line.endswith("='nat'") or line.endswith("=nat")], "the search would find one"
    assert device.paste(render_pasted(made(narrow), KEYS)) == once.paste(render_pasted(made(narrow), KEYS))
    assert {"network.lan=interface", "firewall.branches_vpnx=zone"} < {*once.state.read_text().splitlines()}, "what is not ours stays"


WIDE = [{"cidr": "192.168.51.0/24", "address": "192.168.51.1"}, {"cidr": "192.168.52.0/24", "address": "192.168.52.1"}]


@pytest.mark.parametrize(("case", "network"), [("branches", "branches"), ("aliases", "twins")])
def test_what_routeros_sets_bears_the_mark_by_which_it_is_taken_away_again(case: str, network: str) -> None:
    lines = texts(environment(case))["tik.conf"].splitlines()
    mark = f'comment="wg-office {network}"'
    added = [line for line in lines if "/add " in line]
    assert len(added) > 10
    assert [line for line in added if not line.endswith(mark)] == []
    removed = {line.partition("/remove")[0] for line in lines if line.endswith(f"/remove [find {mark}]")}
    assert {line.partition("/add ")[0] for line in added} <= removed
    assert max(n for n, line in enumerate(lines) if "/remove" in line) < min(n for n, line in enumerate(lines) if "/add " in line)


# --- when it is to be pasted anew --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_the_same_text_is_not_asked_for_again(form: str) -> None:
    one = made(environment("plain", managed=form))
    assert to_be_pasted(one, stands(one), stands(one)) is None


def test_a_new_gateway_is_down_until_its_text_is_pasted() -> None:
    one = made(environment("plain"))
    down = "gate: site shop is down until what gateway_gate_conf says is set there: pulumi stack output gateway_gate_conf --show-secrets"
    assert to_be_pasted(one, stands(one), None) == down


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_key_endpoint_or_address_takes_the_site_down_until_it_is_pasted(form: str) -> None:
    one = made(environment("plain", managed=form))
    other = "WG0qCLFHpDOlYyBUj0iHsIjwT0nGiJMVYmHTDFyT6FE="
    for keys in (replace(KEYS, private_key=other), replace(KEYS, preshared_key=other), replace(KEYS, hub_public_key=other)):
        assert "is down" in str(to_be_pasted(one, stands(one, keys), stands(one)))
    for changed in (
        replace(one, endpoint=replace(one.endpoint, port=5182)),
        replace(one, endpoint=replace(one.endpoint, host="vpn.example.org")),
        replace(one, addresses=(IPNetwork("10.77.0.22/16"),)),
        replace(one, addresses=(*one.addresses, IPNetwork("fd77::2/64"))),
    ):
        assert "is down" in str(to_be_pasted(changed, stands(changed), stands(one)))


@pytest.mark.parametrize("form", FORMS)
def test_another_change_leaves_the_tunnel_and_asks_for_the_text(form: str) -> None:
    one = made(environment("plain", managed=form))
    two = replace(one, addresses=(*one.addresses, IPNetwork("fd77::2/64")))
    more = replace(one, hub=replace(one.hub, allowed_ips=(*one.hub.allowed_ips, IPNetwork("192.168.99.0/24"))))
    for now, before in ((more, one), (one, two)):
        said = str(to_be_pasted(now, stands(now), stands(before)))
        assert said.startswith("gate: gateway_gate_conf says something else now; paste it there again")
        assert "is down" not in said


def test_another_form_with_the_same_values_is_no_outage() -> None:
    """Who writes another word for the device has pasted these values already."""
    before, now = (made(environment("plain", managed=form)) for form in ("no", "routeros"))
    assert "says something else now" in str(to_be_pasted(now, stands(now), stands(before)))


def test_what_the_stack_notes_is_read_back_and_holds_no_key() -> None:
    noted = json.loads(json.dumps(asdict(stands(made(environment("aliases"))))))
    assert to_be_pasted(made(environment("aliases")), stands(made(environment("aliases"))), held(noted)) is None
    assert str(KEYS.private_key) not in str(noted)
    assert str(KEYS.preshared_key) not in str(noted)


def test_what_another_version_has_noted_is_nothing() -> None:
    assert held(None) is None
    assert held(asdict(stands(made(environment("plain")))) | {"more": 1}) is None
