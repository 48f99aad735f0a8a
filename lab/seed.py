"""The seed: a small tar, handed to the virtual machine as its second disk, with everything that makes the image this lab.

It holds the guest's scripts (lab/guest), the virtual machine's network, and per node one layer of files that lies over the image and
under what the node itself writes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path

from .nodes import MANAGEMENT, OFFICE, VM, VM_ADDRESS, Link, Node, Topology

GUEST = Path(__file__).parent / "guest"
NO_NAMES: Mapping[str, str] = {}
LONGEST_NAME = 15


@dataclass(frozen=True)
class File:
    """One file of the seed, or a symbolic link whose target is the content."""

    content: str
    mode: int = 0o644
    is_link: bool = False


Tree = dict[str, File]


@dataclass(frozen=True)
class Keys:
    """The keys of one lab: whom the nodes let in, and what they prove themselves with."""

    authorized: str
    host_keys: Mapping[str, str]  # node -> private key


def seed(keys: Keys, releases: Mapping[str, str], disks: Mapping[str, str], topology: Topology = OFFICE) -> bytes:
    """The seed disk. `releases`: node -> Debian release where it is not the default; `disks`: release -> block device."""
    files: Tree = {f"bin/{path.name}": File(path.read_text(), 0o755) for path in sorted(GUEST.iterdir()) if path.is_file()}
    files |= _prefixed("layers/vm", _identity(VM, keys)) | _ports(topology) | {"bridges": _bridges(topology)}
    for node in topology.nodes:
        files[f"nodes/{node.name}"] = File(_node_settings(node, releases.get(node.name, "bookworm")))
        files |= _prefixed(f"layers/{node.name}", node_layer(node, keys, topology.names))
    files["disks"] = File("".join(f"{device} {release}\n" for release, device in disks.items()))
    return _archive(files)


def _prefixed(prefix: str, tree: Tree) -> Tree:
    return {f"{prefix}/{path}": file for path, file in tree.items()}


def _archive(files: Tree) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, file in sorted(files.items()):
            data = file.content.encode()
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), file.mode
            if file.is_link:
                info.type, info.linkname, info.size = tarfile.SYMTYPE, file.content, 0
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


# ---- the virtual machine --------------------------------------------------------------------------------------------


def port_name(node: Node, link_name: str) -> str:
    """The name, in the virtual machine, of the outer end of a node's link: its own, where the kernel takes as long a name."""
    name = f"{node.name}-{link_name}"
    number = next((number for number, link in enumerate(node.links) if link.name == link_name), 0)
    return name if len(name) <= LONGEST_NAME else f"{node.name}-{number}"


def _ports(topology: Topology) -> Tree:
    """Which bridge each cable leads to."""
    ports = {f"ports/{port_name(node, link.name)}": File(f"{link.bridge}\n") for node in topology.nodes for link in node.links}
    # Isolated: the management network leads from outside to each host, and never from one host to another.
    return ports | {f"ports/{port_name(node, 'mgmt0')}": File(f"{MANAGEMENT} isolated\n") for node in topology.hosts}


def _bridges(topology: Topology) -> File:
    """The bridges, and the one address the virtual machine has."""
    return File("".join(f"{bridge} {VM_ADDRESS}/24\n" if bridge == MANAGEMENT else f"{bridge}\n" for bridge in topology.bridges))


def _node_settings(node: Node, release: str) -> str:
    names = [link.name for link in node.links] + (["mgmt0"] if node.is_host else [])
    links = " ".join(f"--network-veth-extra={port_name(node, name)}:{name}" for name in names)
    payload = "--boot --notify-ready=yes" if node.is_host else "--as-pid2"
    command = "" if node.is_host else "/etc/lab/start"
    return f"KIND={node.kind}\nRELEASE={release}\nOPTIONS={links} {payload}\nCOMMAND={command}\n"


# ---- the nodes ------------------------------------------------------------------------------------------------------


