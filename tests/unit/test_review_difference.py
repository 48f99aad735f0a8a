"""What a reviewer is told of a change: who gains and loses what, and what it does to each host. The goldens are in tests/golden/review."""

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from wg_office.environment.model import Environment
from wg_office.reading.guards import broken_by_change, broken_guards
from wg_office.reading.load import load
from wg_office.review import report
from wg_office.review.difference import Difference, difference

GOLDEN = Path(__file__).parents[1] / "golden" / "review"
OFFICE: dict[str, Any] = {
    "environment": "office",
    "network": {"cidr": "10.70.0.0/16"},
    "hub": {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": {"host": "203.0.113.10"}},
    "gateways": [
        {
            "name": "a",
            "site": "shenzhen",
            "address": "10.70.0.2",
            "lan": {"cidr": "192.168.201.0/24", "address": "192.168.201.247"},
            "ssh": {"host": "198.51.100.1"},
        },
        {
            "name": "c",
            "site": "beijing",
            "address": "10.70.0.3",
            "lan": {"cidr": "192.168.200.0/24", "address": "192.168.200.248"},
            "ssh": {"host": "198.51.100.2"},
        },
    ],
    "groups": {"staff": {"access": [{"site": "beijing", "ports": ["443/tcp"]}]}},
    "developers": [
        {"name": "e", "address": "10.70.0.4", "access": ["shenzhen", "beijing", {"developer": "f"}]},
        {
            "name": "f",
            "address": "10.70.0.5",
            "access": [{"site": "beijing", "hosts": ["192.168.200.244"], "ports": ["22/tcp", "443/tcp"]}],
        },
        *({"name": f"s{n}", "address": f"10.70.1.{n}", "access": [{"group": "staff"}]} for n in range(1, 9)),
    ],
}


def office(**changes: Any) -> Environment:
    return Environment.model_validate(OFFICE | changes)


def developers(**changed: Any) -> list[Any]:
    """The office's developers, some of them changed, or taken out where None is given."""
    kept = [each | (changed.get(each["name"]) or {}) for each in OFFICE["developers"] if changed.get(each["name"], {}) is not None]
    return [*kept, *changed.get("more", [])]


def gateways(**changed: Any) -> list[Any]:
    return [each | (changed.get(each["name"]) or {}) for each in OFFICE["gateways"] if changed.get(each["name"], {}) is not None]


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a-developer-more": {"developers": developers(more=[{"name": "g", "address": "10.70.0.9", "access": ["beijing"]}])},
    "a-developer-less": {"developers": developers(e=None)},
    "a-developer-moves": {"developers": developers(f={"address": "10.70.0.50"})},
    "keys-are-renewed": {"developers": developers(f={"rotation": 2})},
    "one-machine-becomes-two-devices": {
        "developers": developers(
            e={
                "address": None,
                "title": "王伟",
                "devices": [{"name": "phone", "address": "10.70.0.9"}, {"name": "pc", "address": "10.70.0.4"}],
            }
        )
    },
    "access-is-narrowed": {"developers": developers(e={"access": ["shenzhen", {"site": "beijing", "hosts": ["192.168.200.244"]}]})},
    "a-group-gains": {"groups": {"staff": {"access": [{"site": "beijing", "ports": ["443/tcp", "icmp"]}, "shenzhen"]}}},
    "a-gateway-retires": {"gateways": gateways(a={"retired": True}), "developers": developers(e={"access": ["beijing"]})},
    "the-hubs-keys": {"hub": OFFICE["hub"] | {"rotation": 2}},
    "everybodys-keys": {"network": OFFICE["network"] | {"rotation": 2}},
    "network-wide": {
        "network": {"cidr": "10.70.0.0/16", "mtu": 1300, "dns": {"servers": ["192.168.200.53"], "domains": ["office.example"]}}
    },
    "firewall-and-way-back": {"gateways": gateways(c={"return_path": "masquerade", "firewall": "iptables"})},
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_reviewer_is_told(name: str) -> None:
    made = difference(office(), office(**CHANGES[name]))
    told = report.markdown(made)
    file = GOLDEN / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(told)
    assert told == file.read_text()


def test_the_empty_difference_is_one_line() -> None:
    made = difference(office(), office())
    assert made.empty
    assert report.nothing(made).count("\n") == 0
    assert report.markdown(made).count("\n") == 1


def test_the_same_access_in_other_words_is_no_difference() -> None:
    halves = [{"site": "beijing", "hosts": ["192.168.200.0/25", "192.168.200.128/25"]}, "shenzhen", {"developer": "f"}]
    made = difference(office(), office(developers=developers(e={"access": halves})))
    assert [change for change in made.changes if change.section == "access"] == []


def many(count: int) -> list[Any]:
    return [{"name": f"d{n}", "address": f"10.70.{2 + n // 200}.{1 + n % 200}", "access": ["beijing"]} for n in range(count)]


def test_with_300_developers_it_is_as_long_as_the_change() -> None:
    few = difference(office(developers=many(5)), office(developers=many(6)))
    lots = difference(office(developers=many(300)), office(developers=many(301)))
    assert report.markdown(lots).count("\n") == report.markdown(few).count("\n")
    assert report.table(lots).row_count == report.table(few).row_count


def test_a_comment_stays_under_the_limit_and_its_markup_is_closed() -> None:
    made = difference(office(developers=[]), office(developers=[each | {"access": []} for each in many(3000)]))
    told = report.markdown(made)
    assert len(told) <= report.LONGEST_COMMENT
    assert told.count("```") % 2 == 0
    assert told.count("<details>") == told.count("</details>")
    assert "Too long for a comment" in told


def test_what_somebody_wrote_is_one_line_and_leads_no_terminal() -> None:
    written = "a\n```\n# merged by hand \x1b[31m"
    made = difference(office(), office(gateways=gateways(a={"return_path": "masquerade", "return_path_reason": written})))
    told = report.markdown(made)
    assert "return_path_reason: nothing -> a ``` # merged by hand \\x1b[31m\n" in told
    shown = StringIO()
    Console(file=shown, width=200).print(report.table(made))
    assert "merged by hand \\x1b[31m" in shown.getvalue()
    cut = report.markdown(made, longest=len(told) - 1)
    assert cut.count("\n```diff\n") == cut.count("\n```\n")


def test_a_guard_that_is_loosened_and_a_statement_that_goes_are_told() -> None:
    before = office(
        policy={"widest_grant": 16, "protected": {"developers": ["e", "f"]}},
        expect=[
            {"who": "e", "reaches": {"site": "beijing", "ports": ["22/tcp"]}},
            {"who": {"site": "beijing"}, "never_reaches": "shenzhen"},
        ],
    )
    after = office(policy={"protected": {"developers": ["e"]}}, expect=[{"who": "e", "reaches": "shenzhen"}])
    made = difference(before, after)
    assert not made.empty
    assert [(change.sign, report.line(change)) for change in made.changes] == [
        ("~", "office changes: protected.developers: [e, f] -> [e]"),
        ("~", "office changes: widest_grant: 16 -> nothing"),
        ("-", "statement goes: developer e reaches site beijing on 22/tcp"),
        ("-", "statement goes: site beijing never reaches site shenzhen"),
        ("+", "statement comes: developer e reaches site shenzhen"),
    ]


def test_another_name_of_the_network_is_told_with_what_it_costs() -> None:
    made = difference(office(), office(environment="hq"))
    assert [report.line(change) for change in made.changes] == [
        "hq changes: environment: office -> hq",
        "a person: if the stack is called office: pulumi stack rename hq (or name it: --stack)",
    ], "nobody needs a new file: the tunnel does not know its name"
    assert set(hosts(made).values()) == {"the network's name"}, "each host's description says it, so that each is dialled"
    assert not any(host.interruptions or host.refused for host in made.hosts)


OVER_THE_TUNNEL = {"host": "10.70.0.2", "via": "hub"}
CALLING_IN = {"host": "127.0.0.1", "port": 2201, "via": "hub"}
LETS_IN = OFFICE["hub"] | {"access": [{"host": "a", "ports": ["22/tcp"]}]}


@pytest.mark.parametrize("way", [OFFICE["gateways"][0]["ssh"], CALLING_IN])
def test_a_way_over_the_tunnel_is_refused_by_a_host_that_does_not_let_the_hub_in_yet(way: dict[str, Any]) -> None:
    after = office(gateways=gateways(a={"ssh": OVER_THE_TUNNEL}), hub=LETS_IN)
    made = difference(office(gateways=gateways(a={"ssh": way})), after)
    assert hosts(made)["a"] == "refused"
    (line,) = next(host.refused for host in made.hosts if host.host == "a")
    assert line == "does not let the hub in yet; first put {host: a, ports: [22/tcp]} into the hub's access, and `pulumi up`"
    assert hosts(difference(office(gateways=gateways(a={"ssh": way}), hub=LETS_IN), after))["a"] == "the way to it"


def test_a_new_gateway_is_not_reached_over_a_tunnel_that_does_not_stand_yet() -> None:
    before, ssh = office(gateways=OFFICE["gateways"][1:], developers=developers(e={"access": ["beijing"]})), OVER_THE_TUNNEL
    made = difference(before, office(gateways=gateways(a={"ssh": ssh})))
    assert hosts(made)["a"] == "refused"
    assert "a tunnel that does not stand yet" in next(host.refused for host in made.hosts if host.host == "a")[0]
    for ways in ({"ssh": ssh, "adopt_key": True}, {"ssh": CALLING_IN}):
        assert hosts(difference(before, office(gateways=gateways(a=ways))))["a"].startswith("new")


def test_json_says_what_the_lines_say() -> None:
    made = difference(office(), office(**CHANGES["a-developer-less"]))
    data = json.loads(json.dumps(report.as_data(made)))
    assert {change["who"][0] for change in data["changes"] if change["section"] == "people"} == {"e"}
    assert {host["host"]: host["verdict"] for host in data["hosts"]} == {"z": "peers, rules", "a": "rules", "c": "rules"}


def test_a_new_environment_and_one_that_goes_are_told_whole() -> None:
    made, gone = difference(None, office()), difference(office(), None)
    assert {host.verdict.split(":")[0] for host in made.hosts} == {"new"}
    assert {host.verdict.split(":")[0] for host in gone.hosts} == {"gone"}


def hosts(made: Difference) -> dict[str, str]:
    return {host.host: host.verdict for host in made.hosts}


def test_rotation_of_the_hub_names_whose_sessions_end() -> None:
    made = difference(office(), office(**CHANGES["the-hubs-keys"]))
    assert hosts(made)["z"] == "interruption"
    assert any("key" in text for host in made.hosts for text in host.interruptions)


def test_the_example_environments_differ_from_nothing_and_not_from_themselves() -> None:
    for file in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")):
        env = load(file, require_host_keys=False)
        assert difference(env, env).empty
        assert not difference(None, env).empty


# --- what a change may not do ----------------------------------------------------------------------------------------------------------


def broken(before: Environment, after: Environment) -> list[str]:
    return [f"{each.rule}: {each.message}" for each in broken_by_change(before, after)]


def test_protected_people_and_sites_do_not_go() -> None:
    guarded = {"protected": {"developers": ["e"], "sites": ["shenzhen"]}}
    before = office(policy=guarded)
    assert broken(before, office(developers=developers(e=None), gateways=gateways(a={"retired": True}))) == [
        "protected: developer e goes, and is protected",
        "protected: site shenzhen goes, and is protected",
    ]
    assert broken(before, office()) == []


def test_guards_of_grants_hold_for_links_too() -> None:
    def found(**policy: Any) -> list[str]:
        links = [
            {"from": "shenzhen", "to": "beijing"},
            {"from": "beijing", "to": "shenzhen", "hosts": ["192.168.201.9"], "ports": ["22/tcp"]},
        ]
        env = office(developers=[], groups={}, links=links, policy=policy)
        return [f"{each.path}: {each.message}" for each in broken_guards(env)]

    assert found(ports_required=True) == ["('links', 0): grants all ports"]
    assert found(widest_grant=16) == ["('links', 0): grants 256 addresses, and the policy allows 16"]


HALVES: list[Any] = [{"site": "beijing", "hosts": [f"192.168.200.{first}/28"], "ports": ["22/tcp"]} for first in (0, 16)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"developers": developers(e={"access": HALVES}, f={"access": HALVES[:1]})},
            ["('developers', 0, 'access', 1): developer e reaches 32 addresses of site beijing with this one, and the policy allows 16"],
        ),
        (
            {"developers": developers(e={"access": [HALVES[0], {"group": "staff"}]}), "groups": {"staff": {"access": HALVES[1:]}}},
            ["('groups', 'staff', 'access', 0): developer e reaches 32 addresses of site beijing with this one, and the policy allows 16"],
        ),
        (
            {"groups": {"staff": {"access": HALVES}}},
            ["('groups', 'staff', 'access', 1): group staff reaches 32 addresses of site beijing with this one, and the policy allows 16"],
        ),
        (
            {"links": [{"from": "shenzhen", "to": "beijing", "hosts": each["hosts"], "ports": each["ports"]} for each in HALVES]},
            ["('links', 1): site shenzhen reaches 32 addresses of site beijing with this one, and the policy allows 16"],
        ),
        ({"developers": developers(e={"access": [HALVES[0], {**HALVES[0], "ports": ["80/tcp"]}]})}, []),
    ],
    ids=["lines", "a line and a group", "a group", "links", "the same hosts twice"],
)
def test_a_wide_grant_in_several_lines_is_still_wide(changes: dict[str, Any], told: list[str]) -> None:
    narrow = {"developers": developers(e={"access": []}), "groups": {"staff": {"access": HALVES[:1]}}}
    env = office(**(narrow | {"policy": {"widest_grant": 16}} | changes))
    assert sorted({f"{each.path}: {each.message}" for each in broken_guards(env)}) == told


