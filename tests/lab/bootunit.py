"""What systemd does with wg-office.service at boot, in a sandbox: its command lines one after another, until one fails."""

import re

from sandbox import Sandbox

from wg_office.hosts.render import CURRENT

UNIT = f"{CURRENT}/files/etc/systemd/system/wg-office.service"
POWER_OFF = """
nft flush ruleset
for family in -4 -6; do while ip $family rule del priority 10 2>/dev/null; do :; done; done
rm -rf /run/systemd/network /run/sysctl.d /run/wg-office; ip link del wg0 2>/dev/null
sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
cat /etc/sysctl.d/*.conf 2>/dev/null | grep '^net\\.ipv[46]\\.' | sysctl -q -p - 2>/dev/null; true
"""
"""Last of it what systemd-sysctl does, before any unit of ours; other settings belong to the whole machine."""
FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def boot_commands(unit: str) -> list[str]:
    """The unit as a shell script: the same quoting, and `-` in front of what may fail."""
    lines = re.findall(r"^ExecStart(?:Post)?=(-?)(.*)$", unit, re.MULTILINE)
    return [f"{command} || true" if may_fail else f"{command} || exit 1" for may_fail, command in lines]


def boot(sandbox: Sandbox, *, path: str = "") -> bool:
    """The host starts again; whether the unit succeeded. `path` has commands that take the place of the system's."""
    sandbox.shell(POWER_OFF)
    unit = sandbox.run(f"cat {UNIT}").stdout
    script = [f"PATH={path}:$PATH" if path else ":", f"[ -e {CURRENT} ] || exit 1", *boot_commands(unit)]
    return bool(unit) and sandbox.run("\n".join(script)).returncode == 0


def forwards(sandbox: Sandbox) -> set[int]:
    """The families in which the host forwards."""
    return {family for family, key in FORWARDING.items() if sandbox.shell(f"sysctl -n {key}") == "1\n"}
