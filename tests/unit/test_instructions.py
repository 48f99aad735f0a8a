"""What a person is told to do by hand: exactly the sites that nothing else serves, with commands that can be typed as they stand."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_render import environment

from wg_office.environment.model import Developer, Environment, Gateway, Link, Router
from wg_office.network.instructions import LONGEST, by_hand
from wg_office.reading.load import load

CONFIGS = Path(__file__).parents[2] / "configs"
COMMAND = re.compile(r"ip route (replace|del) [0-9./]+ via [0-9.]+")


def with_gateway_c(**changes: object) -> Environment:
    env = environment("article")
    return env.model_copy(update={"gateways": (env.gateways[0], env.gateways[1].model_copy(update=changes))})


def commands(env: Environment) -> list[str]:
    return [item for item in by_hand(env) if COMMAND.fullmatch(item)]


def test_the_site_without_ssh_to_its_router_gets_an_instruction_and_the_other_does_not() -> None:
    assert by_hand(environment("article")) == (
        "site beijing: on the router 192.168.200.1 add the route 10.70.0.0/16 via 192.168.200.248",
        "ip route replace 10.70.0.0/16 via 192.168.200.248",
    )


def test_a_router_that_the_file_does_not_name_is_the_lans_default_gateway_unless_it_is_the_gateway_itself() -> None:
    assert by_hand(with_gateway_c(router=None)) == (
        "site beijing: where c is its LAN's router itself, set nothing; write router: self",
        "site beijing: on the default gateway of 192.168.200.0/24 add the route 10.70.0.0/16 via 192.168.200.248",
        "ip route replace 10.70.0.0/16 via 192.168.200.248",
    )


@pytest.mark.parametrize("changes", [{"return_path": "masquerade", "router": None}])
def test_nobody_is_asked_where_no_route_is_needed(changes: dict[str, object]) -> None:
    assert by_hand(with_gateway_c(**changes)) == ()


# --- the gateway that is the LAN's router -----------------------------------------------------------------------------------------------


def at(lan_address: str, router: object) -> Environment:
    """The article's network with its gateway c at this address of its LAN."""
    raw = environment("article").gateways[1].model_dump(mode="json", exclude={"router"}, exclude_defaults=True)
    raw |= {"lan": {"cidr": "192.168.200.0/24", "address": lan_address}, "router": router}
    return with_gateway_c(**dict(Gateway.model_validate(raw)))


@pytest.mark.parametrize("router", ["self", {"address": "192.168.200.1"}])
def test_a_gateway_that_is_its_lans_router_needs_no_route(router: object) -> None:
    assert by_hand(at("192.168.200.1", router)) == ()


@pytest.mark.parametrize("address", ["192.168.200.1", "192.168.200.254"])
def test_a_gateway_where_routers_usually_are_is_asked_about_and_nobody_types_a_route_by_way_of_the_machine_itself(address: str) -> None:
    asked = by_hand(at(address, None))
    assert commands(at(address, None)) == []
    assert asked == (
        "site beijing: is c the LAN's router? Then write router: self",
        "site beijing: if it is not, write router: {address: ...}, the LAN's router; then this says what to set there",
    )


def test_a_gateway_there_beside_a_router_that_is_named_is_told_as_any_other() -> None:
    assert commands(at("192.168.200.254", {"address": "192.168.200.1"})) == ["ip route replace 10.70.0.0/16 via 192.168.200.254"]


# --- devices ----------------------------------------------------------------------------------------------------------------------------


def with_device(access: object) -> Environment:
    """The example whose site's way back the program sets on single machines, with one developer's access changed."""
    env = load(CONFIGS / "example-firewalld.yaml")
    zhou = Developer.model_validate({"name": "zhou", "address": "10.72.0.10", "access": access})
    return env.model_copy(update={"developers": (zhou,)})


@pytest.mark.parametrize("hosts", [["192.168.30.40"], ["192.168.30.40", "192.168.30.53", "192.168.30.2"]])
def test_nobody_is_asked_where_only_machines_with_a_route_of_their_own_are_reached(hosts: list[str]) -> None:
    assert by_hand(with_device([{"site": "nanjing", "hosts": hosts}])) == ()


