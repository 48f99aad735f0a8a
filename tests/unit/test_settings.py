"""The stack's settings as the program reads them: what is empty is unset, and what cannot be meant is refused before anybody is dialled."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime import set_all_config
from pulumi.runtime.settings import Settings, configure
from test_operator_key import made

from components import settings
from toolchain.environment import LAB_PASSPHRASE

OFFICE = """\
environment: office
network: {cidr: 10.70.0.0/16}
hub: {name: hub, address: 10.70.0.1, endpoint: 203.0.113.10:51820, ssh: {host: HUB, host_key: KEY}}
gateways:
  - name: gw
    site: beijing
    address: 10.70.0.2
    lan: {cidr: 192.168.200.0/24, address: 192.168.200.248}
    ssh: {GATEWAY, host_key: KEY}
developers: []
"""

Configure = Callable[..., None]


@pytest.fixture
def loop() -> Iterator[None]:
    """Pulumi's outputs want an event loop, and who ran one before may have left none."""
    made_here = asyncio.new_event_loop()
    asyncio.set_event_loop(made_here)
    yield
    # An output that nobody waited for is still to be made.
    for task in asyncio.all_tasks(made_here):
        made_here.run_until_complete(task)
    asyncio.set_event_loop(None)
    made_here.close()


@pytest.fixture
def config(loop: None) -> Configure:
    """Sets what the stack's configuration holds."""

    def give(**values: str) -> None:
        configure(Settings(project="wg-office", stack="office"))
        set_all_config({f"wg-office:{name}": value for name, value in values.items()})

    give()
    return give


def test_a_preview_says_what_ends_soon_and_goes_on(config: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJSo0YwaARrdMHOixv+SqeMTv1LEwZOBD96gpP8bvbYt"
    text = OFFICE.replace("HUB", "203.0.113.10").replace("GATEWAY", "host: 198.51.100.7").replace("KEY", key)
    for people, lines in (("[]", 0), (f"[{{name: ida, address: 10.70.0.9, until: {tomorrow}}}]", 1)):
        (tmp_path / "office.yaml").write_text(text.replace("developers: []", f"developers: {people}"))
        assert len(settings.environment(tmp_path / "office.yaml").developers) == lines
        assert len(said) == lines
    assert f"ida ends soon, {tomorrow} 24:00 UTC" in said[0]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return made(tmp_path / "key", "-t", "ed25519")


def told(action: Callable[[], object]) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        action()
    return str(refused.value)


# ---- what is empty ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [{}, {"sshKeyFile": ""}, {"sshKey": ""}, {"sshKeyFile": " ", "sshKey": "\n"}])
def test_without_a_key_the_agent_is_used(config: Configure, empty: dict[str, str]) -> None:
    config(**empty)
    assert settings.operator().private_key is None


def test_an_empty_setting_leaves_the_other_in_force(config: Configure, key: Path) -> None:
    for given in ({"sshKeyFile": str(key), "sshKey": ""}, {"sshKeyFile": "", "sshKey": key.read_text()}):
        config(**given)
        assert settings.operator().private_key is not None


def test_empty_tables_and_entries_hold_nothing(config: Configure) -> None:
    for given in (
        {},
        {"repair": "", "privateKeys": ""},
        {"repair": "{}", "privateKeys": "{}"},
        {"repair": '{"z": ""}', "privateKeys": '{"z": ""}'},
    ):
        config(**given)
        assert settings.repairs() == {}
        assert settings.adopted_keys() == {}


def test_without_environment_the_file_is_called_like_the_stack(config: Configure) -> None:
    for given in ({}, {"environment": ""}):
        config(**given)
        assert "configs/office.yaml: cannot be read" in told(settings.environment)


# ---- what cannot be meant --------------------------------------------------------------------------------------------


def test_two_keys_are_one_too_many(config: Configure, key: Path) -> None:
    config(sshKeyFile=str(key), sshKey=key.read_text())
    assert "both set" in told(settings.operator)
    assert "pulumi config rm sshKey" in told(settings.operator)


@pytest.mark.parametrize("setting", ["sshKeyFile", "sshKey"])
def test_a_key_with_a_passphrase_is_refused_and_the_agent_named(config: Configure, tmp_path: Path, setting: str) -> None:
    locked = made(tmp_path / "locked", "-t", "ed25519", passphrase="secret")
    config(**{setting: str(locked) if setting == "sshKeyFile" else locked.read_text()})
    said = told(settings.operator)
    assert "has a passphrase" in said
    assert f"the SSH agent is used: pulumi config rm {setting}" in said
    assert locked.read_text().splitlines()[1] not in said


@pytest.mark.parametrize("nonsense", ["no table", "[]", '"z"', '{"z": "two words"}', '{"z": ["list"]}'])
def test_a_repair_that_is_none_is_one_sentence(config: Configure, nonsense: str) -> None:
    config(repair=nonsense)
    assert "repair must hold a stamp" in told(settings.repairs)


@pytest.mark.parametrize("nonsense", ["no table", "[]", '"z"'])
def test_private_keys_that_are_no_table_are_one_sentence(config: Configure, nonsense: str) -> None:
    for setting, read in (("privateKeys", settings.adopted_keys), ("presharedKeys", settings.adopted_preshared)):
        config(**{setting: nonsense})
        assert f"{setting} must hold a key per peer: pulumi config set --secret --path '{setting}.NAME'" in told(read)


@pytest.mark.parametrize(
    ("setting", "kind", "read"),
    [("privateKeys", "private key", settings.adopted_keys), ("presharedKeys", "preshared key", settings.adopted_preshared)],
)
def test_a_key_that_is_none_is_named_and_not_shown(config: Configure, setting: str, kind: str, read: Callable[[], object]) -> None:
    config(**{setting: '{"hub": "8GUOAOKKNOFJnJZTmNzrvfG1zRYT9scYOLQFdUBNTWQ"}'})
    said = told(read)
    assert f"{setting}.hub is no WireGuard {kind}" in said
    assert "8GUO" not in said


# ---- the demo's passphrase -------------------------------------------------------------------------------------------


def office(folder: Path, hub: str, gateway: str) -> str:
    key = made(folder / "host", "-t", "ed25519").with_suffix(".pub").read_text().strip()
    file = folder / "office.yaml"
    file.write_text(OFFICE.replace("HUB", json.dumps(hub)).replace("GATEWAY", gateway).replace("KEY", key))
    return str(file)


def test_the_passphrase_that_is_refused_is_the_demos() -> None:
    assert settings.PUBLIC_PASSPHRASE == LAB_PASSPHRASE


@pytest.mark.parametrize(
    ("hub", "gateway", "remote"),
    [
        ("203.0.113.10", "host: 127.0.0.1", "root@203.0.113.10:22"),
        ("127.0.0.1", "host: 198.51.100.7, port: 2222", "root@198.51.100.7:2222"),
        ("vpn.example.com", "host: localhost", "root@vpn.example.com:22"),
        ("203.0.113.10", "host: 10.70.0.2, via: hub", "root@203.0.113.10:22"),
    ],
)
def test_the_demos_passphrase_is_refused_for_hosts_elsewhere(
    config: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: str, gateway: str, remote: str
) -> None:
    config(environment=office(tmp_path, hub, gateway))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", LAB_PASSPHRASE)
    said = told(settings.environment)
    assert f"the demo's, which everybody knows, and {remote} is not on this machine" in said
    assert "pulumi stack change-secrets-provider passphrase" in said
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "one of our own")
    assert settings.environment().environment == "office"