def test_just_over_the_share_is_over_it() -> None:
    # Hub, two gateways and 98 developers: 50 of 101 are less than half, 51 are more, by less than one percent.
    policy = {"removals": {"at_most": 100, "share": 50}}
    before = office(policy=policy, developers=many(98))
    assert broken(before, office(policy=policy, developers=many(48))) == []
    assert len(broken(before, office(policy=policy, developers=many(47)))) == 1


def test_a_few_peers_may_always_go_and_half_of_a_large_network_may_not() -> None:
    assert broken(office(), office(developers=OFFICE["developers"][:5])) == []
    assert broken(office(), office(developers=[])) == [
        "removals: 10 of 13 peers go at once (e, f, s1, s2, s3 and 5 more), and their keys for good; the policy allows 20, or 50 %"
    ]
    assert len(broken(office(developers=many(300)), office(developers=many(279)))) == 1
    assert broken(office(developers=many(300)), office(developers=many(280))) == []


def sites(count: int, retired: int = 0) -> list[Any]:
    lans = [{"cidr": f"192.168.{n}.0/24", "address": f"192.168.{n}.2"} for n in range(count)]
    entry = {"return_path": "masquerade", "ssh": {"host": "198.51.100.1"}}
    return [
        {"name": f"g{n}", "site": f"s{n}", "address": f"10.70.250.{n + 1}", "lan": lans[n], **entry, "retired": n < retired}
        for n in range(count)
    ]


