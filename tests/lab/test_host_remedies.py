"""What a host that lacks tools is told: the command of its own distribution, by its /etc/os-release. On a host of namespaces."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import Office, Sandbox, planned

from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
LACKS = "this host lacks: wg systemd-networkd conntrack; "
DEBIAN = "apt-get install wireguard-tools systemd conntrack"
FEDORA = "dnf install wireguard-tools systemd-networkd conntrack-tools"

REMEDIES = {
    'ID=debian\nVERSION_ID="12"': f"install with: {DEBIAN}",
    "ID=ubuntu\nID_LIKE=debian": f"install with: {DEBIAN}",
    "ID=raspbian\nID_LIKE=debian": f"install with: {DEBIAN}",
    'ID=linuxmint\nID_LIKE="ubuntu debian"': f"install with: {DEBIAN}",
    'ID="rocky"\nID_LIKE="rhel centos fedora"': f"install with: dnf install epel-release && {FEDORA}",
    'ID="almalinux"\nID_LIKE="rhel centos fedora"': f"install with: dnf install epel-release && {FEDORA}",
    'ID="centos"\nID_LIKE="rhel fedora"': f"install with: dnf install epel-release && {FEDORA}",
    'ID="rhel"\nID_LIKE="fedora"': f"install with: EPEL enabled (see its documentation), {FEDORA}",
    'ID="ol"\nID_LIKE="fedora"': f"install with: EPEL enabled (see its documentation), {FEDORA}",
    "ID=fedora": f"install with: {FEDORA}",
    'ID="amzn"\nID_LIKE="fedora"': f"install with: {FEDORA}",
    "ID=nobara\nID_LIKE=fedora": f"install with: {FEDORA}",
    'ID="opensuse-leap"\nID_LIKE="suse opensuse"': "install with: zypper install wireguard-tools systemd-network conntrack-tools",
    'ID="sles"\nID_LIKE="suse"': "install with: zypper install wireguard-tools systemd-network conntrack-tools",
    "ID=arch": "install with: pacman -S wireguard-tools systemd conntrack-tools",
    "ID=manjaro\nID_LIKE=arch": "install with: pacman -S wireguard-tools systemd conntrack-tools",
    "ID=void": "install the packages of your distribution that bring them",
    "": "install the packages of your distribution that bring them",
}


@pytest.fixture(scope="module")
def host() -> Iterator[Office]:
    """One without wg, networkd and conntrack."""
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        office.put_keys()
        sandbox.shell("cp -a /usr/local/sbin /run/bin; rm /run/bin/wg /run/bin/networkctl; mount --bind /run/bin /usr/local/sbin")
        for place in ("bin", "sbin"):
            over = f"/dev/shm/{place}"
            options = f"lowerdir=/usr/{place},upperdir={over}-upper,workdir={over}-work"
            sandbox.shell(f"mkdir {over}-upper {over}-work; mount -t overlay -o {options} overlay /usr/{place}")
            sandbox.shell(f"rm -f /usr/{place}/wg /usr/{place}/networkctl /usr/{place}/conntrack")
        yield office


@pytest.mark.parametrize(("os_release", "remedy"), REMEDIES.items(), ids=[text.partition("\n")[0] or "none" for text in REMEDIES])
def test_what_is_missing_is_installed_by_the_command_of_this_distribution(host: Office, os_release: str, remedy: str) -> None:
    host.sandbox.shell(f"rm -f /etc/os-release; printf '%s\\n' '{os_release}' >/etc/os-release")
    assert host.refused(host.description()) == f"wg-office: {LACKS}{remedy}\n"


KERNELS = {
    "ID=debian": "apt-get install wireguard-dkms",
    'ID="rocky"\nID_LIKE="rhel centos fedora"': "dnf install kernel-modules; for RHEL 8 and its relatives ELRepo has kmod-wireguard",
    'ID="opensuse-leap"\nID_LIKE="suse opensuse"': "zypper install kernel-default",
    "ID=arch": "pacman -S linux",
    "ID=void": "with its modules",
}


@pytest.fixture(scope="module")
def without_wireguard() -> Iterator[Office]:
    """A host whose kernel has none."""
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        office.put_keys()
        sandbox.shell("cp -a /usr/local/sbin /run/bin; rm -f /run/bin/ip")
        sandbox.shell(f"printf '%s\\n' '#!/bin/sh' '{NO_WIREGUARD}' 'exec /usr/sbin/ip \"$@\"' >/run/bin/ip; chmod 755 /run/bin/ip")
        sandbox.shell("mount --bind /run/bin /usr/local/sbin")
        yield office


NO_WIREGUARD = 'case "$*" in *"type wireguard"*) exit 2 ;; esac'


@pytest.mark.parametrize(("os_release", "remedy"), KERNELS.items(), ids=[text.partition("\n")[0] for text in KERNELS])
def test_a_kernel_without_wireguard_is_replaced_the_way_of_this_distribution(
    without_wireguard: Office, os_release: str, remedy: str
) -> None:
    without_wireguard.sandbox.shell(f"rm -f /etc/os-release; printf '%s\\n' '{os_release}' >/etc/os-release")
    said = without_wireguard.refused(without_wireguard.description())
    assert "has no WireGuard; " in said
    assert said.endswith(f"{remedy}\n")
