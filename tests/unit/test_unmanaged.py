"""Gateways that nobody logs in to: the hub alone judges for them, no host is made of them, and a person is told what to do there."""

import io
from pathlib import Path

import pytest
from firewall_models import Packet
from hypothesis import given, settings
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork
from rich.console import Console
from test_firewall_decision import THOROUGH, at, by_nftables, in_table, meetings, offices, way
from typer.testing import CliRunner

from wg_office.asking.status import HostStatus, Reading, judge, pings
from wg_office.commands import status_report
from wg_office.commands.access_report import rows
from wg_office.commands.cli import app
from wg_office.environment.model import Developer, Environment, Gateway, Group
from wg_office.hosts.render import Scripts
from wg_office.network.access import permissions, reach_of
from wg_office.network.enforced import enforced
from wg_office.network.extent import both, extent, less
from wg_office.network.instructions import LONGEST, by_hand
from wg_office.network.plan import plan
from wg_office.reading.load import load
from wg_office.reading.warn import warn
from wg_office.review.difference import difference

run = CliRunner().invoke
EXAMPLE = Path(__file__).parents[2] / "configs" / "example-unmanaged.yaml"


@pytest.fixture(scope="module")
def branches() -> Environment:
    return load(EXAMPLE)


def unmanaged(gateway: Gateway) -> Gateway:
    return gateway.model_copy(update={"ssh": None, "managed": "no", "firewall": "nftables"})


def changed(env: Environment, name: str, /, **update: object) -> Environment:
    gateways = tuple(each.model_copy(update=update) if each.name == name else each for each in env.gateways)
    return env.model_copy(update={"gateways": gateways})


# --- the hub judges --------------------------------------------------------------------------------------------------------------------


@st.composite
def half_managed(draw: st.DrawFn) -> Environment:
    env = draw(offices())
    return env.model_copy(update={"gateways": tuple(unmanaged(each) if draw(st.booleans()) else each for each in env.gateways)})


@settings(THOROUGH, max_examples=60)
@given(meetings(half_managed()))
def test_without_the_gateways_rules_exactly_what_the_access_table_says_passes(meeting: tuple[Environment, list[Packet]]) -> None:
    env, packets = meeting
    policies = reach_of(env).policies
    nobodys = {gateway.name for gateway in env.gateways if not gateway.is_managed}
    for packet in packets:
        judges = [judge for judge in way(env, packet) if judge[0] not in nobodys]
        verdicts = {host: by_nftables(policies[host], at(packet, came, goes)) for host, came, goes in judges}
        # What the hub itself sends to such a gateway nobody judges; the table says so.
        if verdicts:
            assert (set(verdicts.values()) == {"accept"}) == in_table(permissions(env), packet), (packet, verdicts)


def test_a_grant_to_the_lan_does_not_open_the_device_that_nobody_but_the_hub_protects(branches: Environment) -> None:
    reached = enforced(branches, reach_of(branches).policies, IPNetwork("10.76.0.10/32"))
    router, neighbour = (extent([IPNetwork(address)], ()) for address in ("192.168.92.1/32", "192.168.92.2/32"))
    assert not both(reached, router)
    assert not less(neighbour, reached)
    access = [{"site": "shop", "hosts": ["192.168.92.1"]}]
    named = branches.model_copy(
        update={"developers": (Developer.model_validate({"name": "kim", "address": "10.76.0.10", "access": access}),)}
    )
    assert not less(router, enforced(named, reach_of(named).policies, IPNetwork("10.76.0.10/32"))), "where it is named it is meant"


def test_what_the_hub_opens_there_itself_nobody_judges(branches: Environment) -> None:
    reached = enforced(branches, reach_of(branches).policies, IPNetwork("10.76.0.1/32"))
    assert not less(extent([IPNetwork("192.168.92.0/24")], ()), reached)


def test_the_table_says_where_the_hub_is_alone(branches: Environment) -> None:
    at_hub = branches.hub.model_copy(update={"access": Group.model_validate({"access": ["depot"]}).access})
    listed = rows(branches.model_copy(update={"hub": at_hub}))
    found = {(row.who.partition(" (")[0], row.may_reach.partition(" (")[0]): row.enforced_at for row in listed}
    assert found[("developer kim", "site office")] == "hub, main"
    assert found[("developer kim", "site depot")] == "hub alone"
    assert found[("developer ola", "host tik")] == "hub alone"
    assert found[("site depot", "site office")] == "hub, main"
    assert found[("host hub", "site depot")] == "nobody"


def test_what_a_site_opens_waits_for_no_route_where_the_gateway_is_its_router(branches: Environment) -> None:
    assert branches.gateway_of("depot").masquerades_some
    for router, told in (("self", "5432/tcp"), (None, "5432/tcp, once its LAN has the route")):
        env = changed(branches, "tik", router=router)
        assert [row.on for row in rows(env) if row.who.startswith("site depot")] == [told]
        warned = [each for each in warn(env) if each.path[-1] == "return_path"]
        assert bool(warned) == (router is None)
        assert not [each for each in warned if "`router:` with ssh" in each.remedy], "nobody logs in there"


