from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from surely import router_of, ssh_of

from wg_office.environment.faults import Fault, Faults, Unreadable
from wg_office.reading.load import inspect, load

CONFIGS = Path(__file__).parents[2] / "configs"
FAULTS = Path(__file__).parent / "faults"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFlOUZrkmTErKUM7fdipf/Bo3vy6l1W21dAOhMUk1nsG"

OFFICE = f"""\
environment: dev
network: {{cidr: 10.70.0.0/16}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  ssh: {{host: 203.0.113.10, host_key: {KEY}}}
gateways:
  - name: c
    site: beijing
    address: 10.70.0.3
    lan: {{cidr: 192.168.200.0/24, address: 192.168.200.248}}
    ssh: {{host: 198.51.100.7, host_key: {KEY}}}
developers:
  - {{name: e, address: 10.70.0.4, access: [beijing]}}
"""


def write(directory: Path, text: str, name: str = "dev.yaml") -> Path:
    file = directory / name
    file.write_text(text)
    return file


def faults_of(directory: Path, text: str) -> list[str]:
    return [f"{fault.path}: {fault.message}" for fault in inspect(write(directory, text)).faults]


def test_a_right_file_loads(tmp_path: Path) -> None:
    environment = load(write(tmp_path, OFFICE))
    assert [peer.name for peer in environment.peers] == ["z", "c", "e"]


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_the_shipped_environments_are_right(file: Path) -> None:
    report = inspect(file, require_host_keys=False)
    assert (report.faults, report.warnings) == ((), ())


def test_the_shipped_environments_use_each_firewall_and_each_return_path() -> None:
    environments = [load(file, require_host_keys=False) for file in CONFIGS.glob("*.yaml")]
    gateways = [gateway for environment in environments for gateway in environment.gateways]
    assert {gateway.firewall for gateway in gateways} == {"nftables", "iptables", "firewalld"}
    assert {gateway.return_path for gateway in gateways} == {"static-route", "masquerade"}
    assert any(gateway.router_ssh for gateway in gateways)
    assert any(gateway.devices for gateway in gateways)


def test_the_fault_of_the_design_reads_as_there(tmp_path: Path) -> None:
    second = OFFICE[OFFICE.index("  - name: c") : OFFICE.index("developers")].replace("name: c", "name: b").replace("beijing", "tianjin")
    second = second.replace("10.70.0.3", "10.70.0.9").replace("198.51.100.7", "198.51.100.9")
    report = inspect(write(tmp_path, OFFICE.replace("developers:", second + "developers:")))
    (fault,) = report.faults
    assert str(fault).startswith(
        f"{tmp_path}/dev.yaml:17 gateways[1].lan.cidr: 192.168.200.0/24 overlaps the LAN of gateway c (line 12); if this is one LAN"
    )


# --- the YAML of 1.2, not of 1.1 ---------------------------------------------------------------------------------------------------------


def test_words_that_yaml_1_1_takes_for_booleans_are_names(tmp_path: Path) -> None:
    text = OFFICE.replace("name: e", "name: on").replace("beijing", "no").replace("name: z", "name: y")
    environment = load(write(tmp_path, text))
    assert (environment.developers[0].name, environment.gateways[0].site, environment.hub.name) == ("on", "no", "y")


def test_digits_with_colons_are_text_and_not_sexagesimal(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path, OFFICE.replace("203.0.113.10:51820", "51820:30"))
    assert fault.startswith("hub.endpoint: '51820:30' is no endpoint")


def test_a_leading_zero_does_not_make_a_number_octal(tmp_path: Path) -> None:
    environment = load(write(tmp_path, OFFICE.replace("host: 198.51.100.7", "port: 0022, host: 198.51.100.7")))
    assert ssh_of(environment.gateways[0]).port == 22


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    text = OFFICE.replace("ssh: {host: 203", "ssh: &ssh {port: 2222, host: 203")
    text = text.replace(f"ssh: {{host: 198.51.100.7, host_key: {KEY}}}", "ssh:\n      <<: *ssh\n      host: 198.51.100.7")
    ssh = ssh_of(load(write(tmp_path, text)).gateways[0])
    assert (ssh.host, ssh.port, ssh.host_key) == ("198.51.100.7", 2222, KEY)


def test_a_fault_in_merged_text_has_the_line_where_it_stands(tmp_path: Path) -> None:
    text = OFFICE.replace("ssh: {host: 203", "ssh: &ssh {prt: 2222, host: 203").replace(
        f"ssh: {{host: 198.51.100.7, host_key: {KEY}}}", "ssh:\n      <<: [*ssh]\n      host: 198.51.100.7"
    )
    report = inspect(write(tmp_path, text))
    assert [(fault.line, fault.path) for fault in report.faults] == [(7, "gateways[0].ssh.prt"), (7, "hub.ssh.prt")]


def test_an_expansion_bomb_is_stopped(tmp_path: Path) -> None:
    levels = "\n".join(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, 9))
    (fault,) = faults_of(tmp_path, f"l0: &l0 x\n{levels}\n")
    assert fault == ": expands to more than 500000 values; use fewer aliases"


