"""What a change is said to interrupt, and which changes are refused because they would cut the way to a host."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from netaddr import IPAddress, IPNetwork
from surely import gateway, lan_of, ssh_of
from test_render import environment, keys_of

from wg_office.environment.fields import Endpoint
from wg_office.environment.grants import HostGrant, PortRange
from wg_office.environment.model import Developer, Environment
from wg_office.hosts.changes import admits, disruptions, severs, way, what_developers_lose
from wg_office.hosts.description import Description, read
from wg_office.hosts.keys import names, private_key
from wg_office.hosts.render import Keys, Scripts, render_description
from wg_office.network.plan import plan

ARTICLE = environment("article")
SCRIPTS = Scripts(host="# key=value in a script says nothing\n", flows="", after_load="")


def described(env: Environment, host: str, keys: Keys | None = None) -> Description:
    found = next(each for each in plan(env) if each.name == host)
    return read(render_description(found, keys or keys_of(env), "0" * 16, SCRIPTS))


def with_gateway(number: int, **changes: Any) -> Environment:
    gateways = list(ARTICLE.gateways)
    gateways[number] = gateways[number].model_copy(update=changes)
    return ARTICLE.model_copy(update={"gateways": tuple(gateways)})


def with_hub(**changes: Any) -> Environment:
    return ARTICLE.model_copy(update={"hub": ARTICLE.hub.model_copy(update=changes)})


def new_key_of(name: str) -> Keys:
    return {**keys_of(ARTICLE), name: names("another secret", private_key("another secret"))}


def over_the_tunnel(env: Environment) -> Environment:
    """Gateway c behind the hub."""
    c = gateway(env, "c")
    behind = c.model_copy(update={"ssh": ssh_of(c).model_copy(update={"host": str(c.address), "via": "hub"})})
    gateways = [behind if each.name == "c" else each for each in env.gateways]
    return env.model_copy(update={"gateways": tuple(gateways)})


moved = partial(with_gateway, 1)


@pytest.mark.parametrize(
    ("host", "changed", "said"),
    [
        (
            "z",
            partial(described, ARTICLE, "z", new_key_of("z")),
            "its key changes, and everybody's session ends until the other side knows",
        ),
        (
            "c",
            partial(described, ARTICLE, "c", new_key_of("z")),
            "the key of z, the hub changes, and its session ends until both sides know",
        ),
        (
            "z",
            partial(described, ARTICLE, "z", new_key_of("e")),
            "the key of e, developer changes, and its session ends until both sides know",
        ),
        (
            "z",
            partial(described, ARTICLE, "z", new_key_of("c")),
            "the key of c, gateway of beijing changes, and its session ends until both sides know",
        ),
        (
            "c",
            partial(described, ARTICLE, "c", new_key_of("c")),
            "its key changes, and everybody's session ends until the other side knows",
        ),
        ("z", lambda: described(with_hub(address=IPAddress("10.70.9.9")), "z"), "its address 10.70.0.1/16 goes"),
        (
            "c",
            lambda: described(with_hub(endpoint=Endpoint(IPAddress("203.0.113.10"), 51999)), "c"),
            "the endpoint of z, the hub changes, and its session ends until both sides know",
        ),
        (
            "z",
            lambda: described(with_hub(endpoint=Endpoint(IPAddress("203.0.113.10"), 51999)), "z"),
            "its port changes, and everybody's session ends until the other side knows",
        ),
        (
            "z",
            lambda: described(moved(address=IPAddress("10.70.0.9")), "z"),
            "the address of c, gateway of beijing changes from 10.70.0.3/32 to 10.70.0.9/32",
        ),
    ],
)
def test_what_cannot_be_gentle_is_said(host: str, changed: Callable[[], Description], said: str) -> None:
    assert disruptions(described(ARTICLE, host), changed()) == (said,)


def test_a_lan_that_moves_to_another_gateway_is_said() -> None:
    a, c = ARTICLE.gateways
    env = ARTICLE.model_copy(update={"gateways": (a.model_copy(update={"lan": c.lan}), c.model_copy(update={"lan": a.lan}))})
    assert set(disruptions(described(ARTICLE, "z"), described(env, "z"))) == {
        "192.168.201.0/24 moves from a to c, and is out of reach until both have changed",
        "192.168.200.0/24 moves from c to a, and is out of reach until both have changed",
    }


def without_e() -> Environment:
    return ARTICLE.model_copy(update={"developers": tuple(each.model_copy(update={"access": ()}) for each in ARTICLE.developers[1:])})


def another_prefix() -> Environment:
    lan = lan_of(ARTICLE.gateways[1]).model_copy(update={"cidr": IPNetwork("192.168.200.0/23")})
    return moved(lan=lan)


def with_a_newcomer() -> Environment:
    newcomer = Developer(name="n", address=IPAddress("10.70.0.77"), access=ARTICLE.developers[0].access)
    return ARTICLE.model_copy(update={"developers": (newcomer, *ARTICLE.developers)})


def larger_packets() -> Environment:
    return ARTICLE.model_copy(update={"network": ARTICLE.network.model_copy(update={"mtu": 1300})})


@pytest.mark.parametrize("gentle", [lambda: ARTICLE, without_e, with_a_newcomer, another_prefix, larger_packets])
@pytest.mark.parametrize("host", ["z", "c"])
def test_gentle_changes_are_not_worth_a_word(gentle: Callable[[], Environment], host: str) -> None:
    assert disruptions(described(ARTICLE, host), described(gentle(), host)) == ()


def without_developers() -> Environment:
    return ARTICLE.model_copy(update={"developers": ()})


def test_developers_who_are_deleted_together_take_their_keys_along_and_that_is_said() -> None:
    assert what_developers_lose(described(ARTICLE, "z"), described(without_developers(), "z")) == (
        "2 developers go (e, f), and their keys with them for good: who comes back needs a new file",
    )


def test_the_last_developer_s_keys_are_worth_a_word_and_one_of_several_is_not() -> None:
    one = without_e()
    assert "keys with them for good" in what_developers_lose(described(one, "z"), described(without_developers(), "z"))[0]
    assert what_developers_lose(described(ARTICLE, "z"), described(one, "z")) == ()


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (lambda: described(ARTICLE, "z", new_key_of("z")), "its key changes, and every developer needs a new file"),
        (
            lambda: described(with_hub(endpoint=Endpoint(IPAddress("203.0.113.10"), 51999)), "z"),
            "its port changes, and every developer needs a new file",
        ),
        (lambda: described(ARTICLE, "z", new_key_of("e")), "e needs a new file"),
        (lambda: described(ARTICLE, "z", {**new_key_of("e"), "f": new_key_of("f")["f"]}), "e, f need a new file"),
    ],
)
def test_whose_file_no_longer_fits_is_said(after: Callable[[], Description], said: str) -> None:
    [clause] = what_developers_lose(described(ARTICLE, "z"), after())
    assert clause.startswith(said)
    assert "wg_office handout" in clause


@pytest.mark.parametrize("gentle", [lambda: ARTICLE, without_e, with_a_newcomer, another_prefix, larger_packets])
def test_gentle_changes_cost_developers_nothing(gentle: Callable[[], Environment]) -> None:
    assert what_developers_lose(described(ARTICLE, "z"), described(gentle(), "z")) == ()
    assert what_developers_lose(described(ARTICLE, "c", new_key_of("z")), described(gentle(), "c")) == ()


def test_a_router_has_no_tunnel_to_interrupt() -> None:
    before, after = "deployment 1\nrole router\n", "deployment 1\nrole router\n---- file routes 0644\n10.70.0.0/16 via 192.168.1.1\n"
    assert disruptions(read(before), read(after)) == ()


# --- what would cut the way to a host ---------------------------------------------------------------------------------------------------

BEHIND = over_the_tunnel(ARTICLE)


@pytest.mark.parametrize("changed", ["c", "z"])
def test_keys_do_not_change_over_the_tunnel_they_make(changed: str) -> None:
    keys = new_key_of(changed)
    assert all(
        "without `via: hub` for this change" in reason for reason in severs(described(BEHIND, "c"), described(BEHIND, "c", keys), True)
    )
    assert severs(described(BEHIND, "c"), described(BEHIND, "c", keys), True)
    assert severs(described(BEHIND, "z"), described(BEHIND, "z", keys), False)


def test_the_hubs_own_change_is_free_where_no_gateway_is_behind_it() -> None:
    assert severs(described(ARTICLE, "z"), described(ARTICLE, "z", new_key_of("z")), False) == ()


def test_a_gateway_that_gets_another_way_in_the_same_change_is_free() -> None:
    assert severs(described(BEHIND, "z"), described(ARTICLE, "z", new_key_of("c")), False) == ()


def test_an_address_does_not_change_over_the_tunnel() -> None:
    elsewhere = over_the_tunnel(moved(address=IPAddress("10.70.0.9")))
    assert severs(described(BEHIND, "c"), described(elsewhere, "c"), True)
    assert severs(described(BEHIND, "z"), described(elsewhere, "z"), False) == (
        "c's address changes, over which c is reached; give it an ssh without `via: hub` for this change",
    )


def test_a_gateway_behind_the_hub_leaves_in_two_steps() -> None:
    gone = BEHIND.model_copy(update={"gateways": BEHIND.gateways[:1], "developers": ()})
    retired = BEHIND.model_copy(update={"gateways": (BEHIND.gateways[0], BEHIND.gateways[1].model_copy(update={"retired": True}))})
    [refused] = severs(described(BEHIND, "z"), described(gone, "z"), False)
    assert "set retired: true for it first" in refused
    assert severs(described(BEHIND, "z"), described(retired, "z"), False) == ()
    assert severs(described(retired, "z"), described(gone, "z"), False) == ()
    assert "c" not in [host.name for host in plan(retired)]


@pytest.mark.parametrize(
    ("destination", "port", "let_in"),
    [("10.70.0.3", 22, True), ("10.70.0.3", 23, False), ("10.70.0.4", 22, False), ("192.168.200.248", 22, False)],
)
def test_a_gateway_lets_the_hub_in_where_the_hubs_access_says_so(destination: str, port: int, let_in: bool) -> None:
    granted = with_hub(access=(HostGrant(host="c", ports=(PortRange("tcp", 20, 22),)),))
    assert admits(described(granted, "c"), granted.hub.address, IPAddress(destination), port) is let_in
    assert not admits(described(ARTICLE, "c"), granted.hub.address, IPAddress(destination), port)


@pytest.mark.parametrize("gentle", [without_e, with_a_newcomer, another_prefix, larger_packets])
def test_gentle_changes_go_over_the_tunnel(gentle: Callable[[], Environment]) -> None:
    after = over_the_tunnel(gentle())
    assert severs(described(BEHIND, "c"), described(after, "c"), True) == ()
    assert severs(described(BEHIND, "z"), described(after, "z"), False) == ()


# --- the excerpt that travels with the keys -----------------------------------------------------------------------------------------------


def excerpt(description: Description) -> Description:
    return read(way(description, ARTICLE.hub.address))


@pytest.mark.parametrize("host", ["z", "c"])
@pytest.mark.parametrize(
    "after",
    [
        lambda host: described(BEHIND, host),
        lambda host: described(ARTICLE, host),
        lambda host: described(BEHIND, host, new_key_of("z")),
        lambda host: described(BEHIND, host, new_key_of("c")),
        lambda host: described(over_the_tunnel(moved(address=IPAddress("10.70.0.9"))), host),
        lambda host: described(over_the_tunnel(with_hub(endpoint=Endpoint(IPAddress("203.0.113.10"), 51999))), host),
        lambda host: described(BEHIND.model_copy(update={"gateways": BEHIND.gateways[:1], "developers": ()}), "z"),
        lambda host: described(over_the_tunnel(with_a_newcomer()), host),
    ],
)
def test_the_excerpt_is_refused_for_the_same_reasons_as_the_whole(host: str, after: Callable[[str], Description]) -> None:
    before, changed, through_hub = described(BEHIND, host), after(host), host == "c"
    assert severs(excerpt(before), excerpt(changed), through_hub) == severs(before, changed, through_hub)


def test_the_excerpt_lets_the_hub_in_as_the_whole_does() -> None:
    granted = with_hub(access=(HostGrant(host="c", ports=(PortRange("tcp", 20, 22),)),))
    for env, let_in in ((granted, True), (ARTICLE, False)):
        assert admits(excerpt(described(env, "c")), env.hub.address, IPAddress("10.70.0.3"), 22) is let_in


@pytest.mark.parametrize("host", ["z", "c"])
@pytest.mark.parametrize("gentle", [without_e, with_a_newcomer, larger_packets])
def test_the_excerpt_does_not_change_with_developers_and_what_they_may(host: str, gentle: Callable[[], Environment]) -> None:
    assert way(described(ARTICLE, host), ARTICLE.hub.address) == way(described(gentle(), host), ARTICLE.hub.address)


NAMED = with_hub(endpoint=Endpoint("vpn.example.org", 51820))


def test_a_name_in_place_of_an_address_ends_nothing_and_is_allowed_over_the_tunnel() -> None:
    before, after = described(over_the_tunnel(ARTICLE), "c"), described(over_the_tunnel(NAMED), "c")
    assert disruptions(before, after) == ()
    assert severs(before, after, True) == ()


def test_an_address_in_place_of_a_name_is_told_and_refused_over_the_tunnel() -> None:
    before, after = described(over_the_tunnel(NAMED), "c"), described(over_the_tunnel(ARTICLE), "c")
    assert any("the endpoint of z, the hub changes" in clause for clause in disruptions(before, after))
    assert any("the hub's endpoint changes, over which it is reached" in reason for reason in severs(before, after, True))
