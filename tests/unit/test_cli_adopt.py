"""`python -m wg_office adopt`, over real SSH on the loopback address; and what asks the hosts, run by bash."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from found_hosts import HUB_CONF, MASQUERADE, gateway_conf, private, public, said, shared
from test_dial import HOST, HOSTILE, LOOPBACK, Behaviour, key, says, serve  # noqa: F401 (fixtures)
from typer.testing import CliRunner, Result

from wg_office.adopt.network import Asked, network_of
from wg_office.adopt.units import tunnels
from wg_office.asking.said import parse_said
from wg_office.commands.cli import app
from wg_office.environment.model import Site, Ssh
from wg_office.hosts.hostscript import HOSTSIDE, found_command, found_script
from wg_office.reading.load import load

Serve = Callable[[Behaviour], int]

HUB = said({"/etc/wireguard/wg0.conf": HUB_CONF}, {"wg0": ["10.70.0.1/16"]})
GATEWAYS = {
    "a": said({"/etc/wireguard/wg0.conf": gateway_conf("a", "10.70.0.2")}, {"eth0": ["192.168.201.247/24"]}),
    "c": said({"/etc/wireguard/wg0.conf": gateway_conf("c", "10.70.0.3")}, {"eth0": ["192.168.200.248/24"]}, iptables=MASQUERADE),
}
SECRETS = {*(private(name) for name in "zac"), *(shared(name) for name in "ace")}


class Network:
    """Hosts that answer, and a folder from which they are asked."""

    def __init__(self, folder: Path, starts: Serve, operator: Path) -> None:
        self.folder, self._serve, self._operator = folder, starts, operator
        self.known = folder / "known"
        self.known.touch()
        self.out = folder / "office.yaml"
        self.secrets = folder / "office.secrets"

    def host(self, text: str | Behaviour) -> str:
        """Where a host is that says this; its key is known."""
        port = self._serve(says(text.encode()) if isinstance(text, str) else text)
        with self.known.open("a") as known:
            known.write(f"[{LOOPBACK}]:{port} {HOST.export_public_key().decode()}")
        return f"root@{LOOPBACK}:{port}"

    def adopt(self, hub: str, *more: str, **gateways: str) -> Result:
        named = [word for name, where in gateways.items() for word in ("--gateway", f"{name}={where}")]
        files = ["--known-hosts", str(self.known), "--key", str(self._operator), "-o", str(self.out)]
        result = CliRunner().invoke(app, ["adopt", "--hub", hub, "--hub-name", "z", *named, *files, *more])
        assert not [secret for secret in SECRETS if secret in result.output]
        assert result.output.replace("\n", "").isprintable()
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def article(self, *more: str) -> Result:
        return self.adopt(self.host(HUB), *more, **{name: self.host(text) for name, text in GATEWAYS.items()})


@pytest.fixture
def network(tmp_path: Path, serve: Serve, key: Path) -> Network:  # noqa: F811
    (tmp_path / "work").mkdir()
    return Network(tmp_path / "work", serve, key)


def test_the_file_is_written_and_check_has_nothing_against_it(network: Network) -> None:
    result = network.article()
    assert result.exit_code == 0, result.output
    env = load(network.out)
    assert (env.environment, [each.name for each in env.peers]) == ("office", ["z", "a", "c", "e", "jurgen-gross"])
    assert "office is fine: hub z, 2 gateways (a at a, c at c), 2 developers (e, jurgen-gross)" in result.output
    assert env.hub.ssh.host_key == " ".join(HOST.export_public_key().decode().split()[:2]), "the key that was pinned is pinned in the file"


def test_keys_are_in_a_file_for_the_operator_alone(network: Network) -> None:
    network.article()
    assert network.secrets.stat().st_mode & 0o777 == 0o600
    assert {line.split()[1] for line in network.secrets.read_text().splitlines()} == SECRETS
    assert not [secret for secret in SECRETS if secret in network.out.read_text()]


def test_the_command_that_is_printed_gives_the_stack_every_secret_and_shows_none_in_an_argument(network: Network) -> None:
    commands = json.loads(network.article("--json").output)["commands"]
    [giving] = [each for each in commands if each.startswith("while read")]
    pulumi = network.folder / "pulumi"
    pulumi.write_text('#!/bin/sh\necho "$*: $(cat)" >>"$CALLS"\n')
    pulumi.chmod(0o755)
    calls = network.folder / "calls"
    path = f"{network.folder}:{os.environ['PATH']}"
    subprocess.run(["bash", "-c", giving], check=True, env={"PATH": path, "CALLS": str(calls)})
    expected = {f"privateKeys.{name}": private(name) for name in "zac"} | {f"presharedKeys.{name}": shared(name) for name in "ace"}
    assert calls.read_text().splitlines() == [
        f"config set --stack office --secret --path {place}: {value}" for place, value in expected.items()
    ]
    assert not [secret for secret in SECRETS if secret in "".join(commands)]


def test_hosts_are_told_to_be_freed_of_what_is_there_before_the_up(network: Network) -> None:
    commands = json.loads(network.article("--json").output)["commands"]
    stops = [each for each in commands if "systemctl disable --now wg-quick@wg0" in each]
    assert [each.split()[:3] for each in stops] == [["ssh", "-p", each.split()[2]] for each in stops]
    assert len(stops) == 3
    assert commands.index(stops[-1]) < commands.index("pulumi up")


def running(name: str, address: str) -> str:
    """A gateway whose tunnel runs, as wg-quick makes it."""
    conf = gateway_conf(name, {"a": "10.70.0.2", "c": "10.70.0.3"}[name])
    runs = f"wg0\t{private(name)}\t{public(name)}\t40000\toff\n"
    runs += f"wg0\t{public('z')}\t{shared(name)}\t203.0.113.10:51820\t10.70.0.0/16\t0\t0\t0\t25\n"
    return said({"/etc/wireguard/wg0.conf": conf}, {"eth0": [f"{address}/24"]}, wg=runs)


def test_a_tunnel_that_runs_by_wg_quick_is_taken_over_as_it_is_and_nothing_is_typed_for_it(network: Network) -> None:
    gateways = {"a": network.host(running("a", "192.168.201.247")), "c": network.host(GATEWAYS["c"])}
    commands = json.loads(network.adopt(network.host(HUB), "--json", **gateways).output)["commands"]
    assert len([each for each in commands if "systemctl disable --now wg-quick@wg0" in each]) == 2, "c and the hub do not run"
    env = load(network.out, require_host_keys=False)
    hosts: tuple[Site, ...] = (env.hub, *env.gateways)
    assert {each.name: each.takes_over for each in hosts} == {"z": None, "a": "wg-quick", "c": None}


def test_where_all_tunnels_run_by_wg_quick_the_up_is_all_and_no_session_ends(network: Network) -> None:
    hub_runs = f"wg0\t{private('z')}\t{public('z')}\t51820\toff\n"
    hub = network.host(said({"/etc/wireguard/wg0.conf": HUB_CONF}, {"wg0": ["10.70.0.1/16"]}, wg=hub_runs))
    gateways = {
        "a": network.host(running("a", "192.168.201.247")),
        "c": network.host(running("c", "192.168.200.248")),
    }
    told = network.adopt(hub, **gateways).output
    assert "The tunnels are taken over as they run, and no session ends." in told
    assert "systemctl" not in told.partition("Read the file, and then type:")[2]


def test_where_the_file_cannot_be_written_no_keys_are_left_behind(network: Network) -> None:
    network.folder.joinpath("deep").mkdir()
    network.out = network.folder / "deep" / "nowhere" / "office.yaml"
    result = network.article()
    assert result.exit_code == 2
    assert "cannot be written: No such file or directory; name another place with --out" in result.output
    assert list(network.folder.joinpath("deep").iterdir()) == []


def test_nothing_is_written_over_and_nobody_is_dialled_then(network: Network) -> None:
    for file in (network.out, network.secrets):
        file.write_text("mine\n")
        result = network.adopt(f"{LOOPBACK}:1")
        assert (result.exit_code, file.read_text()) == (2, "mine\n")
        assert f"{file} is there already" in result.output
        file.unlink()


@pytest.mark.parametrize(
    ("hub", "more", "words"),
    [
        ("127.0.0.1:1", (), "--hub: known_hosts has no ssh-ed25519 key of [127.0.0.1]:1: compare `ssh-keyscan -t ed25519 -p 1 127.0.0.1`"),
        ("not a host", (), "--hub not a host:"),
        ("127.0.0.1:1", ("--gateway", "nobody"), "--gateway nobody: write NAME=[USER@]HOST[:PORT]"),
        ("127.0.0.1:1", ("--gateway", "Con\x1b[2J=x"), "write NAME=[USER@]HOST[:PORT]"),
        ("127.0.0.1:1", ("--through-hub", "a"), "--through-hub a: no --gateway has that name"),
        ("127.0.0.1:1", ("--known-hosts", "/nowhere"), "/nowhere cannot be read; name the file with the hosts' keys with --known-hosts"),
    ],
)
def test_what_cannot_be_meant_is_one_line(network: Network, hub: str, more: tuple[str, ...], words: str) -> None:
    result = network.adopt(hub, *more)
    assert result.exit_code == 2
    assert words in result.output
    assert not network.out.exists()


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (says(b"", b"sudo: a password is required\n", 1), 5, "sudo: a password is required"),
        (says(b"Welcome!\n"), 5, "it did not say all; ask again, or look at the host"),
        (says(HOSTILE), 5, "did not say all"),
        (says(HUB.replace("|[Peer]", "|[Peer").encode()), 1, "/etc/wireguard/wg0.conf:7 is no setting: [Peer"),
        (says(HUB.replace("== wg", f"{HOSTILE.decode(errors='replace')}\n== wg").encode()), 5, "said a line that is no part of the answer"),
    ],
)
def test_a_host_that_does_not_answer_well_is_a_line_and_nothing_is_written(
    network: Network, answer: Behaviour, status: int, words: str
) -> None:
    result = network.adopt(network.host(answer))
    assert result.exit_code == status, result.output
    assert words in result.output
    assert "nothing has been written" in result.output
    assert list(network.folder.iterdir()) == [network.known]


def test_hosts_of_two_networks_are_refused_and_nothing_is_written(network: Network) -> None:
    other = GATEWAYS["a"].replace(public("z"), public("y"))
    result = network.adopt(network.host(HUB), a=network.host(other), c=network.host(GATEWAYS["c"]))
    assert result.exit_code == 1
    assert "does not know z: no WireGuard interface there has a peer with its key" in result.output
    assert list(network.folder.iterdir()) == [network.known]


def test_what_check_refuses_is_written_and_told_with_its_line(network: Network) -> None:
    twice = HUB_CONF.replace("10.70.0.5/32", "10.70.0.4/32")
    hub = said({"/etc/wireguard/wg0.conf": twice}, {"wg0": ["10.70.0.1/16"]})
    result = network.adopt(network.host(hub), **{name: network.host(text) for name, text in GATEWAYS.items()})
    assert result.exit_code == 1
    assert f"{network.out}:" in result.output
    assert "developers[1].address" in result.output
    assert network.out.exists()


# --- what asks the hosts -----------------------------------------------------------------------------------------------------------------


def answer_of(root: Path, **programs: str) -> str:
    """What hostside/found says of the files in a folder, with these programs in place of the machine's."""
    (root / "bin").mkdir(parents=True)
    for name in ("wg", "ip", "iptables-save", "nft", "systemctl"):
        program = root / "bin" / name
        program.write_text(f"#!/bin/sh\n{programs.get(name.replace('-', '_'), 'exit 1')}\n")
        program.chmod(0o755)
    command = ["bash", "--norc", "-s", "--", str(root)]
    env = {"PATH": f"{root / 'bin'}:/usr/bin:/bin"}
    return subprocess.run(command, input=found_script(), text=True, capture_output=True, check=True, env=env).stdout