@pytest.mark.parametrize("access", [["nanjing"], [{"site": "nanjing", "hosts": ["192.168.30.40", "192.168.30.41"]}]])
def test_a_person_is_asked_where_others_are_reached_too(access: list[object]) -> None:
    assert by_hand(with_device(access)) == (
        "site nanjing: the program sets it on build, names alone, and other machines take part too",
        "site nanjing: where east is its LAN's router itself, set nothing; write router: self",
        "site nanjing: on the default gateway of 192.168.30.0/24 add the route 10.72.0.0/20 via 192.168.30.2",
        "ip route replace 10.72.0.0/20 via 192.168.30.2",
    )


def test_linked_lans_have_commands_of_their_own() -> None:
    env = environment("firewalls")
    plain = env.model_copy(update={"gateways": tuple(each.model_copy(update={"devices": ()}) for each in env.gateways)})
    items = by_hand(plain)
    told = items.index("site chengdu: on the default gateway of 192.168.60.0/24 add these 2 routes via 192.168.60.2")
    assert items[told + 1 : told + 3] == (
        "ip route replace 10.75.0.0/16 via 192.168.60.2",
        "ip route replace 192.168.50.0/24 via 192.168.60.2",
    )


# --- a site that masquerades and opens connections itself ------------------------------------------------------------------------------


def masquerading(links: list[dict[str, object]], access: list[object], **changes: object) -> Environment:
    env = with_gateway_c(return_path="masquerade", router=None, **changes)
    c = Gateway.model_validate(env.gateways[1].model_dump(mode="json", exclude_defaults=True) | {"access": access})
    links_ = tuple(Link.model_validate(link) for link in links)
    return env.model_copy(update={"gateways": (env.gateways[0], c), "links": links_})


@pytest.mark.parametrize(
    ("links", "access", "destinations"),
    [
        ([{"from": "beijing", "to": "shenzhen"}], [], ["192.168.201.0/24"]),
        ([], [{"developer": "e"}], ["10.70.0.0/16"]),
        ([{"from": "beijing", "to": "shenzhen"}], [{"host": "z"}], ["10.70.0.0/16", "192.168.201.0/24"]),
        ([{"from": "shenzhen", "to": "beijing"}], [], []),
        ([], [{"host": "c"}], []),
    ],
)
def test_a_masquerading_site_needs_a_route_for_what_it_opens_and_for_nothing_else(
    links: list[dict[str, object]], access: list[object], destinations: list[str]
) -> None:
    expected = [f"ip route replace {destination} via 192.168.200.248" for destination in destinations]
    env = masquerading(links, access)
    assert commands(env) == expected
    assert any("masquerading serves answers alone" in item for item in by_hand(env)) == bool(expected)


# --- what is to be taken away again ----------------------------------------------------------------------------------------------------


def test_a_retired_gateways_route_is_to_be_taken_away_where_it_was_set() -> None:
    assert by_hand(with_gateway_c(retired=True)) == (
        "site beijing is retired: on the router 192.168.200.1 take away",
        "ip route del 10.70.0.0/16 via 192.168.200.248",
    )


def test_where_nothing_was_set_by_hand_nothing_is_to_be_taken_away() -> None:
    assert by_hand(with_gateway_c(retired=True, return_path="masquerade", router=None)) == ()


def test_routes_of_other_sites_to_a_retired_ones_lan_go_too() -> None:
    env = with_gateway_c()
    a = env.gateways[0].model_copy(update={"retired": True})
    env = env.model_copy(update={"gateways": (a, env.gateways[1]), "links": (Link.model_validate({"from": "shenzhen", "to": "beijing"}),)})
    assert [item for item in by_hand(env) if item.startswith("ip route del")] == ["ip route del 192.168.201.0/24 via 192.168.200.248"]
    assert "site beijing leads to a site that is retired: on the router 192.168.200.1 take away" in by_hand(env)


# --- how it is said --------------------------------------------------------------------------------------------------------------------


NAME, SITE = "n" * 31, "s" * 31
SSH = {"host": "198.51.100.7", "user": "u" * 32, "port": 65535}
CALLS_IN = [{"host": host, "port": 65535, "via": "hub"} for host in ("localhost", "127.0.0.1", "::1")]
# A name in DNS may have 253 characters: the command that dials it is then longer, and whole.
HUB_HOST = "h" * 60 + ".example"


