"""A host's program loads what wg_office/hosts/firewall renders, in a namespace."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from netns import Net

from wg_office.environment.model import Firewall
from wg_office.hosts.firewall import files, firewalld
from wg_office.hosts.hostscript import scripts
from wg_office.network.access import FirewallPolicy

MAIN = 'main "$@"; exec true\n'
_BUS = """<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""


class Loader:
    """Has the host's own program load policies into the namespace `host`, beside somebody else's firewall.

    What is not the host's own procedure here: firewalld's files come into the directory of a daemon of this test's, and there are no
    rules of the host's own (`host.nft`), which are for hosts with more interfaces than these.
    """

    def __init__(self, net: Net, firewall: Firewall, directory: Path) -> None:
        self.net, self.firewall, self.directory = net, firewall, directory
        self.env: dict[str, str] | None = None
        self.loaded: list[Path] = []

    @property
    def files(self) -> Path:
        """Of the generation in force."""
        return self.loaded[-1] / "files"

    def load(self, policy: FirewallPolicy) -> None:
        before = str(self.loaded[-1]) if self.loaded else ""
        self.loaded.append(self._generation(policy))
        self.net.run("host", ["sysctl", "-qw", "net.ipv4.conf.all.src_valid_mark=1"])
        self._program("firewall_load", str(self.loaded[-1]), before)
        if self.firewall == "firewalld" and f"{firewalld.ZONE}-in" not in self.net.run(
            "host", ["firewall-cmd", "--get-policies"], env=self.env
        ):
            self.reload()
            self.net.run("host", ["sh", str(self.files / "after-load")])

    def _generation(self, policy: FirewallPolicy) -> Path:
        made = self.directory / f"generation-{len(self.loaded)}"
        brought = scripts()
        texts = {**files(policy, self.firewall), "host.nft": "", "after-load": brought.after_load, "flows.awk": brought.flows}
        for name, text in texts.items():
            path = self.directory / ("etc" + name.removeprefix(firewalld.DIRECTORY)) if name.startswith("/") else made / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (made / "description").write_text(f"mark {policy.mark:#x}\ninterface {policy.interface}\n")
        return made

    def _program(self, function: str, *arguments: str) -> None:
        """A function of the program on hosts, which keeps here what it keeps in /etc and /run."""
        program = scripts().host.replace(MAIN, "")
        assert program != scripts().host, "it ends with its one call"
        own = f"run={self.directory} etc={self.directory} current={self.directory}/current\n"
        self.net.run("host", ["bash", "-s", "--", function, *arguments], program + own + '"$@"\n')

    def judge(self) -> None:
        """The table alone."""
        self.net.run("host", ["nft", "-f", str(self.files / "nftables.nft")])

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