def test_gateways_that_retire_are_removals() -> None:
    def network(**changed: Any) -> Environment:
        return office(developers=[], groups={}, **changed)

    many, six, five = network(gateways=sites(9)), network(gateways=sites(9, retired=6)), network(gateways=sites(9, retired=5))
    told = "g0 retired, g1 retired, g2 retired, g3 retired, g4 retired and 1 more"
    assert broken(many, six) == [f"removals: 6 of 10 peers go at once ({told}); the policy allows 20, or 50 %"]
    assert broken(many, five) == [], "a few may always go"
    assert broken(six, network(gateways=sites(9)[6:])) == [], "those that are retired already are not removed once more"


def test_a_change_cannot_lift_the_guard_that_refuses_it() -> None:
    strict, lifted = {"removals": {"at_most": 1}}, {"removals": {"at_most": 1000, "share": 100}}
    assert len(broken(office(policy=strict), office(policy=lifted, developers=developers(e=None, f=None)))) == 1
    assert len(broken(office(policy=lifted), office(policy=strict, developers=developers(e=None, f=None)))) == 1


def test_an_environment_that_goes_takes_everybody_with_it() -> None:
    guarded = office(policy={"protected": {"developers": ["e"]}})
    assert [each.rule for each in broken_by_change(guarded, None)] == ["protected", "removals"]


def test_goldens_are_those_of_the_changes() -> None:
    assert {file.stem for file in GOLDEN.glob("*.md")} == set(CHANGES)
