"""People with several devices: each device is a peer, and what it may reach is the person's. Titles are shown, and reach no host."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork
from rich.console import Console
from test_changes import described
from test_handout import KEYS, parsed
from test_render import keys_of
from test_review_difference import OFFICE, office
from test_status_findings import NOW, said
from typer.testing import CliRunner

from wg_office.asking import status
from wg_office.commands import access_report, status_report
from wg_office.commands.cli import app, placeholders
from wg_office.environment.model import Client, Environment
from wg_office.hosts import description
from wg_office.hosts.changes import addresses, disruptions, what_developers_lose
from wg_office.hosts.keys import GENERATED_ON_APPLY, listed
from wg_office.hosts.render import Scripts, render_description
from wg_office.network.access import peer_addresses, permissions, reach_of
from wg_office.network.enforced import enforced
from wg_office.network.plan import plan
from wg_office.people.handout_page import handout_page
from wg_office.people.profiles import best_of, profiles, render_profile
from wg_office.reading.checks import check
from wg_office.reading.expect import broken_expectations
from wg_office.reading.guards import broken_by_change
from wg_office.review import report
from wg_office.review.difference import difference
from wg_office.review.draw import mermaid, svg
from wg_office.review.picture import picture

TITLE = 'Développement, 研发 3: "R|D" <b>*&*</b>'
LAPTOP = {"name": "laptop", "address": "10.70.0.4", "platform": "macos"}
PHONE = {"name": "phone", "address": "10.70.0.44", "platform": "ios"}
ONE = OFFICE["developers"][0]
BOTH = {"name": "e", "title": TITLE, "devices": [LAPTOP, PHONE], "access": ONE["access"]}


def people(*first: dict[str, Any], **changes: Any) -> Environment:
    """The office, with other people in place of e."""
    return office(developers=[*first, *OFFICE["developers"][1:]], **changes)


def client(env: Environment, name: str) -> Client:
    return next(each for each in env.clients if each.name == name)


def hosts(env: Environment) -> dict[str, str]:
    return {host.name: render_description(host, placeholders(env), "-", Scripts("", "", "")) for host in plan(env)}


# ---- peers -----------------------------------------------------------------------------------------------------------


def test_each_device_is_a_peer_named_after_its_person() -> None:
    env = people(BOTH)
    assert [(each.name, each.output) for each in env.clients[:3]] == [
        ("e-laptop", "dev_e_laptop"),
        ("e-phone", "dev_e_phone"),
        ("f", "dev_f"),
    ]
    titles = [peer.title for peer in described(env, "z", placeholders(env)).peers()]
    assert titles[2:5] == ["e-laptop, developer", "e-phone, developer", "f, developer"]
    assert described(env, "z", placeholders(env)).peers()[3].name == "e-phone"


@st.composite
def offices(draw: st.DrawFn) -> Environment:
    """A few people with one machine or several devices, who may reach an office, each other, or their own devices."""
    names = draw(st.lists(st.sampled_from("efghk"), min_size=1, max_size=4, unique=True))
    free = iter(range(10, 60))
    targets = ["shenzhen", {"site": "beijing", "ports": ["22/tcp"]}, {"host": "z"}]
    made = []
    for name in names:
        devices = draw(st.integers(0, 3))
        own = {"devices": [{"name": f"d{n}", "address": f"10.70.0.{next(free)}"} for n in range(devices)]}
        others = [{"developer": each, "ports": ["80/tcp"]} for each in names if each != name or devices > 1]
        granted = draw(st.lists(st.sampled_from([*targets, *others]), max_size=4))
        made.append({"name": name, "access": granted} | (own if devices else {"address": f"10.70.0.{next(free)}"}))
    return office(developers=made, groups={}, network=OFFICE["network"] | draw(st.sampled_from([{}, {"cidr6": "fd70::/64"}])))


def exchanges(env: Environment) -> list[tuple[IPNetwork, IPNetwork, str, int]]:
    """New connections between machines of people, and from them into the offices."""
    own = [address for peer in env.clients for address in peer_addresses(env, peer)]
    offices_ = [IPNetwork("192.168.201.7/32"), IPNetwork("192.168.200.7/32"), IPNetwork("10.70.0.1/32")]
    ways = ((one, other) for one in own for other in [*own, *offices_] if one != other and one.version == other.version)
    return [(one, other, "tcp", port) for one, other in ways for port in (22, 80)]


@given(offices())
@settings(max_examples=60, deadline=None)
def test_every_device_reaches_what_its_person_may_and_nothing_else(env: Environment) -> None:
    assert check(env) == []
    granted, policies = permissions(env), reach_of(env).policies
    for source, destination, protocol, port in exchanges(env):
        allowed = any(item.allows(source.ip, destination.ip, protocol, port) for item in granted)
        reached = enforced(env, policies, source)
        opened = any(
            (box.version, box.protocol) == (destination.version, protocol)
            and box.first <= int(destination.ip) <= box.last
            and box.low <= port <= box.high
            for box in reached
        )
        assert opened is allowed, (source, destination, port)


@given(offices())
@settings(max_examples=40, deadline=None)
def test_no_two_peers_of_the_hub_share_an_address_and_all_devices_of_a_person_have_the_same_networks(env: Environment) -> None:
    tunnel = plan(env)[0].tunnel
    assert tunnel is not None
    prefixes = [prefix for peer in tunnel.peers for prefix in peer.allowed_ips]
    assert not [(one, other) for number, one in enumerate(prefixes) for other in prefixes[number + 1 :] if one in other or other in one]
    assert len({peer.name for peer in tunnel.peers}) == len(tunnel.peers)
    for developer in env.developers:
        listed = {tuple(each.allowed_ips for each in profiles(env, device)) for device in developer.clients}
        assert len(listed) == 1
        assert len({best_of(device, profiles(env, device)).addresses for device in developer.clients}) == len(developer.clients)


def test_a_grant_to_a_person_means_all_devices_and_their_own_only_where_it_is_granted() -> None:
    env = people(BOTH, {"name": "n", "address": "10.70.0.9", "access": [{"developer": "e"}]})
    towards = [item for item in permissions(env) if str(item.destination) == "developer e"]
    assert [(item.source.name, [str(network.ip) for network in item.destination.networks]) for item in towards] == [
        ("n", ["10.70.0.4", "10.70.0.44"])
    ]
    own = people(BOTH | {"access": [{"developer": "e", "ports": ["22/tcp"]}]})
    assert permissions(own)[0].allows(IPAddress("10.70.0.4"), IPAddress("10.70.0.44"), "tcp", 22)
    (fault,) = check(people(BOTH | {"devices": [LAPTOP], "access": [{"developer": "e"}]}))
    assert fault.message == "e needs no grant to reach itself"


def test_statements_hold_for_each_device() -> None:
    expect = [
        {"who": "e", "reaches": "shenzhen"},
        {"who": "f", "never_reaches": {"developer": "e"}},
        {"who": {"address": "10.70.0.44"}, "reaches": "beijing"},
        {"who": "e", "never_reaches": "shenzhen"},
    ]
    messages = [each.message for each in broken_expectations(people(BOTH, expect=expect))]
    assert [message.partition(" reaches ")[0] for message in messages] == ["does not hold: e-laptop", "does not hold: e-phone"]


# ---- titles ----------------------------------------------------------------------------------------------------------


@given(st.one_of(st.none(), st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=80).filter(str.strip)))
@settings(max_examples=50, deadline=None)
def test_a_title_reaches_no_host_and_no_file_of_anybody(title: str | None) -> None:
    plain, titled = people(BOTH | {"title": None}), people(BOTH | {"title": title})
    assert hosts(plain) == hosts(titled)
    made = difference(plain, titled)
    assert [host.verdict for host in made.hosts] == ["not touched"] * len(made.hosts)
    assert [change.section for change in made.changes] == ["people"] * (title is not None)
    for one, other in zip(plain.clients, titled.clients, strict=True):
        assert [render_profile(each, KEYS) for each in profiles(plain, one)] == [
            render_profile(each, KEYS) for each in profiles(titled, other)
        ]


def test_a_title_stands_in_tables_outputs_pictures_and_pages() -> None:
    env = people(BOTH)
    shown = "developer e (Développement, 研发 3"
    assert shown in access_report.rows(env)[0].who
    assert access_report.rows(env)[0].who.endswith("[laptop, phone]")
    assert shown in access_report.csv_text(env)
    assert "Développement" in svg(picture(env))
    assert "Développement" in mermaid(picture(env))
    assert "Développement" in handout_page(env, client(env, "e-phone"), confs(env, "e-phone"))
    row = next(line for line in access_report.markdown(env).splitlines() if "Développement" in line)
    assert row.replace("\\|", "").count("|") == 6, "the title ends no cell"
    assert "<b>" not in row


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        (r"a\|b", r"a\\\|b"),
        ("![x](https://example.org/x.png)", r"![x]\(https://example.org/x.png)"),
        ("`a` *b* __c__", r"\`a\` \*b\* \_\_c\_\_"),
        ("&lt;b>", "&amp;lt;b>"),
    ],
)
def test_a_title_in_markdown_is_what_it_is_and_ends_no_cell(title: str, shown: str) -> None:
    row = next(line for line in access_report.markdown(people(BOTH | {"title": title})).splitlines() if "laptop" in line)
    assert f"developer e ({shown}) [laptop, phone]" in row


def test_no_line_of_the_outputs_reads_as_a_mapping_whatever_the_title() -> None:
    text = access_report.columns(people(BOTH), reach_of(people(BOTH)))
    assert "研发 3:" in text
    assert ": " not in text


def test_a_title_is_no_markup_of_the_page() -> None:
    env = people(BOTH | {"title": '</title><script>alert("*x*")</script> {who} `y`'})
    text = handout_page(env, client(env, "e-laptop"), confs(env, "e-laptop"))
    assert "script" not in parsed(text).tags
    assert "&lt;script&gt;alert(&quot;*x*&quot;)" in text


HEBREW, ARABIC = "שירה כהן", "ليلى 2 (مكتب)"


@pytest.mark.parametrize("title", [HEBREW, ARABIC])
def test_a_title_from_right_to_left_turns_nothing_beside_it(title: str) -> None:
    apart = f"\u2068{title}\u2069"
    env = people(BOTH | {"title": title})
    (row, *_) = [line for line in access_report.markdown(env).splitlines() if "developer e" in line]
    assert f"developer e ({apart}) [laptop, phone]" in row
    assert f"-> {apart}" in report.markdown(difference(office(), env))
    assert f"({apart})" in svg(picture(env))
    assert f"({apart})" in mermaid(picture(env))
    page = handout_page(env, client(env, "e-laptop"), confs(env, "e-laptop"))
    assert page.count(f"<bdi>e-laptop ({title})</bdi>") == 4
    assert "\u2068" not in page


def test_other_titles_are_as_they_are_written() -> None:
    env = people(BOTH)
    texts = (access_report.markdown(env), report.markdown(difference(office(), env)), svg(picture(env)), mermaid(picture(env)))
    assert not any("\u2068" in text for text in texts)


# ---- one machine becomes a device ------------------------------------------------------------------------------------

MOVED = [people(BOTH), people(BOTH | {"devices": [PHONE, LAPTOP]})]
"""With the old address first and last: the keys are with the address, and not with the place in the list."""


@pytest.mark.parametrize("after", MOVED)
def test_the_device_with_the_old_address_is_the_one_that_keeps_the_keys(after: Environment) -> None:
    was = addresses(described(office(), "z", placeholders(office())))
    assert was["e"] == IPAddress("10.70.0.4")
    assert {name: each.name for name, each in after.heirs(was).items()} == {"e": "e-laptop"}
    assert people(BOTH | {"devices": [PHONE]}).heirs(was) == {}
    assert office().heirs(was) == {}


def test_an_address_that_goes_to_another_person_takes_no_keys_along() -> None:
    stolen = people({"name": "n", "devices": [LAPTOP]})
    assert stolen.heirs({"e": IPAddress("10.70.0.4")}) == {}


@pytest.mark.parametrize("after", MOVED)
def test_a_reviewer_is_told_that_a_machine_is_a_device_now_and_nobody_needs_a_new_file(after: Environment) -> None:
    made = difference(office(), after)
    told = [(change.sign, *change.who, change.text) for change in made.changes if change.section == "people"]
    title = f"title: nothing -> {TITLE}"
    assert ("~", "e", "the machine 10.70.0.4 is now the device laptop") in told
    assert sorted(told[1:]) == sorted(
        [("~", "e", title), ("~", "e-laptop", "platform: nothing -> macos"), ("+", "e-phone", "10.70.0.44, ios")]
    )
    assert not [change for change in made.changes if change.section in ("new files", "access")]
    assert "e-phone" in report.markdown(made)


def test_the_preview_does_not_say_that_the_keys_go() -> None:
    before, after = office(), people(BOTH)
    kept = described(after, "z", {**keys_of(after), "e-laptop": keys_of(before)["e"]})
    only_e = described(office(developers=[ONE | {"access": []}]), "z")
    assert what_developers_lose(only_e, kept) == ()
    assert disruptions(described(before, "z"), kept) == ()
    lost = described(office(developers=[]), "z")
    assert "1 developers go (e)" in what_developers_lose(only_e, lost)[0]


def test_what_becomes_a_device_is_not_counted_as_removed() -> None:
    before = office(policy={"removals": {"at_most": 1}})
    everyone = [{"name": each["name"], "devices": [{"name": "pc", "address": each["address"]}]} for each in OFFICE["developers"]]
    moved = office(developers=everyone, policy={"removals": {"at_most": 1}})
    assert list(broken_by_change(before, moved)) == []
    gone = [broken.message for broken in broken_by_change(moved, before)]
    assert len(gone) == 1, "from devices back to one machine the keys are new"
    assert "10 of 13 peers go at once" in gone[0]


# ---- status ----------------------------------------------------------------------------------------------------------


def test_status_names_each_device_and_counts_them() -> None:
    env = people(BOTH)
    hub = plan(env)[0]
    names = {**placeholders(env)} | {
        each.name: replace(placeholders(env)[each.name], public_key=f"{n:043}=") for n, each in enumerate(env.peers)
    }
    held = render_description(hub, names, "0" * 16, Scripts("", "", ""))
    lines = [f"peer {names[each.name].public_key} 40 1 1 198.51.100.7:51820\n" for each in env.clients]
    told = said("z", text=held).replace("description\n", f"{''.join(lines)}description\n", 1)
    told = "".join(line for line in told.splitlines(keepends=True) if not line.startswith("peer ") or line in lines)
    judged = status.judge(env, [hub], {"z": status.Reading(said=told, asked=NOW, answered=NOW + 0.5)}, Scripts("", "", ""))
    assert {peer.name for peer in judged[0].peers} == {each.name for each in env.clients}
    written = io.StringIO()
    console = Console(file=written, width=250)
    console.print(status_report.table(env, judged))
    console.print(status_report.peer_table(env, judged))
    assert "11 of 11 developers' devices connected" in written.getvalue()
    assert f"e-phone ({TITLE})" in written.getvalue()


def test_a_host_with_the_old_description_is_said_to_need_an_up() -> None:
    env = people(BOTH)
    names = description.public_names(plan(env)[0], described(office(), "z"), {})
    assert names["e-laptop"].public_key == GENERATED_ON_APPLY
    assert names["f"].public_key != GENERATED_ON_APPLY


# ---- hand-outs -------------------------------------------------------------------------------------------------------


def confs(env: Environment, name: str) -> dict[str, str]:
    return {profile.kind: render_profile(profile, KEYS) for profile in profiles(env, client(env, name))}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment file in a folder of its own, and a stack that knows everybody's files."""
    env = people(BOTH)
    outputs: dict[str, Any] = {f"{each.output}_confs": confs(env, each.name) for each in env.clients}
    outputs["public_keys"] = listed(keys_of(env))
    (tmp_path / "outputs").write_text(json.dumps(outputs))
    data = json.loads(json.dumps(OFFICE | {"developers": [BOTH, *OFFICE["developers"][1:]]}))
    (tmp_path / "office.yaml").write_text(json.dumps(data))
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec cat {tmp_path}/outputs\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr("wg_office.commands.cli.environment_of", lambda _file: env)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def handed_out(folder: Path, *arguments: str) -> tuple[int, list[str], str]:
    result = CliRunner().invoke(app, ["handout", *arguments, "--file", "office.yaml"])
    return result.exit_code, sorted(path.name for path in folder.glob("handout-*")), result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "pages"),
    [
        (["e"], ["handout-office-e-laptop.html", "handout-office-e-phone.html"]),
        (["e", "phone"], ["handout-office-e-phone.html"]),
        (["e-phone"], ["handout-office-e-phone.html"]),
        (["f"], ["handout-office-f.html"]),
    ],
)
def test_a_page_is_for_one_device(folder: Path, arguments: list[str], pages: list[str]) -> None:
    status_, written, told = handed_out(folder, *arguments)
    assert (status_, written) == (0, pages)
    assert told.count("only; hand it over in private") == len(pages)