def test_the_demos_passphrase_in_a_file_is_the_same(config: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config(environment=office(tmp_path, "203.0.113.10", "host: 127.0.0.1"))
    (tmp_path / "passphrase").write_text(f"{LAB_PASSPHRASE}\n")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    assert "the demo's" in told(settings.environment)


@pytest.mark.parametrize(
    ("hub", "gateway"),
    [("127.0.0.1", "host: 127.0.0.1, port: 2222"), ("localhost", "host: '::1', port: 2222"), ("127.8.8.8", "host: 10.70.0.2, via: hub")],
)
def test_the_demos_passphrase_will_do_for_this_machine(
    config: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: str, gateway: str
) -> None:
    config(environment=office(tmp_path, hub, gateway))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", LAB_PASSPHRASE)
    assert settings.environment().environment == "office"


# ---- one environment file of several ---------------------------------------------------------------------------------

HERE = ("127.0.0.1", "host: 127.0.0.1, port: 2222")


def test_a_program_with_several_offices_names_the_file_of_each(config: Configure, tmp_path: Path) -> None:
    assert settings.environment(Path(office(tmp_path, *HERE))).environment == "office"


def test_a_fault_in_it_is_told_by_its_file_and_line(config: Configure, tmp_path: Path) -> None:
    file = Path(office(tmp_path, *HERE))
    file.write_text(file.read_text().replace("10.70.0.2", "10.71.0.2"))
    assert told(lambda: settings.environment(file)).startswith(f"{file} cannot be deployed:\n{file}:7 gateways[0].address: ")


def test_where_it_is_missing_the_stacks_setting_is_no_remedy(config: Configure, tmp_path: Path) -> None:
    file = tmp_path / "north.yaml"
    said = told(lambda: settings.environment(file))
    assert said.startswith(f"{file}: cannot be read: No such file or directory; ")
    assert "pulumi config set environment" not in said
    config(environment=str(file))
    assert "pulumi config set environment" in told(settings.environment)