@pytest.mark.parametrize("depth", [40, 5000])
def test_endless_nesting_is_a_fault(tmp_path: Path, depth: int) -> None:
    assert any("nested too deeply" in fault for fault in faults_of(tmp_path, "network: " + "[" * depth + "]" * depth))


def test_a_control_character_is_named_with_its_line(tmp_path: Path) -> None:
    report = inspect(write(tmp_path, OFFICE.replace("name: c", "name: c\x07")))
    assert [(fault.line, fault.message) for fault in report.faults] == [
        (9, "holds the character #x0007, which YAML does not allow; remove it")
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + OFFICE.replace("\n", "\r\n").encode())
    assert load(file).environment == "dev"


# --- files that are none -----------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"nowhere\.yaml: cannot be read: No such file or directory; name an environment file"):
        load(tmp_path / "nowhere.yaml")


def test_a_directory_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_bytes_that_are_no_utf8_are_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    file.write_bytes("environment: büro".encode("latin-1"))
    with pytest.raises(Unreadable, match=r"is not UTF-8 text \(byte 14\)"):
        load(file)


# --- faults of both kinds at once --------------------------------------------------------------------------------------------------------


def test_a_wrong_value_elsewhere_hides_no_contradiction(tmp_path: Path) -> None:
    text = OFFICE.replace("network: {", "network: {mtu: big, ").replace("10.70.0.4", "10.70.0.3")
    assert faults_of(tmp_path, text) == [
        "network.mtu: must be a whole number, not the text 'big'; write digits",
        "developers[0].address: 10.70.0.3 is already the address of gateway c (line 11); 10.70.0.2 is free",
    ]


def test_a_gateway_that_could_not_be_read_makes_no_grant_unknown(tmp_path: Path) -> None:
    text = OFFICE.replace("lan: {cidr: 192.168.200.0/24,", "lan: {cidr: 192.168.200.1/24,")
    assert [fault.partition(":")[0] for fault in faults_of(tmp_path, text)] == ["gateways[0].lan.cidr"]
    assert [fault.partition(":")[0] for fault in faults_of(tmp_path, OFFICE.replace("site: beijing", "site: Beijing"))] == [
        "gateways[0].site"
    ]


def test_a_wrong_grant_hides_no_other_grant_of_the_same_developer(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, OFFICE.replace("[beijing]", "[{site: beijing, ports: [22]}, tianjin]"))
    assert [fault.partition(":")[0] for fault in faults] == ["developers[0].access[0].ports[0]", "developers[0].access[1]"]


def test_a_wrong_host_key_is_not_called_missing_as_well(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, OFFICE.replace(KEY, "ssh-rsa AAAA", 1))
    assert [fault.partition(":")[0] for fault in faults] == ["hub.ssh.host_key"]


# --- host keys ---------------------------------------------------------------------------------------------------------------------------


def without_keys(known_hosts: str) -> str:
    return f"known_hosts: {known_hosts}\n" + OFFICE.replace(f", host_key: {KEY}", "").replace("host: 198", "port: 2222, host: 198")


def test_known_hosts_is_found_beside_the_environment_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text(f"203.0.113.10 {KEY}\n[198.51.100.7]:2222 {KEY} comment\n")
    file = write(tmp_path, without_keys("keys"))
    monkeypatch.chdir("/")
    environment = load(file)
    assert [ssh_of(environment.hub).host_key, ssh_of(environment.gateways[0]).host_key] == [KEY, KEY]


def test_a_key_in_the_environment_file_wins_over_known_hosts(tmp_path: Path) -> None:
    other = KEY.replace("1nsG", "1nsH")
    (tmp_path / "keys").write_text(f"203.0.113.10 {other}\n[198.51.100.7]:2222 {other}\n")
    text = without_keys("keys").replace("{host: 203.0.113.10", f"{{host_key: {KEY}, host: 203.0.113.10")
    environment = load(write(tmp_path, text))
    assert [ssh_of(environment.hub).host_key, ssh_of(environment.gateways[0]).host_key] == [KEY, other]


def test_routers_and_devices_get_their_keys_as_well(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"* {KEY}\n[*]:* {KEY}\n")
    text = without_keys("keys").replace(
        "    site: beijing\n",
        "    site: beijing\n    router: {ssh: {host: 192.0.2.1}}\n"
        "    devices: [{name: d, address: 192.168.200.244, ssh: {host: 192.0.2.2}}]\n",
    )
    gateway = load(write(tmp_path, text)).gateways[0]
    assert [ssh_of(router_of(gateway)).host_key, gateway.devices[0].ssh.host_key] == [KEY, KEY]


def test_without_required_host_keys_a_missing_known_hosts_is_no_fault(tmp_path: Path) -> None:
    environment = load(write(tmp_path, without_keys("no-such-file")), require_host_keys=False)
    assert environment.hub.ssh.host_key is None


def test_a_missing_known_hosts_is_one_fault_and_not_one_for_each_host(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path, without_keys("no-such-file"))
    assert fault.startswith("known_hosts: no-such-file does not exist; fill it with `ssh-keyscan -t ed25519 203.0.113.10`")