def test_all_of_everybody_are_in_the_folder(folder: Path) -> None:
    assert handed_out(folder, "--all")[0] == 0
    made = sorted(path.name for path in (folder / "handout-office").iterdir())
    assert len(made) == 12
    assert "handout-office-e-phone.html" in made


@pytest.mark.parametrize(
    ("arguments", "said_"),
    [
        (["e", "tablet"], "e has no device tablet; e has laptop, phone\n"),
        (["f", "phone"], "f has no device phone; f has one machine alone: leave it out\n"),
        (["e", "--out", "x.html"], "--out names one file, and e has 2 devices: name one of laptop, phone too\n"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(folder: Path, arguments: list[str], said_: str) -> None:
    status_, written, told = handed_out(folder, *arguments)
    assert (status_, written) == (2, [])
    assert told.endswith(said_)
    assert told.count("\n") == 1


def test_the_page_opens_on_the_devices_platform_and_has_its_address_alone() -> None:
    env = people(BOTH)
    page = handout_page(env, client(env, "e-phone"), confs(env, "e-phone"))
    assert 'id="os-ios" aria-label="iPhone, iPad" checked' in page
    assert "10.70.0.44/32" in page
    assert "10.70.0.4/32" not in page


def test_a_device_is_not_told_to_reach_itself() -> None:
    env = people(BOTH | {"access": [{"developer": "e", "ports": ["icmp"]}]})
    page = handout_page(env, client(env, "e-laptop"), confs(env, "e-laptop"))
    assert "ping 10.70.0.44" in page
    assert "ping 10.70.0.4<" not in page


# ---- an endpoint of one's own ----------------------------------------------------------------------------------------


def test_a_machines_own_endpoint_is_in_its_files_and_nowhere_else() -> None:
    own = people(ONE | {"endpoint": "127.0.0.1:51820"})
    assert {profile.endpoint for profile in profiles(own, client(own, "e"))} == {"127.0.0.1:51820"}
    assert {profile.endpoint for profile in profiles(own, client(own, "f"))} == {"203.0.113.10:51820"}
    assert hosts(own) == hosts(office())
    text = confs(own, "e")["everyday"]
    assert "Endpoint = 127.0.0.1:51820\n" in text
    assert "# Note: This file sends to 127.0.0.1:51820, and not to the hub: start the program that carries it from there" in text
    made = difference(office(), own)
    assert [(change.section, *change.who) for change in made.changes] == [("people", "e"), ("new files", "e")]


def test_a_device_has_an_endpoint_of_its_own() -> None:
    env = people(BOTH | {"devices": [LAPTOP | {"endpoint": "127.0.0.1:51820"}, PHONE]})
    assert [best_of(each, profiles(env, each)).endpoint for each in env.clients[:2]] == ["127.0.0.1:51820", "203.0.113.10:51820"]
