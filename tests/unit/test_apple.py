"""The configuration profile for Apple devices: what Apple and WireGuard publish of it holds, and an office is known by what it has.

No device was at hand. What can be seen here: the file is a property list of the keys and types that Apple publishes for this payload, with
the tunnel that WireGuard documents in it.
"""

import io
import os
import plistlib
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
from test_handout import GOLDEN as PROFILES
from test_handout import confs_of, developer_of, environment
from test_preshared import OFFICE

from wg_office.environment.model import Client, Environment
from wg_office.people.apple import APPLE, Apple, apple_files, mobileconfig, signs_of
from wg_office.people.handout import handout_page, handout_zip
from wg_office.people.profiles import profiles
from wg_office.reading.load import inspect

GOLDEN = PROFILES.parent / "apple"

PAYLOAD = {"PayloadDisplayName": str, "PayloadType": str, "PayloadVersion": int, "PayloadIdentifier": str, "PayloadUUID": str}
TUNNEL = PAYLOAD | {"UserDefinedName": str, "VPNType": str, "VPNSubType": str, "VendorConfig": dict, "VPN": dict}
VPN = {"RemoteAddress": str, "AuthenticationMethod": str, "OnDemandEnabled": int, "OnDemandRules": list}
"""The keys that must be there, by Apple's list for com.apple.vpn.managed and WireGuard's own, and their types."""
RULE = {"Action": str, "DNSServerAddressMatch": list, "SSIDMatch": list, "InterfaceTypeMatch": str}
"""Those that a rule may have."""


def client_of(tmp_path: Path, text: str, name: str = "f") -> tuple[Environment, Client]:
    (tmp_path / "office.yaml").write_text(text)
    report = inspect(tmp_path / "office.yaml", require_host_keys=False)
    assert report.environment is not None, report.faults
    return report.environment, developer_of(report.environment, name)


def made(env: Environment, client: Client, platform: Apple = "ios") -> bytes | None:
    profile = profiles(env, client)[0]
    return mobileconfig(env, client, profile, confs_of(env, client.name)[profile.kind], platform)


def rules_of(data: bytes | None) -> list[dict[str, Any]]:
    assert data is not None
    found: list[dict[str, Any]] = plistlib.loads(data)["PayloadContent"][0]["VPN"]["OnDemandRules"]
    return found


WITH_WIFI = OFFICE.replace("    lan: {", "    wifi: [Office, 'Büro <5> & {who} *x*']\n    lan: {")
WITH_DNS = OFFICE.replace("{cidr: 10.70.0.0/16}", "{cidr: 10.70.0.0/16, dns: {servers: [192.168.200.53, 10.70.0.1], domains: [o.example]}}")


@pytest.mark.parametrize("platform", APPLE)
@pytest.mark.parametrize("text", [WITH_WIFI, WITH_DNS], ids=["wifi", "name server"])
def test_it_has_the_keys_and_types_that_apple_and_wireguard_publish_and_no_others(tmp_path: Path, text: str, platform: Apple) -> None:
    env, client = client_of(tmp_path, text)
    data = made(env, client, platform)
    assert data is not None
    whole = plistlib.loads(data)
    (tunnel,) = whole["PayloadContent"]
    assert {key: type(value) for key, value in whole.items()} == PAYLOAD | {"PayloadContent": list}
    assert {key: type(value) for key, value in tunnel.items()} == TUNNEL
    assert {key: type(value) for key, value in tunnel["VPN"].items()} == VPN
    assert (whole["PayloadType"], tunnel["PayloadType"], tunnel["VPNType"]) == ("Configuration", "com.apple.vpn.managed", "VPN")
    assert (tunnel["VPNSubType"], tunnel["VPN"]["AuthenticationMethod"]) == (f"com.wireguard.{platform}", "Password")
    for rule in rules_of(data):
        assert {key: type(value) for key, value in rule.items()}.items() <= RULE.items()
        assert rule["Action"] in ("Connect", "Disconnect")
    assert len({uuid.UUID(whole["PayloadUUID"]), uuid.UUID(tunnel["PayloadUUID"])}) == 2
    assert whole["PayloadIdentifier"] != tunnel["PayloadIdentifier"]


def test_the_tunnel_is_that_of_the_everyday_file_without_what_only_linux_takes() -> None:
    env = environment("options")
    data, text = made(env, developer_of(env, "linus")), confs_of(env, "linus")["everyday"]
    assert data is not None
    held = plistlib.loads(data)["PayloadContent"][0]["VendorConfig"]["WgQuickConfig"]
    assert [line for line in text.splitlines() if line not in held.splitlines()] == [line for line in text.splitlines() if "PostUp" in line]
    assert "PostUp" in text


def test_it_is_off_where_the_offices_name_server_or_wifi_is_and_on_everywhere_else(tmp_path: Path) -> None:
    env, client = client_of(tmp_path, WITH_DNS)
    assert rules_of(made(env, client)) == [{"Action": "Disconnect", "DNSServerAddressMatch": ["192.168.200.53"]}, {"Action": "Connect"}]
    env, client = client_of(tmp_path, WITH_WIFI)
    assert rules_of(made(env, client)) == [
        {"Action": "Disconnect", "InterfaceTypeMatch": "WiFi", "SSIDMatch": ["Office", "Büro <5> & {who} *x*"]},
        {"Action": "Connect"},
    ]


def test_an_office_is_known_by_its_name_server_whoever_may_ask_that_from_outside(tmp_path: Path) -> None:
    ports = "access: [{site: beijing, hosts: [192.168.200.9], ports: [22/tcp]}]"
    env, client = client_of(tmp_path, WITH_DNS.replace("10.70.0.11, access: [beijing]", f"10.70.0.11, {ports}"))
    assert signs_of(env, client).servers == ("192.168.200.53",)


