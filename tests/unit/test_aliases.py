"""LANs that all others know by another prefix (`as:`): two with the same addresses, and who is told which."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from firewall_models import Nftables, Packet, Protocol, Verdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork
from test_firewall_decision import INTERESTING_PORTS, SITES, meaningful, near, offices, receivers, senders, site_at, way
from test_firewall_decision import lan as in_lan
from test_several_lans import assert_hosts_enforce_what_is_granted

from wg_office.commands.access_report import rows
from wg_office.environment.model import Environment, Lan, Site, moved
from wg_office.hosts.firewall import alias, nftables
from wg_office.network.access import FirewallPolicy, permissions, reach_of
from wg_office.network.instructions import by_hand
from wg_office.network.plan import plan
from wg_office.people.profiles import AT, EVERYDAY, EXACT, profiles
from wg_office.reading.load import inspect, load
from wg_office.review.difference import difference

EXAMPLE = Path(__file__).parents[2] / "configs" / "example-same-lans.yaml"
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.fixture(scope="module")
def alike() -> Environment:
    return load(EXAMPLE)


# --- any office, with aliases ----------------------------------------------------------------------------------------------------------


@st.composite
def translating(draw: st.DrawFn) -> Environment:
    """A random office, in which several sites have the same LAN and are known by an alias; and so are some of their other networks."""
    env = draw(offices())
    alike = [site.site_name for site in env.sites if draw(st.booleans())]
    text = env.model_dump_json(by_alias=True, exclude_unset=True)
    for site in alike:
        # Wherever the file names a machine there.
        text = text.replace(f'"{in_lan(site, "")}', '"192.168.1.')
    raw = json.loads(text)
    for each in (raw["hub"], *raw["gateways"]):
        for number, network in enumerate(each.get("lans", [each.get("lan")] if each.get("lan") else [])):
            if number == 0 and each["site"] in alike:
                network["as"] = in_lan(each["site"], "0/24")
            elif network.get("via") != "internet" and draw(st.booleans()):
                network["as"] = _alias(network["cidr"], 99 + SITES.index(each["site"]), number)
    return Environment.model_validate(raw)


def _alias(cidr: str, number: int, at: int) -> str:
    if ":" in cidr:
        return f"fd99:{number}:{at}::/64"
    return f"10.{number}.0.0/16" if cidr.endswith("/16") else f"172.{number - 80}.{at}.0/24"


@few
@given(translating())
def test_no_two_peers_of_the_hub_share_an_address_and_no_lan_with_an_alias_is_routed_by_its_own(env: Environment) -> None:
    tunnels = {host.name: host.tunnel for host in plan(env) if host.tunnel is not None}
    prefixes = [prefix for peer in tunnels[env.hub.name].peers for prefix in peer.allowed_ips]
    assert not [one for number, one in enumerate(prefixes) for other in prefixes[:number] if one in other or other in one]
    hidden = {lan.cidr for site in env.sites for lan in site.aliased}
    for tunnel in tunnels.values():
        assert not hidden & {*tunnel.routes, *(prefix for peer in tunnel.peers for prefix in peer.allowed_ips)}
    for client in env.clients:
        assert not {str(each) for each in hidden} & {prefix for made in profiles(env, client) for prefix in made.allowed_ips}


@few
@given(translating(), st.data())
def test_there_and_back_is_the_identity(env: Environment, data: st.DataObject) -> None:
    for site in env.sites:
        for lan in site.networks:
            host = IPNetwork(lan.cidr[data.draw(st.integers(0, lan.cidr.size - 1))])
            known = site.as_known(host)
            assert (known in lan.known_as, site.as_here(known)) == (True, host)
        rules = {name: lines for name, _, lines in alias.chains("wg0", reach_of(env).policies[site.name].aliases)}
        arriving, leaving = (pairs_in(rules.get(name, [])) for name in ("alias-in", "alias-out"))
        assert arriving == {known: real for real, known in leaving.items()} == {lan.known_as: lan.cidr for lan in site.aliased}


def mapped(rule: str) -> str:
    found = re.search(r"map \{ (.*) \}", rule)
    assert found is not None, rule
    return found[1]


def pairs_in(rules: list[str]) -> dict[IPNetwork, IPNetwork]:
    """What is translated to what; the family and the length of both are the same."""
    pairs = [pair.split(" : ") for rule in rules for pair in mapped(rule).split(", ")]
    found = {IPNetwork(one): IPNetwork(other) for one, other in pairs}
    assert all((one.version, one.prefixlen) == (other.version, other.prefixlen) for one, other in found.items())
    return found


class Translating(Nftables):
    """The table with its translation around it: what comes out of the tunnel is judged behind it, what goes into it before."""

    def __init__(self, policy: FirewallPolicy) -> None:
        super().__init__(nftables.render(policy))
        self.aliases = {name: self.chains.pop(name)[1:] for name in list(self.chains) if name.startswith("alias-")}
        self.arriving, self.leaving = (pairs_in(self.aliases.get(name, [])) for name in ("alias-in", "alias-out"))

    def decide(self, packet: Packet) -> Verdict:
        if self._run(self.aliases.get("alias-guard-in", []), packet) == "drop":
            return "drop"
        inside = packet if packet.way_in != "wg0" else at(packet, destination=translated(packet.destination, self.arriving))
        verdict = super().decide(inside)
        outside = inside if packet.way_out != "wg0" else at(inside, source=translated(packet.source, self.leaving))
        leaves = packet.way_out is not None and self._run(self.aliases.get("alias-guard-out", []), outside) != "drop"
        return verdict if verdict != "accept" or leaves or packet.way_out is None else "drop"


def at(packet: Packet, **changed: Any) -> Packet:
    return Packet(**{name: getattr(packet, name) for name in Packet.__dataclass_fields__} | changed)


def translated(address: IPAddress, pairs: dict[IPNetwork, IPNetwork]) -> IPAddress:
    network = IPNetwork(address)
    return next((moved(network, one, other).ip for one, other in pairs.items() if address in one), address)


@settings(few, max_examples=60)
@given(translating(), st.data())
def test_rules_let_through_exactly_what_the_access_table_says(env: Environment, data: st.DataObject) -> None:
    granted, policies, by_alias = permissions(env), reach_of(env).policies, known_by_alias(env)
    judges = {name: Translating(policy) for name, policy in policies.items()}
    gateways = [site.as_known(IPNetwork(address)).ip for site in env.sites for address in site.own_addresses]
    anyone = st.tuples(st.sampled_from(senders(env)), st.sampled_from(receivers(env)), st.sampled_from(INTERESTING_PORTS))
    aimed = st.sampled_from(granted).flatmap(lambda item: near(item, gateways)) if granted else anyone
    hidden = [lan.cidr for site in env.sites for lan in site.aliased]
    for source, destination, port in data.draw(st.lists(anyone | aimed | aimed, min_size=4, max_size=12)):
        if any(end in prefix for prefix in hidden for end in (source, destination)) or not meaningful(by_alias, source, destination):
            continue
        protocol: Protocol = data.draw(st.sampled_from(["tcp", "udp", "icmp"]))
        packet = Packet("", None, source, destination, protocol, port if protocol != "icmp" else 0)
        verdicts = [judges[host].decide(seen_at(env, packet, host, came, goes)) for host, came, goes in way(by_alias, packet)]
        allowed = any(item.allows(packet.source, packet.destination, packet.protocol, packet.port) for item in granted)
        assert ({*verdicts} == {"accept"}) == allowed, (packet, verdicts)


def known_by_alias(env: Environment) -> Environment:
    """As if the LANs had the prefixes by which they are known: the way of a packet is then the way without translation."""
    return env.model_copy(
        update={
            "hub": _as_known(env.hub),
            "gateways": tuple(map(_as_known, env.gateways)),
        }
    )


def _as_known(site: Any) -> Any:
    lans = tuple(
        lan.model_copy(
            update={
                "cidr": lan.known_as,
                "alias": None,
                "address": lan.address and moved(IPNetwork(lan.address), lan.cidr, lan.known_as).ip,
            }
        )
        for lan in site.networks
    )
    return site.model_copy(update={"lan": None, "lans": lans})


def seen_at(env: Environment, packet: Packet, host: str, way_in: str, way_out: str | None) -> Packet:
    """As this host meets it: from its own LAN with the address that the machine there has."""
    site: Site | None = site_at(env, packet.source)
    source = site.as_here(IPNetwork(packet.source)).ip if site is not None and site.name == host and way_in != "wg0" else packet.source
    return at(packet, way_in=way_in, way_out=way_out, source=source)


@few
@given(translating())
def test_what_hosts_enforce_is_what_the_file_grants(env: Environment) -> None:
    assert_hosts_enforce_what_is_granted(env)


@few
@given(translating())
def test_who_reaches_what_is_the_same_with_and_without_aliases(env: Environment) -> None:
    plain = env.model_copy(
        update={
            "hub": env.hub.model_copy(update={"lan": None, "lans": _without(env.hub)}),
            "gateways": tuple(each.model_copy(update={"lan": None, "lans": _without(each)}) for each in env.gateways),
        }
    )
    assert [change for change in difference(plain, env).changes if change.section == "access"] == []


def _without(site: Site) -> tuple[Lan, ...]:
    return tuple(lan.model_copy(update={"alias": None}) for lan in site.networks)


# --- the example -----------------------------------------------------------------------------------------------------------------------


def test_access_table_shows_both(alike: Environment) -> None:
    shown = [row.may_reach for row in rows(alike)]
    assert "site hamburg (192.168.1.0/24 as 10.99.1.0/24)" in shown
    assert "site depot (10.20.4.0/24, 192.168.1.50 as 10.99.2.50)" in shown
    assert [row.who for row in rows(alike) if row.who.startswith("site")] == ["site hamburg (192.168.1.0/24 as 10.99.1.0/24)"]


def test_files_have_the_aliases_as_they_are_since_nobody_has_a_cable_to_them(alike: Environment) -> None:
    made = {each.kind: each for each in profiles(alike, alike.clients[0])}
    assert made[EVERYDAY].allowed_ips == ("10.77.0.0/16", "10.20.0.0/15", "10.99.1.0/24", "10.99.2.0/24")
    assert made[EXACT].allowed_ips == ("10.77.0.0/16", "10.20.0.0/16", "10.99.1.0/24", "10.99.2.0/24")
    assert made[f"{AT}depot"].allowed_ips == ("10.77.0.0/16", "10.99.1.0/24")
    assert "10.99.1.0/24 stands for 192.168.1.0/24 (hamburg)" in " ".join(note.en for note in made[EVERYDAY].notes)
    assert not [note for note in made[EVERYDAY].notes if "home network" in note.en], "the alias cures it"


def test_at_office_file_leaves_out_another_office_that_has_these_addresses_and_no_alias(alike: Environment) -> None:
    hamburg, depot = alike.gateways
    plain = hamburg.model_copy(update={"lan": hamburg.networks[0].model_copy(update={"alias": None})})
    env = alike.model_copy(update={"gateways": (plain, depot), "links": ()})
    made = {each.kind: each for each in profiles(env, env.clients[0])}
    assert made[f"{AT}depot"].allowed_ips == ("10.77.0.0/16",)
    assert "192.168.1.0/24 (hamburg) is left out" in made[f"{AT}depot"].notes[0].en
    assert made[f"{AT}hamburg"].allowed_ips == ("10.77.0.0/16", "10.20.0.0/16", "10.99.2.0/24")


def test_routers_are_asked_for_the_alias_of_a_linked_site_by_way_of_the_gateways_own_address(alike: Environment) -> None:
    asked = [item for item in by_hand(alike) if item.startswith("ip ")]
    assert "ip route replace 10.99.2.0/24 via 192.168.1.2" in asked
    assert not [item for item in asked if "192.168.1.0/24" in item]


def test_gaining_an_alias_changes_files_routes_and_rules_and_takes_nothing_from_anybody(alike: Environment) -> None:
    hamburg, depot = alike.gateways
    before = alike.model_copy(update={"gateways": (hamburg, depot.model_copy(update={"lans": _without(depot)})), "links": ()})
    made = difference(before, alike.model_copy(update={"links": ()}))
    assert [change.text for change in made.changes if change.section == "access"] == []
    sites = [change.text for change in made.changes if change.section == "sites"]
    assert len(sites) == 1
    assert "as: 10.99.2.0/24" in sites[0]
    assert [change.who for change in made.changes if change.section == "new files"] == [("lena", "otto")]
    assert {host.host: host.touched for host in made.hosts}["gw-depot"] == ("rules",)


# --- mistakes --------------------------------------------------------------------------------------------------------------------------

HEAD = """\
environment: t
network: {cidr: 10.89.0.0/16}
hub: {name: core, address: 10.89.0.1, endpoint: "192.0.2.9:51820", ssh: {host: 192.0.2.9}}
gateways:
"""
GATE = "  - {{name: gate{0}, site: site{0}, address: 10.89.0.1{0}, {1}, ssh: {{host: 192.0.2.2{0}}}, router: {{address: 192.168.1.1}}}}\n"


def faults(tmp_path: Path, *lans: str, rest: str = "") -> list[str]:
    file = tmp_path / "t.yaml"
    file.write_text(HEAD + "".join(GATE.format(number, lan) for number, lan in enumerate(lans)) + rest)
    report = inspect(file, require_host_keys=False)
    return [f"{fault.path}: {fault.message}" for fault in report.faults]


PLAIN = "lan: {cidr: 192.168.1.0/24, address: 192.168.1.2}"
KNOWN = "lan: {cidr: 192.168.1.0/24, address: 192.168.1.2, as: 10.99.1.0/24}"


def test_two_lans_with_one_prefix_are_refused_with_a_free_alias_and_that_is_taken(tmp_path: Path) -> None:
    (said,) = faults(tmp_path, PLAIN, PLAIN)
    assert said.startswith("gateways[1].lan.cidr: 192.168.1.0/24 overlaps the LAN of gateway gate0 (line 5)")
    assert said.endswith("renumber one, or write as: 10.99.1.0/24 beside this cidr, by which all others then know it")
    assert faults(tmp_path, PLAIN, KNOWN) == []


def test_each_of_several_is_told_another(tmp_path: Path) -> None:
    told = {alias for said in faults(tmp_path, PLAIN, PLAIN, PLAIN) for alias in re.findall(r"as: (\S+)", said)}
    assert told == {"10.99.1.0/24", "10.100.1.0/24"}


def wide(tmp_path: Path, *lans: str) -> list[str]:
    """The faults of sites with these LANs, where the VPN leaves all of 10.0.0.0/8 to them."""
    file = tmp_path / "t.yaml"
    text = HEAD + "".join(GATE.format(number, f"lan: {{cidr: {lan}}}") for number, lan in enumerate(lans))
    text = re.sub(r"cidr: ([0-9.]+)\.0/(\d+)", r"cidr: \1.0/\2, address: \1.7", text.replace(", router: {address: 192.168.1.1}", ""))
    file.write_text(text.replace("10.89.0.0/16, address: 10.89.0.7", "192.168.240.0/24").replace("10.89.0.1", "192.168.240.1"))
    return [f"{fault.path}: {fault.message}" for fault in inspect(file, require_host_keys=False).faults]


@pytest.mark.parametrize(
    ("lans", "proposed"),
    [
        (("10.0.0.0/15", "10.0.0.0/15"), "10.98.0.0/15"),
        (("10.16.0.0/12", "10.16.0.0/12"), "10.96.0.0/12"),
        (("172.16.0.0/12", "172.16.0.0/12"), "10.96.0.0/12"),
        (("10.96.0.0/12", "10.96.0.0/12"), "10.112.0.0/12"),
        (("10.128.0.0/9", "10.128.0.0/9"), "10.0.0.0/9"),
        (("10.0.0.0/8", "10.2.0.0/16"), "172.16.0.0/16"),
        (("10.0.0.0/8", "10.16.0.0/12"), "172.16.0.0/12"),
        (("10.0.0.0/8", "192.168.1.0/24", "192.168.1.0/24"), "172.16.1.0/24"),
        (("172.16.0.0/12", "10.0.0.0/9", "10.1.0.0/24"), "10.128.0.0/24"),
    ],
)
def test_wide_lans_are_told_an_alias_where_there_is_room(tmp_path: Path, lans: tuple[str, ...], proposed: str) -> None:
    (said,) = wide(tmp_path, *lans)
    assert f"or write as: {proposed} beside this cidr" in said
    assert wide(tmp_path, *lans[:-1], f"{lans[-1]}, as: {proposed}") == []


def test_where_no_prefix_is_as_wide_parts_of_the_lan_have_room(tmp_path: Path) -> None:
    (said,) = wide(tmp_path, "10.0.0.0/8", "10.0.0.0/8")
    assert said.endswith("renumber one, or write only the parts of it that people need, each with an as: of its own")
    (part,) = wide(tmp_path, "10.0.0.0/8", "10.5.0.0/16")
    (alias,) = re.findall(r"as: (\S+)", part)
    assert wide(tmp_path, "10.0.0.0/8", f"10.5.0.0/16, as: {alias}") == []


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("as: 10.99.1.0/25", "10.99.1.0/25 is of another length than 192.168.1.0/24"),
        ("as: 'fd99::/64'", "fd99::/64 is of another family than 192.168.1.0/24"),
        ("as: 192.168.1.0/24", "192.168.1.0/24 is the LAN's own prefix"),
        ("as: 10.89.7.0/24", "10.89.7.0/24 overlaps the VPN 10.89.0.0/16"),
        ("as: 192.168.0.0/24", "192.168.0.0/24 overlaps 192.168.0.0/23, the LAN of gateway gate0"),
        ("as: 10.99.7.0/24", "10.99.7.0/24 overlaps 10.99.6.0/23, which is the LAN of gateway gate0 to all others"),
        ("as: 192.0.2.0/24", "192.0.2.0/24 overlaps 192.0.2.9, by which a host is reached"),
        ("as: 127.0.1.0/24", "127.0.1.0/24 holds loopback addresses"),
        ("as: 10.99.1.0", "'10.99.1.0' is no IPv4 prefix without its length"),
        ("as: 10.99.1.5/24", "10.99.1.5/24 has host bits set"),
    ],
)
def test_alias_that_cannot_be_one_is_refused_in_one_line(tmp_path: Path, written: str, wrong: str) -> None:
    other = "lan: {cidr: 192.168.0.0/23, address: 192.168.1.2, as: 10.99.6.0/23}"
    own = f"lan: {{cidr: 192.168.1.0/24, address: 192.168.1.2, {written}}}"
    (said,) = faults(tmp_path, other, own)
    assert said.startswith(f"gateways[1].lan.as: {wrong}")
    assert "; " in said, "there is a remedy"


def test_alias_of_what_lies_in_the_internet_is_refused(tmp_path: Path) -> None:
    lans = f"lans: [{PLAIN.removeprefix('lan: ')}, {{cidr: 198.51.100.80/32, via: internet, as: 10.99.1.80/32}}]"
    (said,) = faults(tmp_path, lans)
    assert said.startswith("gateways[0].lans[1].as: is given, but what lies in the internet")


def test_alias_is_offered_and_taken_whoever_else_filters_there(tmp_path: Path) -> None:
    (said,) = faults(tmp_path, f"{PLAIN}, firewall: iptables", f"{PLAIN}, firewall: firewalld")
    assert "as:" in said
    assert faults(tmp_path, f"{PLAIN}, firewall: firewalld", f"{KNOWN}, firewall: iptables") == []


def test_hosts_are_named_by_the_addresses_that_they_have(tmp_path: Path) -> None:
    person = "developers: [{name: e, address: 10.89.0.50, access: [{site: site0, hosts: [10.99.1.7]}]}]\n"
    (said,) = faults(tmp_path, KNOWN, rest=person)
    assert said.endswith("10.99.1.7 is outside the LAN 192.168.1.0/24 of site site0; write the address that it has in its LAN: 192.168.1.7")
    assert faults(tmp_path, KNOWN, rest=person.replace("10.99.1.7", "192.168.1.7")) == []


def test_statements_about_an_address_mean_the_one_that_the_tunnel_knows(tmp_path: Path) -> None:
    person = "developers: [{name: e, address: 10.89.0.50, access: [{site: site0, hosts: [192.168.1.7]}]}]\n"
    statement = "expect: [{{who: e, never_reaches: {{{}}}}}]\n"
    (said,) = faults(tmp_path, KNOWN, rest=person + statement.format("address: 192.168.1.7"))
    assert "192.168.1.7 is 10.99.1.7 in the tunnel; write 10.99.1.7, or {site: site0, hosts: [192.168.1.7]}" in said
    for meant in ("address: 10.99.1.7", "site: site0, hosts: [192.168.1.7]", "site: site0"):
        (said,) = faults(tmp_path, KNOWN, rest=person + statement.format(meant))
        assert "does not hold" in said


def test_name_server_is_named_by_its_alias(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    text = HEAD.replace("10.89.0.0/16}", "10.89.0.0/16, dns: {servers: [192.168.1.53], domains: [a.example]}}") + GATE.format(0, KNOWN)
    file.write_text(text)
    (said,) = (fault.message for fault in inspect(file, require_host_keys=False).faults)
    assert said == "192.168.1.53 is in a LAN that has an alias; in the tunnel this one is 10.99.1.53: write that"
    file.write_text(text.replace("192.168.1.53", "10.99.1.53"))
    assert inspect(file, require_host_keys=False).faults == ()


def test_two_sites_that_know_each_other_both_need_an_alias(tmp_path: Path) -> None:
    for link in ("{from: site0, to: site1}", "{from: site1, to: site0}"):
        (said,) = faults(tmp_path, PLAIN, KNOWN, rest=f"links: [{link}]\n")
        assert said.startswith("links[0]: site site1 has 192.168.1.0/24 itself, and would not find 192.168.1.0/24 of site site0 (line 5)")
        assert faults(tmp_path, KNOWN.replace("10.99.1.", "10.99.2."), KNOWN, rest=f"links: [{link}]\n") == []


def test_hubs_own_network_is_in_the_way_of_a_gateways_unless_that_one_has_the_alias(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    for hub, gate, refused in (("", "", True), (", as: 10.99.8.0/24", "", True), ("", ", as: 10.99.1.0/24", False)):
        own = f"site: cloud, lans: [{{cidr: 192.168.1.0/24, address: 192.168.1.9{hub}}}], router: {{address: 192.168.1.1}}, ssh: {{"
        lan = f"lan: {{cidr: 192.168.1.0/24, address: 192.168.1.2{gate}}}"
        file.write_text(HEAD.replace("ssh: {", own) + GATE.format(0, lan))
        said = [str(fault) for fault in inspect(file, require_host_keys=False).faults]
        assert bool(said) == refused, said
        assert all("or write as: 10." in each for each in said)


def test_gateway_in_a_lan_with_an_alias_is_reached_through_the_hub_at_its_address_in_the_vpn(tmp_path: Path) -> None:
    gate = GATE.format(0, KNOWN).replace("ssh: {host: 192.0.2.20}", "ssh: {host: HOST, via: hub}")
    file = tmp_path / "t.yaml"
    for host, right in (("10.89.0.10", True), ("192.168.1.2", False), ("10.99.1.2", False)):
        file.write_text(HEAD + gate.replace("HOST", host))
        said = [fault.message for fault in inspect(file, require_host_keys=False).faults]
        wrong = f"{host} is no address of this gateway that the hub may reach; write 10.89.0.10, its address in the VPN"
        assert said == ([] if right else [wrong])


def test_home_is_no_longer_in_the_way_and_the_warning_before_says_how(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    person = "developers: [{name: e, address: 10.89.0.50, home: 192.168.1.0/24, access: [site0]}]\n"
    warnings = {}
    for lan in (PLAIN, KNOWN):
        file.write_text(HEAD + GATE.format(0, lan) + person)
        warnings[lan] = [warning.message for warning in inspect(file, require_host_keys=False).warnings]
    assert all("or write as: 10.99.1.0/24 beside " in each for each in warnings[PLAIN])
    assert (len(warnings[PLAIN]), warnings[KNOWN]) == (2, [])
