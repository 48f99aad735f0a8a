"""How a host loads what wg_office/firewall renders, in a namespace: nft for the judge, hostside/after-load for what follows."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from netns import Net

from wg_office.environment.model import Firewall
from wg_office.hosts.firewall import files, firewalld
from wg_office.hosts.render import PROHIBITION
from wg_office.network.access import FirewallPolicy

CLONE = Path(__file__).resolve().parents[2]
_BUS = """<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""


class Loader:
    """Loads policies into the namespace `host`, beside somebody else's firewall, and ends the connections that are no longer allowed."""

    def __init__(self, net: Net, firewall: Firewall, directory: Path) -> None:
        self.net, self.firewall, self.directory = net, firewall, directory
        self.env: dict[str, str] | None = None
        for script in ("after-load", "flows.awk"):
            shutil.copy(CLONE / "hostside" / script, directory)

    def load(self, policy: FirewallPolicy) -> None:
        texts = files(policy, self.firewall)
        if (self.directory / "flows").exists():
            shutil.copy(self.directory / "flows", self.directory / "before")
        for name, text in texts.items():
            path = self.directory / ("etc" + name.removeprefix(firewalld.DIRECTORY) if name.startswith("/") else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.judge()
        self.prohibit(policy)
        if self.firewall == "firewalld" and f"{firewalld.ZONE}-in" not in self.net.run(
            "host", ["firewall-cmd", "--get-policies"], env=self.env
        ):
            self.reload()
        before = self.directory / "before"
        self.net.run("host", ["sh", str(self.directory / "after-load"), *([str(before)] if before.exists() else [])])

    def judge(self) -> None:
        """The table alone."""
        self.net.run("host", ["nft", "-f", str(self.directory / "nftables.nft")])

    def prohibit(self, policy: FirewallPolicy) -> None:
        """The routing rule, and the setting that lets `rp_filter` see the stamp."""
        self.net.run("host", ["sysctl", "-qw", "net.ipv4.conf.all.src_valid_mark=1"])
        for family in ("-4", "-6"):
            rule = [
                "priority",
                str(PROHIBITION),
                "iif",
                policy.interface,
                "fwmark",
                f"0/{policy.mark:#x}",
                "prohibit",
                "protocol",
                "kernel",
            ]
            self.net.run("host", ["ip", family, "rule", "add", *rule], check=False)

    def reload(self) -> None:
        """What an administrator or an update does to the firewall service."""
        if self.firewall == "firewalld":
            self.net.run("host", ["firewall-cmd", "--reload"], env=self.env)


@contextmanager
def loader(net: Net, firewall: Firewall, directory: Path) -> Iterator[Loader]:
    """A loader; beside firewalld, with a daemon of its own on a bus of its own."""
    made = Loader(net, firewall, directory)
    if firewall != "firewalld":
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
