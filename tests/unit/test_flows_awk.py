"""hostside/flows.awk: which tracked connections are to be ended, by what `conntrack -L` prints. Runs mawk, Debian's awk."""

import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "hostside" / "flows.awk"

D = "192.168.200.244"

FLOWS = """\
# wg-office flows 1
scope 10.70.0.0/16
scope fd70::/64
scope 192.168.201.0/24
local 10.70.0.3
local fd70::3
local 192.168.200.248
allow 10.70.0.4/32 192.168.200.0/24 any
allow 10.70.0.5/32 192.168.200.244/32 icmp
allow 10.70.0.5/32 192.168.200.244/32 tcp 22-22
allow 10.70.0.5/32 192.168.200.244/32 udp 8000-8100
allow 10.70.0.6/32 10.70.0.3/32 tcp 443-443
allow 192.168.200.0/24 10.70.0.5/32 tcp 9000-9000
allow 192.168.201.128/25 192.168.200.244/32 tcp 5432-5432
allow fd70::4/128 fd70::5/128 tcp 22-22
allow fd70::5/128 fd70::3/128 icmp
"""


def ended(tmp_path: Path, tracked: str, *, flows: str = FLOWS, before: str | None = None) -> list[str]:
    (tmp_path / "flows").write_text(flows)
    arguments = ["mawk", "-f", str(SCRIPT)]
    if before is not None:
        (tmp_path / "before").write_text(before)
        arguments += ["was=1", str(tmp_path / "before")]
    result = subprocess.run([*arguments, "was=0", str(tmp_path / "flows"), "-"], input=tracked, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return result.stdout.splitlines()


def tcp(
    source: str, destination: str, port: int, *, seen_as: str | None = None, reached: str | None = None, reached_port: int | None = None
) -> str:
    there, back, answering = reached or destination, seen_as or source, reached_port or port
    return (
        f"tcp      6 431999 ESTABLISHED src={source} dst={destination} sport=40000 dport={port} "
        f"src={there} dst={back} sport={answering} dport=40000 [ASSURED] mark=0 use=1\n"
    )


def udp(source: str, destination: str, port: int) -> str:
    return (
        f"udp      17 27 src={source} dst={destination} sport=4000 dport={port} [UNREPLIED] "
        f"src={destination} dst={source} sport={port} dport=4000 mark=0 use=1\n"
    )


def icmp(source: str, destination: str, kind: int = 8) -> str:
    six = ":" in source
    name, number, answer = ("icmpv6", 58, kind + 1) if six else ("icmp", 1, 0)
    return (
        f"{name}     {number} 29 src={source} dst={destination} type={kind} code=0 id=15 "
        f"src={destination} dst={source} type={answer} code=0 id=15 mark=0 use=1\n"
    )


@pytest.mark.parametrize(
    "flow",
    [
        tcp("10.70.0.4", "192.168.200.7", 1),
        udp("10.70.0.4", "192.168.200.255", 65535),
        f"gre      47 29 src=10.70.0.4 dst={D} srckey=0x0 dstkey=0x0 src={D} dst=10.70.0.4 srckey=0x0 dstkey=0x0 mark=0 use=1\n",
        tcp("10.70.0.5", "192.168.200.244", 22),
        tcp("10.70.0.5", "192.168.200.244", 22, seen_as="192.168.200.248"),
        udp("10.70.0.5", "192.168.200.244", 8000),
        udp("10.70.0.5", "192.168.200.244", 8100),
        icmp("10.70.0.5", "192.168.200.244"),
        tcp("10.70.0.6", "10.70.0.3", 443),
        tcp("192.168.200.77", "10.70.0.5", 9000),
        tcp("192.168.201.200", "192.168.200.244", 5432),
        tcp("fd70::4", "fd70::5", 22),
        tcp("fd70:0:0:0:0:0:0:4", "fd70:0:0::5", 22),
        icmp("fd70::5", "fd70::3", 128),
    ],
)
def test_allowed_connection_stays(tmp_path: Path, flow: str) -> None:
    assert ended(tmp_path, flow) == []


@pytest.mark.parametrize(
    "flow",
    [
        tcp("192.168.200.50", "198.51.100.9", 443),
        tcp("10.70.0.3", "10.70.0.1", 22),
        tcp("192.168.200.248", "192.168.200.244", 22),
        tcp("fd70::3", "fd70::1", 22),
        tcp("192.168.200.50", "10.70.0.3", 22),
        tcp("198.51.100.9", "192.168.200.248", 22),
        udp("203.0.113.10", "192.168.200.248", 51820),
        "conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.\n",
    ],
)
def test_what_did_not_come_through_the_tunnel_stays(tmp_path: Path, flow: str) -> None:
    assert ended(tmp_path, flow) == []


@pytest.mark.parametrize(
    ("flow", "deletion"),
    [
        (tcp("10.70.0.5", D, 23), f"-f ipv4 -p tcp -s 10.70.0.5 -d {D} --sport 40000 --dport 23"),
        (tcp("10.70.0.5", "192.168.200.245", 22), "-f ipv4 -p tcp -s 10.70.0.5 -d 192.168.200.245 --sport 40000 --dport 22"),
        (udp("10.70.0.5", D, 8101), f"-f ipv4 -p udp -s 10.70.0.5 -d {D} --sport 4000 --dport 8101"),
        (udp("10.70.0.5", D, 22), f"-f ipv4 -p udp -s 10.70.0.5 -d {D} --sport 4000 --dport 22"),
        (tcp("10.70.0.1", D, 22), f"-f ipv4 -p tcp -s 10.70.0.1 -d {D} --sport 40000 --dport 22"),
        (tcp("10.70.0.40", D, 22), f"-f ipv4 -p tcp -s 10.70.0.40 -d {D} --sport 40000 --dport 22"),
        (tcp("192.168.200.77", "10.70.0.4", 9000), "-f ipv4 -p tcp -s 192.168.200.77 -d 10.70.0.4 --sport 40000 --dport 9000"),
        (tcp("192.168.201.127", D, 5432), f"-f ipv4 -p tcp -s 192.168.201.127 -d {D} --sport 40000 --dport 5432"),
        (tcp("fd70::4", "fd70::6", 22), "-f ipv6 -p tcp -s fd70::4 -d fd70::6 --sport 40000 --dport 22"),
        (tcp("fd70::4", "2001:db8::1", 22), "-f ipv6 -p tcp -s fd70::4 -d 2001:db8::1 --sport 40000 --dport 22"),
        (icmp("10.70.0.6", D), f"-f ipv4 -p icmp -s 10.70.0.6 -d {D} --icmp-type 8 --icmp-code 0 --icmp-id 15"),
        (icmp("10.70.0.5", D, 13), f"-f ipv4 -p icmp -s 10.70.0.5 -d {D} --icmp-type 13 --icmp-code 0 --icmp-id 15"),
        (icmp("fd70::4", "fd70::5", 128), "-f ipv6 -p icmpv6 -s fd70::4 -d fd70::5 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 15"),
        (f"unknown  50 599 src=10.70.0.5 dst={D} [UNREPLIED] src={D} dst=10.70.0.5 mark=0 use=1\n", f"-f ipv4 -p 50 -s 10.70.0.5 -d {D}"),
    ],
)  # fmt: skip
def test_connection_that_no_line_allows_ends(tmp_path: Path, flow: str, deletion: str) -> None:
    assert ended(tmp_path, flow) == [deletion]


def test_grant_to_the_lan_keeps_no_connection_to_the_gateway_in_it(tmp_path: Path) -> None:
    flow = tcp("10.70.0.4", "192.168.200.248", 22)
    assert ended(tmp_path, flow) == ["-f ipv4 -p tcp -s 10.70.0.4 -d 192.168.200.248 --sport 40000 --dport 22"]
    assert ended(tmp_path, flow, flows=FLOWS + "allow 10.70.0.4/32 192.168.200.248/32 tcp 22-22\n") == []


def test_translated_destination_is_judged_by_where_it_really_goes(tmp_path: Path) -> None:
    published = tcp("10.70.0.6", "10.70.0.3", 443, reached="172.17.0.2", reached_port=8443)
    assert ended(tmp_path, published) == ["-f ipv4 -p tcp -s 10.70.0.6 -d 10.70.0.3 --sport 40000 --dport 443"]


def test_link_that_is_gone_has_connections_to_end(tmp_path: Path) -> None:
    without = "".join(line for line in FLOWS.splitlines(keepends=True) if "192.168.201." not in line)
    flow = tcp("192.168.201.200", "192.168.200.244", 5432)
    assert ended(tmp_path, flow, flows=without) == []
    assert ended(tmp_path, flow, flows=without, before=FLOWS) == [
        "-f ipv4 -p tcp -s 192.168.201.200 -d 192.168.200.244 --sport 40000 --dport 5432"
    ]


def test_what_was_allowed_before_is_not_allowed_by_that(tmp_path: Path) -> None:
    flow = tcp("10.70.0.5", "192.168.200.244", 22)
    assert len(ended(tmp_path, flow, flows=FLOWS.replace("tcp 22-22", "tcp 23-23"), before=FLOWS)) == 1


def test_addresses_of_the_running_system_may_be_added_with_their_prefix_length(tmp_path: Path) -> None:
    flow = tcp("203.0.113.10", "10.70.0.4", 22)
    assert len(ended(tmp_path, flow)) == 1
    assert ended(tmp_path, flow, flows=FLOWS + "local 203.0.113.10/24\n") == []


KNOWN_AS = FLOWS + "alias 10.99.7.0/24 192.168.200.0/24\nallow 192.168.200.0/24 10.70.0.5/32 tcp 9000-9000\n"


@pytest.mark.parametrize(
    "flow",
    [
        tcp("10.70.0.5", "10.99.7.244", 22, reached=D),
        tcp("10.70.0.5", "10.99.7.244", 22, reached=D, seen_as="192.168.200.248"),
        tcp("10.70.0.4", "10.70.0.3", 8080, reached=D, reached_port=80),
        tcp(D, "10.70.0.5", 9000, seen_as="10.99.7.244"),
    ],
    ids=["arriving", "masqueraded", "by a port of the gateway's own", "leaving"],
)
def test_connection_by_an_alias_stays_and_ends_when_that_is_another_or_gone(tmp_path: Path, flow: str) -> None:
    assert ended(tmp_path, flow, flows=KNOWN_AS, before=KNOWN_AS) == []
    own_port = "8080" in flow
    for flows in (FLOWS, KNOWN_AS.replace("10.99.7.", "10.98.7.")):
        assert len(ended(tmp_path, flow, flows=flows, before=KNOWN_AS)) == (0 if own_port else 1)


@pytest.mark.parametrize(
    "flow",
    [tcp("10.70.0.5", D, 22), tcp("10.70.0.5", D, 22, seen_as="192.168.200.248"), tcp(D, "10.70.0.5", 9000)],
    ids=["arriving", "masqueraded", "leaving"],
)
def test_connection_by_a_lans_own_prefix_ends_when_that_gets_an_alias(tmp_path: Path, flow: str) -> None:
    assert ended(tmp_path, flow) == []
    assert len(ended(tmp_path, flow, flows=KNOWN_AS, before=FLOWS)) == 1


def test_connection_by_an_alias_whose_permission_is_gone_ends_by_the_address_that_the_sender_used(tmp_path: Path) -> None:
    flow = tcp("10.70.0.5", "10.99.7.244", 22, reached=D)
    flows = KNOWN_AS.replace("tcp 22-22", "tcp 23-23")
    assert ended(tmp_path, flow, flows=flows, before=KNOWN_AS) == ["-f ipv4 -p tcp -s 10.70.0.5 -d 10.99.7.244 --sport 40000 --dport 22"]


def test_connection_of_the_lans_router_that_has_nothing_to_do_with_the_tunnel_is_left_alone(tmp_path: Path) -> None:
    flow = tcp("192.168.200.9", "198.51.100.9", 443, seen_as="203.0.113.9")
    assert ended(tmp_path, flow, flows=KNOWN_AS, before=FLOWS) == []


def test_a_thousand_developers_and_many_connections_take_no_time_to_speak_of(tmp_path: Path) -> None:
    people = [f"10.70.{1 + n // 250}.{n % 250 + 1}" for n in range(1000)]
    flows = FLOWS + "".join(f"allow {address}/32 192.168.{lan}.0/24 any\n" for address in people for lan in (200, 202, 203))
    tracked = "".join(tcp(address, f"192.168.203.{n}", 443) for address in people for n in range(1, 11))
    started = time.monotonic()
    assert ended(tmp_path, tracked, flows=flows) == []
    print(f"{len(tracked.splitlines())} connections in {time.monotonic() - started:.2f} s")
