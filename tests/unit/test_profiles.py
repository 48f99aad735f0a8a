"""A developer's files: what is listed, what each client would refuse, and the whole text for reviewed environments."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPNetwork
from surely import client

from wg_office.environment.model import Environment
from wg_office.people.profiles import (
    MISSING_PRIVATE_KEY,
    ClientKeys,
    Profile,
    best_of,
    profiles,
    render_profile,
    tunnel_name,
)
from wg_office.reading.checks import check

GOLDEN = Path(__file__).parents[1] / "golden" / "profiles"
CASES = ("article", "options", "devices")

# The example keys of the WireGuard documentation, so that the golden files parse like real ones.
HUB_PUBLIC_KEY = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
PRIVATE_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PRESHARED_KEY = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="


def environment(case: str) -> Environment:
    return Environment.model_validate(yaml.safe_load((GOLDEN / case / "environment.yaml").read_text(encoding="utf-8")))


def changed(case: str, **changes: Any) -> Environment:
    return Environment.model_validate(yaml.safe_load((GOLDEN / case / "environment.yaml").read_text(encoding="utf-8")) | changes)


def rendered(env: Environment) -> dict[str, str]:
    """Every file of every developer, by `developer/file name`."""
    files = {}
    for developer in env.clients:
        keys = ClientKeys(HUB_PUBLIC_KEY, PRESHARED_KEY, None if developer.public_key else PRIVATE_KEY)
        for profile in profiles(env, developer):
            files[f"{developer.name}/{profile.file_name}"] = render_profile(profile, keys)
    return files


def profile_of(env: Environment, developer: str, kind: str) -> Profile:
    return next(p for p in profiles(env, client(env, developer)) if p.kind == kind)


def settings(text: str) -> list[tuple[str, str]]:
    pairs = [line.partition(" = ") for line in text.splitlines() if line and not line.startswith(("#", "["))]
    return [(key, value) for key, _, value in pairs]


# --- whole files -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_exactly_the_reviewed_ones(case: str) -> None:
    files = rendered(environment(case))
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        for directory in (path for path in (GOLDEN / case).iterdir() if path.is_dir()):
            shutil.rmtree(directory)
        for name, text in files.items():
            (GOLDEN / case / name).parent.mkdir(exist_ok=True)
            (GOLDEN / case / name).write_text(text, encoding="utf-8")
    reviewed = {str(path.relative_to(GOLDEN / case)): path.read_text(encoding="utf-8") for path in (GOLDEN / case).rglob("*.conf")}
    assert files == reviewed


@pytest.mark.parametrize("case", CASES)
def test_wg_quick_itself_parses_every_file(case: str, tmp_path: Path) -> None:
    for name, text in rendered(environment(case)).items():
        path = tmp_path / Path(name).name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        stripped = subprocess.run(["wg-quick", "strip", str(path)], capture_output=True, text=True, check=False)
        assert stripped.returncode == 0, stripped.stderr
        assert stripped.stderr == ""
        expected = [pair for pair in settings(text) if pair[0] not in {"Address", "MTU", "PostUp"}]
        assert settings(stripped.stdout) == expected


@pytest.mark.parametrize("case", CASES)
def test_every_client_takes_the_text(case: str) -> None:
    portable = {"PrivateKey", "Address", "MTU", "PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"}
    env = environment(case)
    for name, text in rendered(env).items():
        platform = next(d.platform for d in env.clients if name.startswith(f"{d.name}/"))
        pairs = settings(text)
        assert {key for key, _ in pairs} <= portable | ({"PostUp"} if platform == "linux" else set())
        assert all(value.strip() for _, value in pairs)
        assert text.isascii()
        assert "\r" not in text
        assert text.endswith("\n")
        listed = dict(pairs)["AllowedIPs"].split(", ")
        assert listed == [str(IPNetwork(prefix).cidr) for prefix in listed]
        assert all(address.endswith(("/32", "/128")) for address in dict(pairs)["Address"].split(", "))


# --- what is listed --------------------------------------------------------------------------------------------------------------------


def test_everyday_widens_exact_does_not_and_an_office_profile_leaves_its_lan_out() -> None:
    env = environment("article")
    assert {p.kind: p.allowed_ips for p in profiles(env, env.clients[0])} == {
        "everyday": ("10.70.0.0/16", "192.168.200.0/23"),
        "exact": ("10.70.0.0/16", "192.168.200.0/24", "192.168.201.0/24"),
        "at-shenzhen": ("10.70.0.0/16", "192.168.200.0/24"),
        "at-beijing": ("10.70.0.0/16", "192.168.201.0/24"),
    }


def test_a_developer_with_one_site_gets_that_sites_prefix_alone_and_a_note_on_what_is_swept_in() -> None:
    everyday = profile_of(environment("article"), "f", "everyday")
    assert profile_of(environment("article"), "f", "exact").allowed_ips == ("10.70.0.0/16", "192.168.200.0/24")
    assert everyday.allowed_ips == ("10.70.0.0/16", "192.168.200.0/23")
    assert [note.en for note in everyday.notes] == [
        "The widened prefixes also cover 192.168.201.0/24 (shenzhen), which you may not reach: the hub rejects what you send there."
    ]


@pytest.mark.parametrize("lan", ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "100.64.0.0/10", "203.0.113.0/24", "198.51.100.128/25"])
def test_a_lan_that_fills_its_private_block_or_is_public_is_listed_as_it_is_and_the_file_says_so(lan: str) -> None:
    address = str(IPNetwork(lan)[77])
    gateway = {
        "name": "c",
        "site": "beijing",
        "address": "100.127.0.3",
        "lan": {"cidr": lan, "address": address},
        "ssh": {"host": "192.0.2.7"},
    }
    env = changed("article", gateways=[gateway], developers=[{"name": "e", "address": "10.70.0.4", "access": ["beijing"]}])
    everyday = profile_of(env, "e", "everyday")
    assert everyday.allowed_ips == ("10.70.0.0/16", lan)
    assert [note.en for note in everyday.notes] == [
        f"{lan} (beijing) stands here as it is, because a wider prefix would hold other people's addresses: "
        "inside that office use its own file."
    ]
    assert "beijing" in everyday.notes[0].zh


def test_a_developer_without_access_has_one_file_with_the_vpn_alone() -> None:
    env = environment("article")
    (only,) = profiles(env, env.clients[2])
    assert only.allowed_ips == ("10.70.0.0/16",)


def test_a_retired_site_is_listed_nowhere() -> None:
    env = environment("options")
    for developer in env.clients:
        assert all("192.168.9." not in prefix for profile in profiles(env, developer) for prefix in profile.allowed_ips)


def test_groups_give_their_sites() -> None:
    env = environment("options")
    assert profile_of(env, "wei", "exact").allowed_ips == ("10.80.0.0/16", "fd80::/64", "192.168.1.0/24")


def test_a_group_cycle_ends() -> None:
    env = changed("options", groups={"staff": {"access": [{"group": "everyone"}]}, "everyone": {"access": [{"group": "staff"}, "dali"]}})
    assert profile_of(env, "wei", "exact").allowed_ips == ("10.80.0.0/16", "fd80::/64", "192.168.0.0/24")


def test_ipv6_is_in_addresses_and_prefixes_when_the_environment_has_it() -> None:
    env = environment("options")
    assert profile_of(env, "linus", "everyday").addresses == ("10.80.1.1/32", "fd80::101/128")
    assert profile_of(env, "wei", "everyday").addresses == ("10.80.1.3/32", "fd80::beef/128")


@pytest.mark.parametrize(
    ("developer", "kind"), [("linus", "everyday"), ("maya", "everyday"), ("wei", "everyday"), ("ivy", "everyday"), ("andy", "exact")]
)
def test_the_best_profile_follows_the_platform(developer: str, kind: str) -> None:
    env = environment("options")
    client = next(each for each in env.clients if each.name == developer)
    assert best_of(client, profiles(env, client)).kind == kind


# --- keys ------------------------------------------------------------------------------------------------------------------------------


def test_who_brings_a_public_key_has_one_line_to_fill_in() -> None:
    env = environment("article")
    profile = best_of(env.clients[0], profiles(env, env.clients[0]))
    whole = render_profile(profile, ClientKeys(HUB_PUBLIC_KEY, PRESHARED_KEY, PRIVATE_KEY))
    open_ = render_profile(profile, ClientKeys(HUB_PUBLIC_KEY, PRESHARED_KEY))
    assert [pair for pair in settings(open_) if pair not in settings(whole)] == [("PrivateKey", MISSING_PRIVATE_KEY)]


def test_keys_do_not_show_in_a_repr() -> None:
    shown = repr(ClientKeys(HUB_PUBLIC_KEY, PRESHARED_KEY, PRIVATE_KEY))
    assert PRIVATE_KEY not in shown
    assert PRESHARED_KEY not in shown


# --- split DNS -------------------------------------------------------------------------------------------------------------------------


def test_linux_resolves_the_offices_domains_through_servers_that_the_file_reaches() -> None:
    env = environment("options")
    domains = "resolvectl domain %i '~office.example' '~lab.example'"
    assert f"dns %i 192.168.1.53 10.80.0.1 172.16.4.53 && {domains}" in profile_of(env, "linus", "everyday").commands[0]
    assert f"dns %i 10.80.0.1 172.16.4.53 && {domains}" in profile_of(env, "linus", "at-guangzhou").commands[0]


@pytest.mark.parametrize(("developer", "system"), [("maya", "macOS"), ("wei", "Windows"), ("ivy", "iOS"), ("andy", "Android")])
def test_where_dns_would_take_over_everything_it_is_left_out_with_the_reason(developer: str, system: str) -> None:
    everyday = profile_of(environment("options"), developer, "everyday")
    assert everyday.commands == ()
    assert any(f"{system} would send it every query" in note.en and system in note.zh for note in everyday.notes)


def test_a_file_for_a_system_that_is_not_named_holds_nothing_of_one_system() -> None:
    developer = {"name": "e", "address": "10.80.1.1", "access": ["guangzhou"]}
    everyday = profile_of(changed("options", developers=[developer]), "e", "everyday")
    assert everyday.commands == ()
    assert any("does not say what system you have" in note.en and "没有注明您的系统，而多数系统会把" in note.zh for note in everyday.notes)


def test_a_name_server_that_is_only_swept_in_is_not_used() -> None:
    env = changed("article", network={"cidr": "10.70.0.0/16", "dns": {"servers": ["192.168.201.53"], "domains": ["office.example"]}})
    profile = profile_of(env, "f", "everyday")
    assert profile.commands == ()
    assert any("you may not reach their name server" in note.en for note in profile.notes)


@pytest.mark.parametrize(
    ("server", "grant"),
    [
        ("192.168.200.53", {"site": "beijing", "hosts": ["192.168.200.53"], "ports": ["53/udp"]}),
        ("192.168.200.248", {"site": "beijing", "hosts": ["192.168.200.248"], "ports": ["53/udp"]}),
        ("10.70.0.1", {"host": "z", "ports": ["53/udp"]}),
        ("10.70.0.3", {"host": "c", "ports": ["53/udp"]}),
        ("10.70.0.4", {"developer": "e", "ports": ["53/udp"]}),
    ],
)
def test_a_name_server_is_in_the_file_of_whoever_may_ask_it_and_in_no_others(server: str, grant: dict[str, Any]) -> None:
    """Also where other machines of the same LAN, or other ports of the same machine, may be reached."""
    near = {"site": "beijing", "hosts": ["192.168.200.20"], "ports": ["443/tcp"]}
    developers = [
        {"name": "e", "address": "10.70.0.4", "platform": "linux", "access": ["beijing"]},
        {"name": "may", "address": "10.70.0.5", "platform": "linux", "access": [near, grant]},
        {"name": "not", "address": "10.70.0.6", "platform": "linux", "access": [near, grant | {"ports": ["53/tcp"]}]},
    ]
    network = {"cidr": "10.70.0.0/16", "dns": {"servers": [server], "domains": ["office.example"]}}
    env = changed("article", network=network, developers=developers)
    assert f"resolvectl dns %i {server} &&" in profile_of(env, "may", "everyday").commands[0]
    refused = profile_of(env, "not", "everyday")
    assert refused.commands == ()
    assert any("you may not reach their name server" in note.en for note in refused.notes)


@pytest.mark.parametrize(
    ("resolvectl", "asked", "said"),
    [
        ('echo "$@" >>"$LOG"', ["dns dev 192.168.1.53 10.80.0.1 172.16.4.53", "domain dev ~office.example ~lab.example"], ""),
        ("exit 1", [], "no systemd-resolved: names of the office stay unresolved\n"),
        (None, [], "no systemd-resolved: names of the office stay unresolved\n"),
    ],
)
def test_the_tunnel_comes_up_with_or_without_systemd_resolved(tmp_path: Path, resolvectl: str | None, asked: list[str], said: str) -> None:
    """wg-quick evaluates the command in bash, where a failure would take the tunnel down again."""
    log, program = tmp_path / "log", tmp_path / "resolvectl"
    if resolvectl is not None:
        program.write_text(f"#!/bin/sh\n{resolvectl}\n", encoding="utf-8")
        program.chmod(0o755)
    command = profile_of(environment("options"), "linus", "everyday").commands[0].removeprefix("PostUp = ").replace("%i", "dev")
    environ = {"PATH": str(tmp_path), "LOG": str(log)}
    done = subprocess.run(
        ["/bin/bash", "-e", "-c", f"(eval {shlex.quote(command)})"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert (log.read_text(encoding="utf-8").splitlines() if log.exists() else []) == asked
    assert done.stderr.endswith(said)


# --- names -----------------------------------------------------------------------------------------------------------------------------

names = st.from_regex(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)


@given(names, st.lists(names, max_size=6, unique=True))
def test_names_are_valid_everywhere_and_different(name: str, sites: list[str]) -> None:
    made = [tunnel_name(name, kind) for kind in ("everyday", "exact", *(f"at-{site}" for site in sites))]
    for tunnel in made:
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,13}[a-z0-9]", tunnel)
        assert "-" in tunnel, "a bare word may be a device on Windows or a keyword of ip"
    assert len(set(made)) == len(made)


def test_names_say_which_network_and_which_office() -> None:
    assert [tunnel_name("dev", kind) for kind in ("everyday", "exact", "at-beijing", "at-guangzhou")] == [
        "dev-vpn",
        "dev-x",
        "dev-at-beijing",
        "de-at-guangzhou",
    ]


# --- faults ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_reviewed_environments_have_no_fault(case: str) -> None:
    assert check(environment(case)) == []


def test_a_home_network_like_an_office_is_a_note_in_the_files() -> None:
    env = environment("options")
    assert any("that office cannot be reached" in note.en for note in profile_of(env, "maya", "everyday").notes)
    assert any("may be out of reach" in note.en for note in profile_of(env, "maya", "exact").notes)
