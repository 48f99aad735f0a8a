"""`python -m wg_office status`, `repair` and `revoke` over real SSH to hosts of namespaces: what they say, how they end, whom they dial."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from sandbox import Office, Sandbox
from sshd import BEHIND, LOOPBACK, Sshd, free_port, new_key
from test_revoked import clean

from wg_office.network.plan import plan
from wg_office.reading.load import load

ENVIRONMENT = """\
environment: office
network: {{cidr: 192.0.2.0/24}}
hub:
  name: z
  address: 192.0.2.1
  endpoint: 203.0.113.10:51820
  ssh: {{host: 127.0.0.1, port: {z.port}, user: {z.user}, host_key: {z.host_key}}}
gateways:
  - name: a
    site: shenzhen
    address: 192.0.2.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    ssh: {{host: 127.0.0.2, port: {a.port}, user: {a.user}, host_key: {a.host_key}, via: hub}}
developers:
  - {{name: e, address: 192.0.2.4, access: [shenzhen]}}
"""
ADDRESSES = {"z": "203.0.113.10/24", "a": "192.168.201.247/24"}


@dataclass
class Net:
    """A hub and a gateway behind it, each with its own sshd, and the file that names them."""

    file: Path
    servers: dict[str, Sshd]
    hosts: dict[str, Office]

    @property
    def key(self) -> Path:
        return self.servers["z"].folder / "client"

    def status(self, *arguments: str, file: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("status", str(file or self.file), *arguments, **variables)

    def repair(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("repair", str(self.file), "--key", str(self.key), *arguments, **variables)

    def revoke(self, name: str, *arguments: str, file: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("revoke", name, "--file", str(file or self.file), "--key", str(self.key), *arguments, **variables)

    def run(self, verb: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "wg_office", verb, "--timeout", "100", *arguments]
        inherited = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        clone = str(Path(__file__).resolve().parents[2])
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**inherited, "PYTHONPATH": clone, **variables}, cwd=self.file.parent
        )

    def asked(self, *arguments: str) -> dict[str, Any]:
        done = self.status("--key", str(self.key), "--json", *arguments)
        data = json.loads(done.stdout)
        assert data["exit_status"] == done.returncode
        return dict(data)

    @property
    def dials(self) -> dict[str, int]:
        return {name: server.dials for name, server in self.servers.items()}

    def with_text(self, name: str, old: str, new: str) -> Path:
        text = self.file.read_text()
        assert old in text
        other = self.file.with_name(f"{name}.yaml")
        other.write_text(text.replace(old, new))
        return other


def served(folder: Path, sandbox: Sandbox) -> Sshd:
    """An sshd whose commands run on the host."""
    folder.mkdir()
    return Sshd(folder, extra=f'ForceCommand {sandbox.enter} sh -c "$SSH_ORIGINAL_COMMAND"\n')


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with serving(tmp_path_factory.mktemp("net")) as made:
        yield made


@contextmanager
def serving(folder: Path) -> Iterator[Net]:
    """Both hosts with the environment installed, and their servers."""
    with ExitStack() as stack:
        sandboxes = {name: stack.enter_context(Sandbox(address)) for name, address in ADDRESSES.items()}
        servers = {name: served(folder / name, sandbox) for name, sandbox in sandboxes.items()}
        for server in servers.values():
            server.start()
            stack.callback(server.stop)
            let_operator_in(server, servers["z"])
        file = folder / "office.yaml"
        file.write_text(ENVIRONMENT.format(**servers))
        environment = load(file)
        hosts = {host.name: Office(sandboxes[host.name], environment, host) for host in plan(environment)}
        for host in hosts.values():
            host.install()
        yield Net(file, servers, hosts)


def let_operator_in(server: Sshd, hub: Sshd) -> None:
    """By the one key that they have at the hub."""
    (server.folder / "authorized_keys").write_text((hub.folder / "client.pub").read_text())


@contextmanager
def unreachable(net: Net, name: str) -> Iterator[None]:
    net.servers[name].stop()
    try:
        yield
    finally:
        net.servers[name].start()
        let_operator_in(net.servers[name], net.servers["z"])


# ---- all well -------------------------------------------------------------------------------------------------------


def test_a_healthy_network_ends_with_0_and_was_dialled_once_per_host(net: Net) -> None:
    before = net.dials
    done = net.status("--key", str(net.key), "--peers")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("office: 2 hosts: 2 well\n")
    assert "z answered" in done.stdout
    assert net.dials == {name: count + 1 for name, count in before.items()}


def test_the_json_says_the_same(net: Net) -> None:
    data = net.asked()
    assert (data["state"], data["exit_status"]) == ("well", 0)
    z, a = data["hosts"]
    assert [peer["name"] for peer in z["peers"]] == ["a", "e"]
    assert a["pings"] == [{"to": "z", "address": "192.0.2.1", "answer": "answered"}]
    assert abs(z["clock"]["ahead"]) <= z["clock"]["uncertain"] + 1
    assert z["versions"]["systemd"] == "252"


def test_the_agents_key_is_used_where_no_other_is_given(net: Net) -> None:
    with agent(net.key) as path:
        assert net.status(SSH_AUTH_SOCK=path).returncode == 0


@contextmanager
def agent(key: Path | None) -> Iterator[str]:
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    path, pid = re.findall(r"SSH_A\w+=([^;]+);", said)
    environment = {**os.environ, "SSH_AUTH_SOCK": path, "SSH_AGENT_PID": pid}
    try:
        if key is not None:
            subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True)
        yield path
    finally:
        subprocess.run(["ssh-agent", "-k"], env=environment, check=True, capture_output=True)


# ---- not well -------------------------------------------------------------------------------------------------------


def test_drift_is_one_line_and_ends_with_4(net: Net) -> None:
    key = net.hosts["z"].public("e")
    net.hosts["z"].sandbox.shell(f"sed -i '\\|^{key}|d' /run/stand-in/wg/wg0")
    try:
        done = net.status("--key", str(net.key))
        assert done.returncode == 4
        assert [line for line in done.stdout.splitlines() if line.startswith(("z:", "a:"))] == [
            f"z: drift: peer e ({key}) is missing on wg0"
        ]
        assert found(done.stdout, net) == []
        assert found(net.status("--key", str(net.key), "--json", "--peers").stdout, net) == []
    finally:
        net.hosts["z"].install(repair="1")
    assert net.asked()["state"] == "well"


def found(text: str, net: Net) -> list[str]:
    return [name for host in net.hosts.values() for name, secret in host.secret_keys.items() if secret in text]


def test_a_changed_file_is_an_up_that_is_due_and_ends_with_3(net: Net) -> None:
    more = net.with_text("more", "access: [shenzhen]}", "access: [shenzhen]}\n  - {name: g, address: 192.0.2.6}")
    done = net.status("--key", str(net.key), file=more)
    assert done.returncode == 3
    assert [line for line in done.stdout.splitlines() if line.startswith(("z:", "a:"))] == [
        "z: up due: peer g is in the file and not let in yet: pulumi up",
        "z: up due: differs from the file in /run/systemd/network/50-wg0.netdev: pulumi up",
    ]


UNMANAGED = """  - {name: m, site: depot, address: 192.0.2.9, managed: "no", lan: {cidr: 192.168.202.0/24, address: 192.168.202.2}}
developers:"""


def test_a_gateway_that_nobody_logs_in_to_has_a_row_after_what_the_hub_says_of_it(net: Net) -> None:
    file, before = net.with_text("device", "developers:", UNMANAGED), net.hosts["z"]
    done = net.status("--key", str(net.key), file=file)
    assert done.returncode == 3
    assert "m: up due: hub z does not let it in yet: pulumi up" in done.stdout.splitlines()
    environment = load(file)
    Office(before.sandbox, environment, next(host for host in plan(environment) if host.name == "z")).install()
    try:
        done = net.status("--key", str(net.key), file=file)
        data = json.loads(net.status("--key", str(net.key), "--json", file=file).stdout)
        repaired = net.run("repair", str(file), "--key", str(net.key), PATH="/usr/bin:/bin")
    finally:
        before.install()
    assert done.returncode == 4
    assert [line for line in done.stdout.splitlines() if line.startswith(("z:", "m:"))] == [
        "m: trouble: does not answer a ping of hub z (192.0.2.9)"
    ], "and it has just shaken hands"
    assert [(host["name"], host["role"]) for host in data["hosts"]] == [("z", "hub"), ("a", "gateway"), ("m", "unmanaged gateway")]
    assert "no host that answered needs a repair" in repaired.stdout


# ---- repair ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def drifted(net: Net) -> Iterator[str]:
    """The gateway without its forwarding."""
    net.hosts["a"].sandbox.shell("sysctl -qw net.ipv4.ip_forward=0")
    yield "a"
    net.hosts["a"].sandbox.shell("sysctl -qw net.ipv4.ip_forward=1")


def test_repair_sets_a_stamp_for_the_drifted_host_alone(net: Net, drifted: str, tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/called\n')
    program.chmod(0o755)
    done = net.repair("--stack", "org/x", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 0
    *words, setting, last = (tmp_path / "called").read_text().splitlines()
    assert words == ["config", "set-all", "--stack", "org/x", "--path", "--plaintext"]
    assert re.fullmatch(r'repair\["a"\]=\d{8}T\d{6}Z', setting)
    assert last == "--non-interactive"
    assert "the next `pulumi up --stack org/x` repairs a" in done.stdout


def test_without_pulumi_repair_prints_the_command(net: Net, drifted: str) -> None:
    done = net.repair(PATH="/usr/bin:/bin")
    assert done.returncode == 1
    assert re.search(r"""By hand: pulumi config set-all --stack office --path --plaintext 'repair\["a"\]=\w+'\n""", done.stderr)


def test_repair_of_a_healthy_network_asks_pulumi_for_nothing(net: Net) -> None:
    done = net.repair(PATH="/usr/bin:/bin")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no host that answered needs a repair\n", "")


# ---- revoke ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def to_revoke(net: Net) -> Iterator[Net]:
    """Afterwards nobody is revoked."""
    yield net
    for host in net.hosts.values():
        clean(host)


def refusing_e(net: Net) -> list[str]:
    return [name for name, host in net.hosts.items() if "ip saddr 192.0.2.4 drop" in host.sandbox.shell("nft list ruleset")]


def test_revoke_has_all_hosts_refuse_a_developer_without_pulumi_and_status_says_what_is_left_to_do(to_revoke: Net) -> None:
    net = to_revoke
    done = net.revoke("e", PATH="/usr/bin:/bin")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "z: refused: refuses e (192.0.2.4)\na: refused: refuses e (192.0.2.4)\n"
        f"next: take e out of {net.file}, or give it a new key (rotation, public_key), and pulumi up; "
        "`status` says so until then\n"
    )
    assert refusing_e(net) == ["z", "a"]
    assert net.hosts["z"].public("e") not in net.hosts["z"].sandbox.shell("wg show wg0 dump")
    said = net.status("--key", str(net.key))
    assert said.returncode == 4
    left_to_do = "trouble: e is revoked, and still in the file: take it out, or give it a new key (rotation, public_key), then pulumi up"
    assert [line for line in said.stdout.splitlines() if line.startswith(("z:", "a:"))] == [f"z: {left_to_do}", f"a: {left_to_do}"]
    without = net.file.with_name("without.yaml")
    without.write_text(net.file.read_text().partition("developers:")[0])
    assert (
        "z: up due: e is revoked, and no longer in the file: pulumi up, which ends the revocation"
        in net.status("--key", str(net.key), file=without).stdout
    )


def test_the_json_of_revoke_says_the_same(to_revoke: Net) -> None:
    done = to_revoke.revoke("e", "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["exit_status"]) == (0, 0)
    assert [(host["host"], host["outcome"], host["addresses"]) for host in data["hosts"]] == [
        (name, "refused", {"e": ["192.0.2.4"]}) for name in ("z", "a")
    ]


def test_a_gateway_that_cannot_be_told_is_named_and_the_hub_refuses_all_the_same(to_revoke: Net) -> None:
    net = to_revoke
    with unreachable(net, "a"):
        done = net.revoke("e")
    assert done.returncode == 5
    assert refusing_e(net) == ["z"]
    assert re.search(r"^a: failed: \S+ cannot be reached from", done.stdout, re.MULTILINE)
    assert "hub z stands between e and a; run this again when they can be reached\n" in done.stdout
    assert net.revoke("e").returncode == 0
    assert refusing_e(net) == ["z", "a"]


def test_a_hub_that_cannot_be_told_keeps_no_gateway_from_it(to_revoke: Net) -> None:
    """The gateway is reached by a way of its own."""
    net = to_revoke
    direct = net.with_text("direct", ", via: hub", "")
    text = direct.read_text().replace(f"port: {net.servers['z'].port},", f"port: {free_port()},")
    direct.write_text(text)
    done = net.revoke("e", file=direct)
    assert done.returncode == 5
    assert refusing_e(net) == ["a"]
    assert "hub z may still let e in: run this again until it ends with 0." in done.stdout
    assert "a: trouble: e is revoked here and not at hub z" in net.status("--key", str(net.key)).stdout


def test_gateways_are_told_the_addresses_that_the_hub_has_and_not_those_of_a_newer_file(to_revoke: Net) -> None:
    newer = to_revoke.with_text("newer", "address: 192.0.2.4,", "address: 192.0.2.44,")
    assert to_revoke.revoke("e", file=newer).returncode == 0
    assert refusing_e(to_revoke) == ["z", "a"]


def test_whom_the_hub_does_not_know_is_not_refused_anywhere_and_ends_with_4(to_revoke: Net) -> None:
    more = to_revoke.with_text("more", "access: [shenzhen]}", "access: [shenzhen]}\n  - {name: g, address: 192.0.2.6}")
    done = to_revoke.revoke("g", file=more)
    assert (done.returncode, done.stdout.splitlines()) == (
        4,
        [
            "z: unknown: knows no g: it was not let in yet, or `pulumi up` has taken it out",
            f"take g out of {more}, so that no later `pulumi up` lets it in",
        ],
    )


def test_a_revocation_is_lifted_at_gateways_alone_and_not_while_the_hub_has_the_key(to_revoke: Net) -> None:
    net = to_revoke
    net.revoke("e")
    done = net.revoke("e", "--lift")
    assert done.returncode == 5
    assert (
        "e still has the key that was revoked: give it a new one in the environment file (rotation, public_key), and run 'pulumi up'"
        in done.stdout
    )
    assert refusing_e(net) == ["z", "a"]
    clean(net.hosts["z"])
    assert "a: trouble: e is revoked here and not at hub z: if its key was renewed" in net.status("--key", str(net.key)).stdout
    assert net.revoke("e", "--lift").stdout == "z: lifted: no longer refuses e\na: lifted: no longer refuses e\n"
    assert refusing_e(net) == []


# ---- the operator's key ---------------------------------------------------------------------------------------------


def test_a_key_with_a_passphrase_is_told_to_go_to_the_agent(net: Net, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked"], check=True)
    before = net.dials
    done = net.status("--key", str(tmp_path / "locked"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "has a passphrase, which the program cannot ask for: `ssh-add` the key" in done.stderr
    assert net.dials == before


@pytest.fixture
def stacks_file(net: Net) -> Iterator[Path]:
    """The environment file lies in a Pulumi project; the file of its stack is still to be written."""
    project = net.file.with_name("Pulumi.yaml")
    project.write_text("name: wg-office\n")
    settings = net.file.with_name("Pulumi.office.yaml")
    yield settings
    project.unlink()
    settings.unlink(missing_ok=True)


def test_the_stacks_key_is_found_without_pulumi(net: Net, stacks_file: Path) -> None:
    stacks_file.write_text(f"config:\n  wg-office:sshKeyFile: {net.key.relative_to(net.file.parent)}\n")
    done = net.status(PATH="/usr/bin:/bin")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_key_on_the_command_line_counts_more_than_the_stacks(net: Net, stacks_file: Path) -> None:
    stacks_file.write_text("config:\n  wg-office:sshKeyFile: /nowhere\n")
    assert "/nowhere: No such file" in net.status().stderr
    assert net.status("--key", str(net.key)).returncode == 0


# ---- who cannot be asked --------------------------------------------------------------------------------------------


def failure(data: dict[str, Any], name: str) -> str:
    (host,) = (each for each in data["hosts"] if each["name"] == name)
    (finding,) = host["findings"]
    assert finding["kind"] == "unreachable"
    return str(finding["text"])


def test_a_gateway_that_the_hub_does_not_reach_is_a_row(net: Net) -> None:
    with unreachable(net, "a"):
        data = net.asked()
    assert data["exit_status"] == 5
    hub, a = net.servers["z"], net.servers["a"]
    assert failure(data, "a").startswith(f"{a.user}@{BEHIND}:{a.port} cannot be reached from {hub.user}@{LOOPBACK}:{hub.port}.")
    assert data["hosts"][0]["state"] == "well"


def test_what_lies_behind_a_hub_that_is_gone_is_told_so(net: Net) -> None:
    file = net.with_text("gone", f"port: {net.servers['z'].port},", f"port: {free_port()},")
    done = net.status("--key", str(net.key), file=file)
    assert done.returncode == 5
    (z,) = (line for line in done.stdout.splitlines() if line.startswith("z: "))
    (a,) = (line for line in done.stdout.splitlines() if line.startswith("a: "))
    assert "cannot be reached. Check that the host runs" in z
    assert "is reached through the hub, and " in a


def test_a_wrong_host_key_is_refused_and_nothing_runs(net: Net, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other").with_suffix(".pub").read_text().strip()
    before = net.dials
    done = net.status("--key", str(net.key), file=net.with_text("wrong", net.servers["z"].host_key, other))
    assert done.returncode == 5
    assert "shows another host key than the pinned one (SHA256:" in done.stdout
    assert net.dials == before


def test_without_a_host_key_nobody_is_dialled(net: Net) -> None:
    before = net.servers["z"].log
    done = net.status("--key", str(net.key), file=net.with_text("none", f", host_key: {net.servers['z'].host_key}", ""))
    assert done.returncode == 5
    assert "was not dialled: no key is pinned for it" in done.stdout
    assert net.servers["z"].log == before


def test_an_operator_whom_the_host_does_not_know_is_told(net: Net, tmp_path: Path) -> None:
    done = net.status("--key", str(new_key(tmp_path / "mine")))
    assert done.returncode == 5
    assert "does not let the operator in. Make `ssh -p " in done.stdout
    assert "--key" in done.stdout


def test_a_host_that_says_nothing_costs_the_time_that_was_given(net: Net) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        port = silent.getsockname()[1]
        file = net.with_text("silent", f"port: {net.servers['z'].port},", f"port: {port},")
        done = net.status("--key", str(net.key), "--timeout", "2", file=file)
    assert done.returncode == 5
    assert f"{LOOPBACK}:{port} gave no answer in 2 s; give it longer with --timeout" in done.stdout


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("exit", "could not say how it is: sudo: a password is required"),
        ("abort", "ended the session before its answer was complete; ask again"),
    ],
)
def test_a_host_that_gives_no_whole_answer_is_a_row(net: Net, ending: str, told: str) -> None:
    async def answer(process: "asyncssh.SSHServerProcess[str]") -> None:
        await process.stdin.read()
        process.stdout.write("time 1795000000\n")
        process.stderr.write("sudo: a password is required\n")
        if ending == "exit":
            process.exit(1)
        else:
            process.channel.get_connection().abort()

    async def ask() -> str:
        keys = {"server_host_keys": [str(net.servers["z"].folder / "host")], "authorized_client_keys": str(net.key.with_suffix(".pub"))}
        server = await asyncssh.listen(LOOPBACK, 0, process_factory=answer, **keys)
        file = net.with_text("broken", f"port: {net.servers['z'].port},", f"port: {server.get_port()},")
        done = await asyncio.to_thread(net.status, "--key", str(net.key), file=file)
        server.close()
        return done.stdout

    (line,) = (each for each in asyncio.run(ask()).splitlines() if each.startswith("z: "))
    assert told in line


@pytest.mark.parametrize(
    ("key", "told"), [("nowhere", "No such file or directory"), ("host.pub", "is no private key"), (".", "Is a directory")]
)
def test_a_key_file_that_is_none_is_wrong_usage(net: Net, key: str, told: str) -> None:
    done = net.status("--key", str(net.servers["z"].folder / key))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr


def test_without_a_key_and_an_agent_the_remedy_is_named(net: Net) -> None:
    for done in (net.status(), net.status(SSH_AUTH_SOCK="/nowhere")):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "--key FILE" in done.stderr
    with agent(None) as path:
        assert "ssh-add" in net.status(SSH_AUTH_SOCK=path).stderr


# ---- a thousand peers -----------------------------------------------------------------------------------------------


def test_a_host_of_a_thousand_peers_is_read_in_one_connection(tmp_path: Path) -> None:
    with Sandbox(ADDRESSES["z"]) as sandbox:
        server = served(tmp_path / "z", sandbox)
        server.start()
        developers = "".join(f"  - {{name: dev{n}, address: 10.70.{1 + n // 250}.{n % 250 + 1}}}\n" for n in range(1000))
        file = tmp_path / "office.yaml"
        file.write_text(
            "environment: office\nnetwork: {cidr: 10.70.0.0/16}\nhub: {name: z, address: 10.70.0.1, endpoint: 203.0.113.10:51820, "
            f"ssh: {{host: 127.0.0.1, port: {server.port}, user: {server.user}, host_key: {server.host_key}}}}}\ndevelopers:\n{developers}"
        )
        environment = load(file)
        host = Office(sandbox, environment, plan(environment)[0])
        net = Net(file, {"z": server}, {"z": host})
        try:
            host.install()
            data = net.asked()
        finally:
            server.stop()
    assert (data["state"], len(data["hosts"][0]["peers"]), server.dials) == ("well", 1000, 1)
    assert found(json.dumps(data), net) == []