def test_the_script_says_files_keys_that_they_name_and_what_runs(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/network"
    units.mkdir(parents=True)
    (tmp_path / "etc/wireguard").mkdir()
    (tmp_path / "etc/wireguard/wg0.conf").write_text(HUB_CONF.removesuffix("\n"))
    (units / "w.netdev").write_text("[NetDev]\nName=wg1\nKind=wireguard\n[WireGuard]\nPrivateKeyFile=/etc/w.key\n")
    (tmp_path / "etc/w.key").write_text(private("x"))
    links = json.dumps([{"ifname": "wg0", "mtu": 1380, "addr_info": []}])
    answer = answer_of(
        tmp_path,
        ip=f"case \"$2\" in addr) echo '{links}' ;; *) echo '[]' ;; esac",
        iptables_save=f"printf '{MASQUERADE}'".replace("\n", "\\n"),
        systemctl='[ "$3" = docker ]',
    )
    found = parse_said(answer)
    assert {each.name: each.private_key for each in tunnels(found)} == {"wg0": private("z"), "wg1": private("x")}
    assert (found.iptables, {*found.active}) == (MASQUERADE, {"docker"})
    assert [(each.name, each.mtu) for each in found.links] == [("wg0", 1380)]


def test_the_script_says_all_where_a_host_has_nothing(tmp_path: Path) -> None:
    found = parse_said(answer_of(tmp_path))
    assert (found.files, found.wg, found.links, found.active) == ({}, "", (), frozenset())


def test_the_script_changes_nothing_and_is_run_as_root() -> None:
    assert found_command("root") == "timeout -k 5 100 bash --norc -s"
    assert found_command("ops") == "sudo -n timeout -k 5 100 bash --norc -s"
    text = (HOSTSIDE / "found").read_text()
    assert not [word for word in (" set ", "-A ", "add ", "delete", "rm ", "tee ", "enable", "start") if word in text.split("\n\n", 1)[1]]


def test_a_network_whose_hosts_the_script_read_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "etc/wireguard").mkdir(parents=True)
    (tmp_path / "etc/wireguard/wg0.conf").write_text(HUB_CONF.split("# a, Shenzhen")[0] + HUB_CONF[HUB_CONF.index("# e\n") :])
    hub = Asked("z", Ssh(host="203.0.113.10"), parse_said(answer_of(tmp_path)))
    assert [each.name for each in network_of(hub, ()).people] == ["e", "jurgen-gross"]
