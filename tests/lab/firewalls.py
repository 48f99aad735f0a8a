"""How a host loads what wg_office/firewall renders, in a namespace: the commands of the modules' docstrings and nothing else."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from netns import Net

from wg_office.access import FirewallPolicy
from wg_office.firewall import files, firewalld, iptables, nftables
from wg_office.model import Firewall

CLONE = Path(__file__).resolve().parents[2]
_BUS = """<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""


class Loader:
    """Loads policies with one backend into the namespace `host`, and ends the connections that are no longer allowed."""

    def __init__(self, net: Net, backend: Firewall, directory: Path) -> None:
        self.net, self.backend, self.directory = net, backend, directory
        self.env: dict[str, str] | None = None
        self.flows = directory / "flows"

    def load(self, policy: FirewallPolicy) -> None:
        texts = files(policy, self.backend)
        if self.backend == "firewalld":
            self._firewalld(texts)
        if "nftables.nft" in texts:
            self.net.run("host", ["nft", "-c", "-f", "-"], texts["nftables.nft"])
            self.net.run("host", ["nft", "-f", "-"], texts["nftables.nft"])
        for tool in ("iptables", "ip6tables"):
            self.net.run("host", [f"{tool}-restore", "--test", "--noflush"], texts[f"{tool}.rules"])
            self.net.run("host", [f"{tool}-restore", "--noflush"], texts[f"{tool}.rules"])
            self._jumps(tool)
        self._end_flows(texts["flows"])

    def remove(self) -> None:
        for tool in ("iptables", "ip6tables"):
            for table, hook, chain in iptables.JUMPS:
                self.net.run("host", [tool, "-w", "-t", table, "-D", hook, "-j", chain])
            self.net.run("host", [f"{tool}-restore", "--noflush"], iptables.REMOVAL)
        self.net.run("host", ["nft", "-f", "-"], nftables.REMOVAL)
        for path in self.directory.glob("etc/*/wg-office*.xml"):
            path.unlink()
        self.reload()

    def reload(self) -> None:
        """What an administrator or an update does to the firewall service."""
        if self.backend == "firewalld":
            self.net.run("host", ["firewall-cmd", "--reload"], env=self.env)

    def _jumps(self, tool: str) -> None:
        for table, hook, chain in iptables.JUMPS:
            jump = [hook, "-j", chain]
            present = subprocess.run(
                ["ip", "netns", "exec", f"{self.net.prefix}-host", tool, "-w", "-t", table, "-C", *jump], capture_output=True, check=False
            )
            if present.returncode != 0:
                self.net.run("host", [tool, "-w", "-t", table, "-I", hook, "1", "-j", chain])

    def _firewalld(self, texts: dict[str, str]) -> None:
        for name, text in texts.items():
            if name.startswith(firewalld.DIRECTORY):
                path = self.directory / "etc" / Path(name).relative_to(firewalld.DIRECTORY)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.net.run("host", ["firewall-offline-cmd", "--system-config", str(self.directory / "etc"), "--check-config"], env=self.env)
        if firewalld.POLICIES[0] not in self.net.run("host", ["firewall-cmd", "--get-policies"], env=self.env).split():
            self.reload()
            return
        for policy in firewalld.POLICIES:
            command = ["firewall-cmd", f"--policy={policy}"]
            present = set(filter(None, self.net.run("host", [*command, "--list-rich-rules"], env=self.env).splitlines()))
            wanted = {line.partition(" ")[2] for line in texts["firewalld.rules"].splitlines() if line.startswith(f"{policy} ")}
            for rule in wanted - present:
                self.net.run("host", [*command, f"--add-rich-rule={rule}"], env=self.env)
            for rule in present - wanted:
                self.net.run("host", [*command, f"--remove-rich-rule={rule}"], env=self.env)

    def _end_flows(self, flows: str) -> None:
        before, after = self.directory / "flows-before", self.flows
        before.write_text(after.read_text() if after.exists() else "")
        after.write_text(flows)
        tracked = "".join(self.net.run("host", ["conntrack", "-L", "-f", family]) for family in ("ipv4", "ipv6"))
        arguments = ["mawk", "-f", str(CLONE / "hostside/flows.awk"), "was=1", str(before), "was=0", str(after), "-"]
        for line in self.net.run("host", arguments, tracked).splitlines():
            self.net.run("host", ["conntrack", "-D", *line.split()])


@contextmanager
def loader(net: Net, backend: Firewall, directory: Path) -> Iterator[Loader]:
    """A loader; for firewalld, with a daemon of its own on a bus of its own."""
    made = Loader(net, backend, directory)
    if backend != "firewalld":
        yield made
        return
    shutil.copytree("/etc/firewalld", directory / "etc")
    # A Unix socket's path has room for 107 characters, and pytest's directories are deep.
    bus = Path(f"/run/{net.prefix}.bus")
    (directory / "bus.conf").write_text(_BUS.format(path=bus))
    made.env = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={bus}"}
    with _running(net, ["dbus-daemon", f"--config-file={directory / 'bus.conf'}", "--nofork"], made.env, bus.exists):
        daemon = ["firewalld", "--nofork", "--nopid", "--system-config", str(directory / "etc"), "--log-target", "file"]
        daemon += ["--log-file", str(directory / "firewalld.log")]
        with _running(net, daemon, made.env, lambda: "running" in net.run("host", ["firewall-cmd", "--state"], check=False, env=made.env)):
            yield made
    bus.unlink(missing_ok=True)


@contextmanager
def _running(net: Net, argv: list[str], env: dict[str, str], ready: Callable[[], bool]) -> Iterator[None]:
    process = subprocess.Popen(
        ["ip", "netns", "exec", f"{net.prefix}-host", *argv], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        while not ready():
            if process.poll() is not None:
                raise RuntimeError(f"{argv[0]} ended: {process.stderr.read().decode() if process.stderr else ''}")
        yield
    finally:
        process.terminate()
        process.wait()
        if process.stderr:
            process.stderr.close()
