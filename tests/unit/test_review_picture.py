"""The picture shows every site and everybody, together where they reach the same; and what changes, in colour."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from netaddr import IPSet
from test_review_difference import OFFICE, developers, gateways, office

from wg_office.environment.model import Environment
from wg_office.reading.load import load
from wg_office.review.draw import mermaid, svg
from wg_office.review.picture import picture

CLONE = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def texts(drawn: str) -> list[str]:
    """What is to be read in it; a title shows where the pointer rests."""
    return [visible(element) for element in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


def visible(element: ElementTree.Element) -> str:
    return (element.text or "") + "".join(child.tail or "" for child in element)


def large(sites: int, people: int) -> Environment:
    return Environment.model_validate(
        OFFICE
        | {
            "groups": {},
            "gateways": [
                {
                    "name": f"g{n}",
                    "site": f"site-{n}",
                    "address": f"10.70.250.{n + 1}",
                    "lan": {"cidr": f"192.168.{n}.0/24", "address": f"192.168.{n}.2"},
                    "ssh": {"host": f"198.51.100.{n + 1}"},
                }
                for n in range(sites)
            ],
            "developers": [
                {"name": f"d{n}", "address": f"10.70.{1 + n // 200}.{1 + n % 200}", "access": [f"site-{n % sites}"]} for n in range(people)
            ],
        }
    )


def test_everybody_and_every_site_is_in_it() -> None:
    drawn = texts(svg(picture(office())))
    assert {"shenzhen, a", "beijing, c", "192.168.200.0/24", "10 people"} <= set(drawn)
    assert {"e", "f", "s1, s2, s3, s4 and 4 more"} <= set(drawn)


def test_people_who_reach_the_same_share_a_row() -> None:
    rows = picture(large(20, 300)).rows
    assert len(rows) == 20
    assert sum(len(row.names) for row in rows) == 300


def everybody_apart(people: int) -> list[Any]:
    """Of whom no two reach the same, but for the last ten."""
    entries = [{"name": f"d{n}", "address": f"10.70.{1 + n // 200}.{1 + n % 200}"} for n in range(people)]
    return [each | {"access": [{"site": "beijing", "ports": [f"{1 + min(n, people - 10)}/tcp"]}]} for n, each in enumerate(entries)]


def test_of_too_many_rows_those_that_change_and_those_of_most_people_are_drawn() -> None:
    people = everybody_apart(300)
    after = office(developers=[*people[:200], people[200] | {"access": ["beijing"]}, *people[201:]])
    for drawn in (svg(picture(after, office(developers=people))), mermaid(picture(after, office(developers=people)))):
        assert re.search(r"d290(, d\d+)+ and \d more", drawn)
        assert re.search(r"[>\"]d200[<\"]", drawn), "what changes is what the picture is for"
        assert "eft out are 251 people, few of whom reach the same" in drawn
    assert "eft out" not in svg(picture(large(20, 300)))


def test_names_are_cut_between_names() -> None:
    drawn = texts(svg(picture(large(20, 300))))
    assert {"d0, d20, d40, d60 and 11 more", "d19, d39, d59 and 12 more"} <= set(drawn)
    assert not [text for text in drawn if text.endswith("…")]


def test_a_person_without_access_has_an_empty_row() -> None:
    rows = picture(office(developers=[{"name": "idle", "address": "10.70.0.9"}])).rows
    assert [(row.names, dict(row.cells)) for row in rows] == [(("idle",), {})]


def cells(access: list[Any], lan: str, address: str) -> set[str]:
    env = office(
        developers=[{"name": "e", "address": "10.70.0.4", "access": access}],
        gateways=gateways(c={"lan": {"cidr": lan, "address": address}}),
    )
    return {cell.now for row in picture(env).rows for cell in row.cells.values()}


def test_all_but_one_machine_is_not_all() -> None:
    but_one = [str(each) for each in (IPSet(["192.168.200.0/24"]) - IPSet(["192.168.200.244"])).iter_cidrs()]
    and_the_gateway = {"site": "beijing", "hosts": ["192.168.200.248"]}
    assert cells([{"site": "beijing", "hosts": but_one}, and_the_gateway], "192.168.200.0/24", "192.168.200.248") == {"all but .244"}
    but_the_gateway = [str(each) for each in (IPSet(["192.168.200.0/24"]) - IPSet(["192.168.200.248"])).iter_cidrs()]
    assert cells([{"site": "beijing", "hosts": but_the_gateway}], "192.168.200.0/24", "192.168.200.248") == {"all"}


def test_machines_of_a_wide_lan_are_told_apart() -> None:
    hosts = ["10.20.1.244", "10.20.2.244"]
    assert cells([{"site": "beijing", "hosts": hosts}], "10.20.0.0/16", "10.20.0.9") == {"10.20.1.244, 10.20.2.244"}


def test_of_a_change_what_comes_is_green_and_what_goes_is_red() -> None:
    after = office(
        developers=developers(f=None, e={"access": ["shenzhen"]}, more=[{"name": "g", "address": "10.70.0.9", "access": ["beijing"]}])
    )
    coloured: dict[str, set[str]] = {"gain": set(), "loss": set()}
    for element in ElementTree.fromstring(svg(picture(after, office()))).iter(f"{SVG}text"):
        for style in coloured:
            if style in element.attrib.get("class", "").split():
                coloured[style].add("".join(element.itertext()))
    assert "g" in coloured["gain"]
    assert "f" in coloured["loss"]
    assert "all" in coloured["gain"] & coloured["loss"]


def test_a_site_that_retires_is_red_and_an_unchanged_picture_has_no_colour() -> None:
    after = office(gateways=gateways(a={"retired": True}), developers=developers(e={"access": ["beijing"]}))
    assert 'class="name loss"' in svg(picture(after, office()))
    plain = svg(picture(office(), office()))
    assert 'loss"' not in plain
    assert 'gain"' not in plain


def test_mermaid_takes_names_for_text() -> None:
    drawn = mermaid(picture(office()))
    assert drawn.startswith("flowchart LR\n")
    assert "p0 --> s0" in drawn
    assert '-. ".244: 22/tcp, 443/tcp" .->' in drawn


def test_mermaid_shows_machines_and_people_that_are_reached() -> None:
    access = [{"developer": "f", "ports": ["22/tcp"]}, {"host": "z"}]
    people = [{"name": "e", "address": "10.70.0.4", "access": access}, {"name": "f", "address": "10.70.0.5"}]
    drawn = mermaid(picture(office(groups={}, developers=people))).splitlines()
    assert drawn[4:] == [
        '  d2["developer f"]',
        '  d3["host z"]',
        '  p0(["e"])',
        '  p0 -. "22/tcp" .-> d2',
        "  p0 --> d3",
        '  p1(["f"])',
    ]


def test_the_readmes_picture_is_that_of_the_demo() -> None:
    made = svg(picture(load(CLONE / "configs" / "dev.yaml", require_host_keys=False)))
    assert (CLONE / "docs" / "network.svg").read_text() == made, "wg-office diagram configs/dev.yaml > docs/network.svg"


def positions(drawn: str) -> list[tuple[float, float, str, dict[str, Any]]]:
    found = []
    for element in ElementTree.fromstring(drawn).iter(f"{SVG}text"):
        if "transform" not in element.attrib:
            found.append((float(element.attrib["x"]), float(element.attrib["y"]), "".join(element.itertext()), dict(element.attrib)))
    return found


def test_no_text_leaves_the_picture_or_lies_on_another() -> None:
    for env in (office(), large(3, 10), large(20, 300)):
        drawn = svg(picture(env))
        height = float(ElementTree.fromstring(drawn).attrib["viewBox"].split()[3])
        placed = positions(drawn)
        assert all(0 < left < 1000 and 0 < top < height for left, top, _, _ in placed)
        assert len({(left, top) for left, top, _, _ in placed}) == len(placed)