# --- no host -----------------------------------------------------------------------------------------------------------------------------


def test_it_is_a_peer_of_the_hub_and_no_host(branches: Environment) -> None:
    plans = {host.name: host for host in plan(branches)}
    assert list(plans) == ["hub", "main"]
    assert plans["hub"].tunnel is not None
    peers = {peer.name: [str(prefix) for prefix in peer.allowed_ips] for peer in plans["hub"].tunnel.peers}
    assert peers["tik"] == ["10.76.0.3/32", "fd76:6f66:6669::3/128", "192.168.91.0/24", "2001:db8:91::/64", "10.31.0.0/16"]
    assert plans["hub"].carries == ()


def test_the_hub_pings_those_that_nobody_can_ask(branches: Environment) -> None:
    hub, main = plan(branches)
    assert [ping.to for ping in pings(branches, hub)] == ["tik", "box", "wall", "nas", "other"]
    assert [ping.to for ping in pings(branches, main)] == ["hub"]
    assert pings(changed(branches, "tik", retired=True), hub)[0].to == "box"


# --- what a person is told ---------------------------------------------------------------------------------------------------------------


def test_by_hand_says_where_the_text_is_and_holds_none_of_it(branches: Environment) -> None:
    told = by_hand(branches)
    assert "site depot: paste into a terminal of tik what this shows, a secret" in told
    assert told[1] == "pulumi stack output gateway_tik_conf --show-secrets"
    assert [item for item in told if len(item) > LONGEST] == []


def test_the_longest_names_fit_into_an_item(branches: Environment) -> None:
    longest = "n" * 32
    for form in ("routeros", "openwrt", "opnsense", "wg-quick", "no"):
        for retired in (False, True):
            env = changed(branches, "box", name=longest, site=longest, managed=form, retired=retired)
            told = by_hand(env.model_copy(update={"developers": (), "links": ()}))
            assert [item for item in told if longest in item and len(item) > LONGEST] == []
            assert len([item for item in told if longest in item]) == (1 if retired else 2)


def test_the_routes_are_asked_for_as_at_any_site(branches: Environment) -> None:
    told = by_hand(changed(branches, "nas", return_path="static-route"))
    assert "ip route replace 10.76.0.0/16 via 192.168.94.20" in told
    assert not [item for item in told if " via 192.168.92.1" in item], "box is its LAN's router itself"


def test_a_retired_one_is_to_be_cleared_by_hand(branches: Environment) -> None:
    env = changed(branches, "tik", retired=True)
    told = by_hand(env.model_copy(update={"links": ()}))
    assert "site depot is retired: take away on tik what was set there by hand" in told
    assert "pulumi stack output gateway_tik_conf --show-secrets" not in told
    assert not [item for item in permissions(env) if item.destination.name == "depot"]


def test_a_host_that_becomes_a_device_goes_and_its_peer_stays(branches: Environment) -> None:
    device = changed(branches, "main", ssh=None, managed="openwrt")
    found = difference(branches, device)
    assert {host.host: host.state for host in found.hosts} == {"hub": "stays", "main": "gone"}
    hub = next(host for host in found.hosts if host.host == "hub")
    assert (hub.interruptions, hub.refused) == ((), ())
    assert "managed: nothing -> openwrt" in [change.text for change in found.changes]
    assert ("by hand", "+", "pulumi stack output gateway_main_conf --show-secrets") in [
        (change.section, change.sign, change.text) for change in found.changes
    ]
    back = difference(device, branches)
    assert {host.host: host.state for host in back.hosts} == {"hub": "stays", "main": "new"}


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"rotation": 2}, "site depot is down until"),
        ({"address": IPAddress("10.76.0.33")}, "site depot is down until"),
        ({"managed": "openwrt"}, "says something else now; paste it there again"),
        ({"return_path": "masquerade", "router": None}, "says something else now; paste it there again"),
    ],
)
def test_a_difference_says_what_is_to_be_pasted_again(branches: Environment, update: dict[str, object], words: str) -> None:
    found = [change.text for change in difference(branches, changed(branches, "tik", **update)).changes if change.section == "by hand"]
    assert [text for text in found if text.startswith("tik: ") and words in text] != []
    assert not [text for text in found if text.startswith(("box: ", "nas: "))]


def test_the_hubs_key_is_news_for_every_device_and_a_developer_for_none(branches: Environment) -> None:
    renewed = branches.model_copy(update={"hub": branches.hub.model_copy(update={"rotation": 2})})
    told = [change.text for change in difference(branches, renewed).changes if change.section == "by hand"]
    assert [text.partition(":")[0] for text in told] == ["tik", "box", "wall", "nas", "other"]
    fewer = branches.model_copy(update={"developers": branches.developers[:1]})
    assert [text for text in by_text(fewer, branches) if text.startswith(("box: ", "wall: ", "nas: "))] == []


def by_text(before: Environment, after: Environment) -> list[str]:
    return [change.text for change in difference(before, after).changes if change.section == "by hand"]