def test_a_name_server_that_stands_at_home_too_tells_no_office(tmp_path: Path) -> None:
    at_home = WITH_DNS.replace("{name: f,", "{name: f, home: 192.168.200.0/24,")
    env, client = client_of(tmp_path, at_home)
    assert signs_of(env, client).servers == ()


def test_an_office_that_others_know_by_an_alias_is_known_by_its_own_addresses(tmp_path: Path) -> None:
    text = WITH_DNS.replace("address: 192.168.200.248}", "address: 192.168.200.248, as: 10.99.1.0/24}").replace(
        "[192.168.200.53,", "[10.99.1.53,"
    )
    env, client = client_of(tmp_path, text)
    assert signs_of(env, client).servers == ("192.168.200.53",)


def test_offices_that_somebody_may_not_reach_are_none_of_theirs(tmp_path: Path) -> None:
    env, client = client_of(
        tmp_path, WITH_WIFI.replace("{name: f, address: 10.70.0.11, access: [beijing]}", "{name: f, address: 10.70.0.11}")
    )
    assert made(env, client) is None


def test_there_is_none_where_no_office_can_be_told_nor_for_whoever_keeps_the_private_key(tmp_path: Path) -> None:
    env, client = client_of(tmp_path, OFFICE)
    assert made(env, client) is None
    assert "mobileconfig" not in handout_page(env, client, confs_of(env, "f"))
    env, client = client_of(tmp_path, WITH_WIFI, "e")
    assert client.public_key is not None
    assert made(env, client) is None
    assert "mobileconfig" not in handout_page(env, client, confs_of(env, "e"))


def test_the_same_key_makes_the_same_bytes_and_another_key_takes_its_place(tmp_path: Path) -> None:
    env, client = client_of(tmp_path, WITH_WIFI)
    profile, text = profiles(env, client)[0], confs_of(env, "f")["everyday"]
    first, again = (mobileconfig(env, client, profile, text, "ios") for _ in range(2))
    other = mobileconfig(env, client, profile, text.replace("yAnz5TF", "zAnz5TF"), "ios")
    assert first is not None
    assert other is not None
    assert first == again
    was, now = plistlib.loads(first), plistlib.loads(other)
    assert was["PayloadIdentifier"] == now["PayloadIdentifier"], "so that the new one replaces the old"
    assert was["PayloadUUID"] != now["PayloadUUID"]


def test_the_page_offers_it_to_apple_devices_alone_says_by_what_it_goes_and_that_nobody_tried_it(tmp_path: Path) -> None:
    env, client = client_of(tmp_path, WITH_WIFI)
    text = handout_page(env, client, confs_of(env, "f"))
    assert text.count('download="office-vpn-macos.mobileconfig"') == text.count('download="office-vpn-ios.mobileconfig"') == 1
    assert "<code><bdi>Büro &lt;5&gt; &amp; {who} *x*</bdi></code>" in text
    assert text.count("and not tried on a device") == 2
    assert "your other offices are out of reach" not in text, "there is one"
    assert "your other offices are out of reach" in page_with_wifi()


def page_with_wifi() -> str:
    env = environment("article")
    env = env.model_copy(update={"gateways": tuple(each.model_copy(update={"wifi": ("W",)}) for each in env.gateways)})
    return handout_page(env, developer_of(env, "e"), confs_of(env, "e"))


def test_the_zip_has_that_of_the_owners_system_or_both_where_nobody_said(tmp_path: Path) -> None:
    expected = {None: ["office-vpn-macos.mobileconfig", "office-vpn-ios.mobileconfig"], "ios": ["office-vpn-ios.mobileconfig"], "linux": []}
    for platform, names in expected.items():
        line = "" if platform is None else f" platform: {platform},"
        env, client = client_of(tmp_path, WITH_WIFI.replace("{name: f,", f"{{name: f,{line}"))
        with zipfile.ZipFile(io.BytesIO(handout_zip(env, client, confs_of(env, "f")))) as archive:
            assert [name for name in archive.namelist() if name.endswith(".mobileconfig")] == names


@pytest.mark.parametrize("name", ["'" + "ü" * 17 + "'", "''", '"a\\u200bb"', "7"])
def test_what_is_no_name_of_a_wifi_is_one_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / "office.yaml"
    file.write_text(WITH_WIFI.replace("[Office,", f"[{name},"))
    faults = inspect(file, require_host_keys=False).faults
    assert [fault.path for fault in faults] == ["gateways[0].wifi[0]"]
    assert "\n" not in str(faults[0])


def test_the_hub_has_a_wifi_only_where_it_has_networks(tmp_path: Path) -> None:
    (tmp_path / "office.yaml").write_text(OFFICE.replace("{name: hub,", "{name: hub, wifi: [W],"))
    faults = inspect(tmp_path / "office.yaml", require_host_keys=False).faults
    assert [str(fault).partition(": ")[2].partition(";")[0] for fault in faults] == ["is given, but the hub has no networks of its own"]


def test_the_files_are_as_they_were_reviewed(tmp_path: Path) -> None:
    text = WITH_WIFI.replace("{cidr: 10.70.0.0/16}", "{cidr: 10.70.0.0/16, dns: {servers: [192.168.200.53], domains: [o.example]}}")
    env, client = client_of(tmp_path, text)
    profile = profiles(env, client)[0]
    files = apple_files(env, client, profile, confs_of(env, "f")[profile.kind])
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        for name, data in files.items():
            (GOLDEN / name).write_bytes(data)
    assert files == {file.name: file.read_bytes() for file in GOLDEN.iterdir()}