def node_layer(node: Node, keys: Keys, names: Mapping[str, str] = NO_NAMES) -> Tree:
    """The files that make the image this node, which knows some names."""
    tree = _identity(node.name, keys, names)
    if node.is_host:
        tree |= _networkd(node)
    else:
        tree["etc/lab/start"] = File((GUEST / "inside" / "start").read_text(), 0o755)
        tree["etc/lab/network"] = File(_plain_network(node))
    if node.routes_for:
        tree["etc/lab/router.nft"] = File(router_rules(node))
    if node.routes_for and node.is_host:
        forwarding = "net.ipv4.ip_forward = 1\n" + ("net.ipv6.conf.all.forwarding = 1\n" if node.has_ipv6 else "")
        tree["etc/sysctl.d/60-lab-router.conf"] = File(forwarding)
        tree["etc/systemd/system/lab-router.service"] = File((GUEST / "inside" / "lab-router.service").read_text())
        tree["etc/systemd/system/sysinit.target.wants/lab-router.service"] = File("../lab-router.service", is_link=True)
    return tree


def router_rules(node: Node) -> str:
    """A router's nftables file: what is the same for all, and the ports that this one forwards."""
    lines = [f'        iifname "wan0" udp dport {each.port} dnat to {each.address}:{each.to}' for each in node.forwards]
    chain = ["    chain inwards {", "        type nat hook prerouting priority dstnat; policy accept;", *lines, "    }"]
    own = ["table ip lab_forwards", "delete table ip lab_forwards", "table ip lab_forwards {", *chain, "}", ""] if lines else []
    return (GUEST / "inside" / "router.nft").read_text() + "\n".join(own)


def _identity(name: str, keys: Keys, names: Mapping[str, str] = NO_NAMES) -> Tree:
    known = "".join(f"{address} {each}\n" for each, address in names.items())
    tree = {
        "etc/hostname": File(f"{name}\n"),
        "etc/hosts": File(f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n{known}"),
        "etc/machine-id": File(hashlib.sha256(f"wg-office lab {name}".encode()).hexdigest()[:32] + "\n", 0o444),
    }
    if name in keys.host_keys:
        tree["etc/ssh/ssh_host_ed25519_key"] = File(keys.host_keys[name], 0o600)
        tree["root/.ssh/authorized_keys"] = File(keys.authorized, 0o600)
    return tree


_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


def _networkd(node: Node) -> Tree:
    management = Link("mgmt0", MANAGEMENT, f"{node.management_address}/24")
    tree = {}
    for number, link in enumerate((*node.links, management), start=1):
        extra = "".join(f"Gateway={way}\n" for way in (node.gateway, node.gateway6) if way and _leads_to(link, way))
        addresses = "".join(f"Address={address}\n" for address in link.addresses)
        # without an address of the link a host finds no neighbours for what it forwards
        own = "ipv6" if any(":" in address for address in link.addresses) else "no"
        text = f"[Match]\nName={link.name}\n\n[Network]\n{addresses}{extra}LinkLocalAddressing={own}\nIPv6AcceptRA=no\n"
        text += "".join(f"\n[Route]\nDestination={_EVERYWHERE[version]}\nScope=link\n" for version in _neighbours(node, link))
        tree[f"etc/systemd/network/{number}0-{link.name}.network"] = File(text)
    return tree


def _neighbours(node: Node, link: Link) -> list[int]:
    """Of which families every address is a neighbour there."""
    return sorted({ip_interface(address).version for address in link.addresses}) if node.flat and link is node.links[-1] else []


def _leads_to(link: Link, way_out: str) -> bool:
    """Whether the way out is a neighbour there."""
    return any(ip_address(way_out) in ip_interface(address).network for address in link.addresses)


def _plain_network(node: Node) -> str:
    lines = [f"address {link.name} {address}" for link in node.links for address in link.addresses]
    lines += [f"gateway {way}" for way in (node.gateway, node.gateway6) if way]
    lines += [f"neighbours {link.name} {version}" for link in node.links for version in _neighbours(node, link)]
    if node.routes_for:
        lines += ["router", *(["router6"] if node.has_ipv6 else [])]
    if node.dhcp:
        lines.append(f"dhcp {node.routes_for} {node.dhcp}")
    return "\n".join(lines) + "\n"