# --- status ------------------------------------------------------------------------------------------------------------------------------


def asked(env: Environment, age: str = "40", answer: str = "answered", held: str = "") -> dict[str, HostStatus]:
    """Who is how, where the hub says this of `other`, the one that has a key of its own."""
    words = f"time 1000\ngeneration none\npeer {env.brought_keys['other']} {age} 1 1 203.0.113.99:51820\nping 10.76.0.7 {answer}\n{held}"
    found = judge(env, plan(env)[:1], {"hub": Reading(said=words, asked=1000, answered=1000)}, Scripts("", "", ""))
    return {each.name: each for each in found}


def in_words(found: HostStatus) -> list[str]:
    return [f"{finding.kind}: {finding.text}" for finding in found.findings]


SILENT = "trouble: silent: last handshake with hub hub {}; see that what gateway_other_conf says is set there"


@pytest.mark.parametrize(
    ("age", "answer", "said"),
    [
        ("40", "answered", []),
        ("40", "unknown", []),
        ("180", "answered", []),
        ("181", "answered", [SILENT.format("3 min ago")]),
        ("never", "answered", [SILENT.format("never")]),
        ("40", "silent", ["trouble: does not answer a ping of hub hub (10.76.0.7)"]),
    ],
)
def test_status_judges_it_by_the_hubs_handshake_and_ping_in_a_row_of_its_own(
    branches: Environment, age: str, answer: str, said: list[str]
) -> None:
    found = asked(branches, age, answer)
    assert list(found) == ["hub", "tik", "box", "wall", "nas", "other"]
    assert in_words(found["other"]) == said
    assert not [text for text in in_words(found["hub"]) if "trouble" in text]


def test_without_keepalives_the_ping_alone_counts(branches: Environment) -> None:
    quiet = branches.model_copy(update={"network": branches.network.model_copy(update={"keepalive": 0})})
    assert in_words(asked(quiet, "never")["other"]) == []
    assert len(in_words(asked(quiet, "never", "silent")["other"])) == 1


def test_one_that_the_hub_was_not_given_yet_awaits_an_up_and_no_repair(branches: Environment) -> None:
    found = asked(branches)["tik"]
    assert in_words(found) == ["up due: hub hub does not let it in yet: pulumi up"]
    assert not found.needs_repair


def test_one_that_the_hub_has_lost_is_trouble(branches: Environment) -> None:
    held = "description\n# wg-office description 1\n---- file x.netdev 0644\n# tik, gateway\n[WireGuardPeer]\nPublicKey=k\n"
    assert in_words(asked(branches, held=held)["tik"]) == ["trouble: hub hub has lost it as a peer; see what is said of that"]


def test_of_one_whose_hub_does_not_answer_nobody_knows(branches: Environment) -> None:
    found = judge(branches, plan(branches)[:1], {"hub": Reading(failure="cannot be reached")}, Scripts("", "", ""))
    assert [in_words(each) for each in found if each.name == "tik"] == [
        ["unreachable: nobody logs in there, and hub hub, which could tell, did not answer"]
    ]


def test_its_row_shows_what_the_hub_sees(branches: Environment) -> None:
    found = tuple(asked(branches, "7500", "silent").values())
    written = io.StringIO()
    console = Console(file=written, width=200)
    console.print(status_report.table(branches, found))
    (row,) = (line for line in written.getvalue().splitlines() if "other, unmanaged gateway" in line)
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["trouble", "hub 2 h ago", "from hub: silent"]
    data = next(host for host in status_report.as_data(branches, found)["hosts"] if host["name"] == "other")
    assert (data["role"], data["address"], data["state"]) == ("unmanaged gateway", None, "trouble")
    assert (data["peers"][0]["handshake_age"], data["pings"][0]["answer"]) == (7500, "silent")


# --- the command line --------------------------------------------------------------------------------------------------------------------


def test_render_shows_the_text_without_its_keys() -> None:
    shown = run(app, ["render", str(EXAMPLE), "--host", "tik"])
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "==> tik: gateway_tik_conf" in shown.stdout
    assert 'private-key="(generated on apply)"' in shown.stdout
    assert [line for line in run(app, ["render", str(EXAMPLE)]).stdout.splitlines() if line.endswith("_conf")] == [
        f"==> {name}: gateway_{name}_conf" for name in ("tik", "box", "wall", "nas", "other")
    ]


@pytest.mark.parametrize("words", ["access {}", "access {} --format csv", "access {} --format markdown"])
def test_access_says_in_each_format_where_the_hub_is_alone(words: str) -> None:
    shown = run(app, words.format(EXAMPLE).split(), env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert shown.stdout.count("hub alone") == 7


@pytest.mark.parametrize("words", ["diagram {}", "diagram {} --format mermaid", "check {}"])
def test_the_other_commands_take_such_a_file(words: str) -> None:
    shown = run(app, words.format(EXAMPLE).split())
    assert shown.exit_code == 0
    assert "depot" in shown.stdout
