"""The node table and what is derived from it."""

import io
import ipaddress
import tarfile
from collections import Counter

import pytest

from lab.errors import LabError
from lab.nodes import BRIDGES, BY_NAME, HOSTS, MANAGEMENT, NODES, OFFICE, SITES, VM, VM_ADDRESS
from lab.remote import remote_command
from lab.seed import Keys, node_layer, port_name, seed

KEYS = Keys(
    authorized="ssh-ed25519 AAAA operator\n", host_keys={name: f"private {name}\n" for name in [VM, *(node.name for node in HOSTS)]}
)


def seed_files() -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(seed(KEYS, {"a": "bullseye"}, {"bookworm": "/dev/vdd", "bullseye": "/dev/vde"}))) as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive if member.isfile()]
        return {name: handle.read() for name, handle in members if handle is not None}


def test_names_and_forwarded_ports_are_unique() -> None:
    assert len({node.name for node in NODES}) == len(NODES)
    assert max(Counter(node.ssh_offset for node in HOSTS).values()) == 1
    assert VM_ADDRESS not in {node.management_address for node in HOSTS}


def test_hosts_have_the_ports_of_the_contract() -> None:
    assert {node.name: node.ssh_offset for node in HOSTS} == {"z": 10, "a": 11, "c": 12, "r1": 21}


def test_only_the_two_homes_share_a_prefix() -> None:
    prefixes: dict[str, set[str]] = {}
    for node in NODES:
        for link in node.links:
            prefixes.setdefault(str(ipaddress.ip_interface(link.address).network), set()).add(link.bridge)
    assert {prefix: bridges for prefix, bridges in prefixes.items() if len(bridges) > 1} == {"192.168.1.0/24": {"homee", "homef"}}


def test_an_address_is_used_once_on_its_bridge() -> None:
    used = Counter((link.bridge, link.address) for node in NODES for link in node.links)
    assert max(used.values()) == 1


def test_every_gateway_is_on_the_link_of_its_node_and_is_a_router_there() -> None:
    for node in NODES:
        if node.gateway is None or node.links[-1].bridge == "inet":
            continue
        link = node.links[-1]
        assert ipaddress.ip_address(node.gateway) in ipaddress.ip_interface(link.address).network
        routers = [
            other for other in NODES for port in other.links if port.bridge == link.bridge and port.address.startswith(f"{node.gateway}/")
        ]
        assert [router.routes_for for router in routers] == ["lan0"]


def test_every_link_leads_to_a_bridge_that_exists() -> None:
    assert {link.bridge for node in NODES for link in node.links} == set(BRIDGES) - {MANAGEMENT}


def test_port_names_fit_the_kernels_fifteen_characters_and_are_unique() -> None:
    names = [port_name(node, name) for node in NODES for name in [link.name for link in node.links] + ["mgmt0"]]
    assert max(map(len, names)) <= 15
    assert len(set(names)) == len(names)


def test_hosts_are_isolated_from_each_other_on_the_management_network() -> None:
    files = seed_files()
    for node in HOSTS:
        assert files[f"ports/{node.name}-mgmt0"] == b"mgmt isolated\n"


def test_the_seed_is_a_function_of_its_inputs() -> None:
    arguments = (KEYS, {"a": "bullseye"}, {"bookworm": "/dev/vdd"})
    assert seed(*arguments) == seed(*arguments)


def test_each_host_gets_its_own_key_and_machine_id_and_no_other() -> None:
    for node in HOSTS:
        layer = node_layer(node, KEYS)
        assert layer["etc/ssh/ssh_host_ed25519_key"].content == f"private {node.name}\n"
        assert layer["etc/ssh/ssh_host_ed25519_key"].mode == 0o600
    assert len({node_layer(node, KEYS)["etc/machine-id"].content for node in NODES}) == len(NODES)


def test_nodes_without_sshd_get_no_key() -> None:
    for node in NODES:
        if not node.is_host:
            assert not [path for path in node_layer(node, KEYS) if "ssh" in path]


def test_a_node_of_another_release_says_so_in_the_seed() -> None:
    files = seed_files()
    assert b"RELEASE=bullseye\n" in files["nodes/a"]
    assert b"RELEASE=bookworm\n" in files["nodes/c"]
    assert files["disks"] == b"/dev/vdd bookworm\n/dev/vde bullseye\n"


def test_a_router_lets_nothing_new_in() -> None:
    for name in ("r1", "r2", "re", "rf"):
        assert 'iifname "wan0" ct state new drop' in node_layer(BY_NAME[name], KEYS)["etc/lab/router.nft"].content


def test_a_laptop_can_be_carried_where_addresses_are_handed_out() -> None:
    assert OFFICE.places == {"beijing": SITES["beijing"], "home": "home"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["true"], "true"),
        (["echo", "two words"], "echo 'two words'"),
        (["sh", "-c", 'echo "$HOME"; exit 3'], "sh -c 'echo \"$HOME\"; exit 3'"),
        (["printf", "%s", "it's"], "printf %s 'it'\"'\"'s'"),
        (["echo", ""], "echo ''"),
        (["echo", "-n", "*", "~", "a\nb"], "echo -n '*' '~' 'a\nb'"),
    ],
)
def test_arguments_survive_the_shell_at_the_other_end(argv: list[str], words: str) -> None:
    assert remote_command("z", argv, "tag") == f"exec /run/lab/bin/enter tag z {words}"


def test_exec_without_a_command_is_refused() -> None:
    with pytest.raises(LabError, match="exec needs a command"):
        remote_command("z", [], "tag")


def test_an_unknown_node_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(LabError, match=r"no node 'q' .* choose one of vm, z, a, c"):
        OFFICE.check("q")