# --- warnings ----------------------------------------------------------------------------------------------------------------------------


def warnings_of(directory: Path, text: str) -> list[str]:
    report = inspect(write(directory, text))
    assert report.faults == ()
    return [f"{warning.line} {warning.path}: {warning.message}" for warning in report.warnings]


def test_a_home_network_like_an_office_is_a_warning(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, OFFICE.replace("access:", "home: 192.168.200.0/24, access:")) == [
        "15 developers[0].home: 192.168.200.0/24 is the same as the LAN of site beijing (line 12); "
        "e cannot reach both from home: renumber the home network, "
        "or write as: 10.99.200.0/24 beside that LAN, by which all others then know it"
    ]
    assert warnings_of(tmp_path, OFFICE.replace("access:", "home: 192.168.0.0/16, access:")) == [
        "15 developers[0].home: 192.168.0.0/16 overlaps the LAN of site beijing (line 12); "
        "e cannot reach both from home: renumber the home network, "
        "or write as: 10.99.200.0/24 beside that LAN, by which all others then know it"
    ]
    assert warnings_of(tmp_path, OFFICE.replace("access:", "home: 192.168.1.0/24, access:")) == []


def test_other_things_a_reviewer_should_know_are_warnings(tmp_path: Path) -> None:
    text = OFFICE.replace("network: {", "network: {keepalive: 0, ") + "groups:\n  staff: {access: [beijing]}\n"
    text = text.replace("access: [beijing]}\ng", "public_key: HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=, rotation: 2}\ng")
    assert warnings_of(tmp_path, text) == [
        "2 network.keepalive: 0 lets the NAT in front of a gateway forget the tunnel; use 15 to 25",
        "15 developers[0].rotation: renews the preshared key only, because e brings a public key; "
        "a new key pair is the developer's to make",
        "17 groups.staff: no developer has this group; grant it, or remove it",
    ]


# --- whatever comes ----------------------------------------------------------------------------------------------------------------------


def attempt(file: Path) -> tuple[Fault, ...]:
    """Anything but Faults passes on, and fails the test."""
    try:
        load(file)
    except Faults as faults:
        return faults.faults
    return ()


WORDS = ["environment", "network", "hub", "gateways", "developers", "groups", "links", "name", "address", "access", "lan", "cidr", "ssh"]
WORDS += ["host", "hosts", "ports", "site", "from", "to", "router", "devices", "host_key", "known_hosts", "dns", "[key]", "<site>", "<<"]
VALUES = st.sampled_from(["10.70.0.4", "10.70.0.0/16", "e", "22/tcp", "", "~", "203.0.113.10:51820", "::", "{}", "/", "\x00", KEY])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | VALUES | st.text(max_size=8)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6), max_leaves=25
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tree=TREES,
    place=st.sampled_from(["network", "hub", "gateways", "developers", "groups", "links", "known_hosts", "environment"]),
    as_list=st.booleans(),
)
def test_no_data_gets_more_than_faults(tmp_path: Path, tree: object, place: str, as_list: bool) -> None:
    data = yaml.safe_load(OFFICE)
    data[place] = [tree] if as_list else tree
    file = write(tmp_path, yaml.safe_dump(data, allow_unicode=True))
    assert all(fault.message and "\n" not in str(fault) for fault in attempt(file))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(cut=146, junk="\n\n", drop=5)
@example(cut=152, junk="1\n\n", drop=0)
@given(cut=st.integers(0, len(OFFICE)), junk=st.text(alphabet="[]{}:-,&*!<>|\"'#%@\t\n\x00\ufeffaé1 ", max_size=12), drop=st.integers(0, 5))
def test_no_text_gets_more_than_faults(tmp_path: Path, cut: int, junk: str, drop: int) -> None:
    file = write(tmp_path, OFFICE[:cut] + junk + OFFICE[cut + drop :])
    assert all(fault.message and "\n" not in str(fault) for fault in attempt(file))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 100_000 + ": 1",
        "known_hosts: " + "x" * 100_000,
        "1" * 4000 + ": 1",
        "? !" + "x" * 100_000 + " y\n: 1",
        "links: [{from: " + "x" * 100_000 + ", to: " + "y" * 100_000 + ", ports: [" + "9" * 4000 + "], hosts: [" + "1." * 50_000 + "]}]",
        "hub: {name: " + "é" * 100_000 + ", endpoint: '" + "a." * 5_000 + "x:1', rotation: '" + "7" * 100_000 + "'}",
        "network: {cidr: '" + "1" * 100_000 + "/24', mtu: " + "1" * 4000 + ", dns: {servers: [" + "q" * 100_000 + "], domains: ['']}}",
    ],
)
def test_a_fault_is_a_line_that_can_be_read_whatever_the_file_holds(tmp_path: Path, text: str) -> None:
    faults = inspect(write(tmp_path, text)).faults
    assert faults
    assert [len(str(fault)) for fault in faults if len(str(fault)) > 500] == []