def lans_of(site: int) -> dict[int, list[dict[str, object]]]:
    """What a site may have, by family, with addresses as long as they can be."""
    four, six = f"192.168.{100 + site}", f"fd{11 + site}:1111:1111:1111:1111:1111:1111"
    return {
        4: [
            {"cidr": f"{four}.128/26", "address": f"{four}.150"},
            {"cidr": f"{four}.224/27", "address": f"{four}.254"},
            {"cidr": f"172.{100 + site}.100.128/26", "via": f"{four}.151"},
            {"cidr": f"172.{100 + site}.100.224/27", "via": f"{four}.152", "return_path": "masquerade"},
        ],
        6: [
            {"cidr": f"{six}:1100/120", "address": f"{six}:1150"},
            {"cidr": f"{six}:2200/120", "via": f"{six}:1151"},
            {"cidr": f"{six}:3300/120", "via": f"{six}:1151"},
        ],
    }


@st.composite
def sites(draw: st.DrawFn, number: int, at_hub: bool) -> dict[str, object]:
    """A site and its host, with names as long as they may be."""
    lans = [lan for each in lans_of(number).values() for lan in each[: draw(st.integers(0, len(each)))]]
    four, *_ = standing = [str(lan["address"]) for lan in lans if "address" in lan] or [""]
    routers = [address[:-1] + "3" for address in standing if address]
    raw: dict[str, object] = {
        "name": f"{NAME}{number}",
        "site": f"{SITE}{number}",
        "return_path": draw(st.sampled_from(["static-route", "masquerade"])),
        "router": draw(st.sampled_from([None, "self", {"ssh": SSH}, *({"address": address} for address in routers)])),
        **({"lans": lans} if lans or at_hub else {"lan": lans_of(number)[4][0]}),
    }
    if draw(st.booleans()) and four:
        raw["devices"] = [{"name": f"{'d' * 31}{at}", "address": four[:-1] + str(at), "ssh": SSH} for at in (7, 8)]
    if at_hub:
        return raw if lans else {"name": raw["name"]}
    managed = draw(st.sampled_from([None, "routeros", "openwrt", "opnsense", "wg-quick", "no"]))
    raw |= {"managed": managed} if managed else {"ssh": draw(st.sampled_from([SSH, *CALLS_IN]))}
    return raw | {"address": f"10.70.0.{10 + number}", "retired": draw(st.integers(0, 3)) == 0}


@st.composite
def longest(draw: st.DrawFn) -> Environment:
    """Names and addresses as long as they can be, and links between the sites."""
    hub = draw(sites(0, at_hub=True)) | {"address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": SSH | {"host": HUB_HOST}}
    gateways = [draw(sites(number, at_hub=False)) for number in (1, 2)]
    at = [site["site"] for site in (hub, *gateways) if "site" in site]
    links = [{"from": one, "to": other} for one in at for other in at if one != other and draw(st.booleans())]
    raw = {
        "environment": "e" * 32,
        "network": {"cidr": "10.70.0.0/16", "cidr6": "fd70:1111:1111:1111::/64"},
        "hub": hub,
        "gateways": gateways,
    }
    return Environment.model_validate(raw | {"developers": [], "links": links})


@given(longest())
def test_every_item_is_short_enough_to_be_shown_whole_and_is_a_command_or_names_its_site(env: Environment) -> None:
    items = by_hand(env)
    assert [item for item in items if len(item) > LONGEST] == []
    commands_or_lines = ("ip ", "ssh", "pulumi stack output gateway_n", "python -m wg_office bootstrap n", "- {host: n")
    assert [item for item in items if not item.startswith(("site s", *commands_or_lines))] == []


def test_a_site_with_many_devices_counts_them() -> None:
    raw = environment("firewalls").gateways[0].model_dump(mode="json", exclude_defaults=True) | {"return_path": "static-route"}
    raw.pop("router", None)
    first = str(raw["lan"]["cidr"]).rpartition(".")[0]
    raw["devices"] = [{"name": f"{'d' * 29}{at}", "address": f"{first}.{60 + at}", "ssh": raw["ssh"]} for at in range(20)]
    env = environment("firewalls")
    told = by_hand(env.model_copy(update={"gateways": (Gateway.model_validate(raw), *env.gateways[1:])}))
    assert any("the program sets it on 20 devices alone" in item for item in told)


@pytest.mark.parametrize("case", ["article", "one-gateway", "no-gateway", "firewalls"])
def test_no_command_names_the_machine_on_which_it_is_typed(case: str) -> None:
    env = environment(case)
    routers = {gateway.router.address for gateway in env.gateways if isinstance(gateway.router, Router)}
    assert not [command for command in commands(env) if command.rpartition(" ")[2] in map(str, routers)]
