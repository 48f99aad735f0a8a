"""How hosts are judged by what they say: drift, trouble, an `up` that is due; and how that is shown.

After an intended change of the table or the JSON: WG_OFFICE_UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/unit/test_status_findings.py
"""

import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from rich.console import Console
from test_render import SCRIPTS, description, environment, keys_of, many, secret_of

from wg_office.asking import status
from wg_office.asking.status import EXIT_STATUS, Kind, Reading
from wg_office.commands import status_report
from wg_office.environment.model import Environment
from wg_office.hosts import keys
from wg_office.hosts.description import read
from wg_office.hosts.render import Scripts
from wg_office.network.plan import HostPlan, plan

GOLDEN = Path(__file__).parents[1] / "golden" / "status"
NOW = 1795000000.0
GENERATION = "0123456789abcdef"


def env() -> Environment:
    return environment("article")


def peer_line(name: str, age: str = "40") -> str:
    return f"peer {keys_of(env())[name].public_key} {age} 2048 4096 198.51.100.7:51820\n"


def said(host: str, *lines: str, ages: Mapping[str, str] | None = None, text: str | None = None) -> str:
    """The words of a healthy host, with more lines, other ages of handshakes, or another description."""
    held = description(env(), host) if text is None else text
    [planned] = [each for each in plan(env()) if each.name == host]
    peers = [each.name for each in planned.tunnel.peers] if planned.tunnel else []
    return "".join(
        [
            f"time {NOW + 0.25}\n",
            *(f"ping {ping.address} answered\n" for ping in status.pings(env(), planned)),
            "version systemd 252\nversion kernel 6.1.0-42-cloud-amd64\nversion wireguard-tools 1.0.20210914\n",
            f"deployment 0123456789abcdef\ngeneration {GENERATION}\n",
            *(f"{line}\n" for line in lines),
            f"key {keys_of(env())[host].public_key}\n" if peers else "",
            *(peer_line(name, (ages or {}).get(name, "40")) for name in peers),
            f"description\n{held}",
        ]
    )


def healthy() -> dict[str, Reading]:
    return {host.name: heard(said(host.name)) for host in plan(env())}


def heard(text: str) -> Reading:
    return Reading(said=text, asked=NOW, answered=NOW + 0.5)


def judged(scripts: Scripts = SCRIPTS, **readings: Reading) -> tuple[status.HostStatus, ...]:
    return status.judge(env(), plan(env()), {**healthy(), **readings}, scripts)


def findings(hosts: tuple[status.HostStatus, ...]) -> list[tuple[str, Kind, str]]:
    return [(host.name, finding.kind, finding.text) for host in hosts for finding in host.findings]


# ---- one thing at a time --------------------------------------------------------------------------------------------


def test_a_healthy_network_is_well() -> None:
    hosts = judged()
    assert findings(hosts) == []
    assert status_report.state(hosts) is Kind.WELL
    assert EXIT_STATUS[Kind.WELL] == 0


def test_drift_is_passed_on_with_the_names_of_peers() -> None:
    key = keys_of(env())["e"].public_key
    hosts = judged(z=heard(said("z", f"drift peer {key} is missing on wg0", "drift sysctl net.ipv4.ip_forward is 0, not 1")))
    assert findings(hosts) == [
        ("z", Kind.DRIFT, f"peer e ({key}) is missing on wg0"),
        ("z", Kind.DRIFT, "sysctl net.ipv4.ip_forward is 0, not 1"),
    ]
    assert [host.name for host in hosts if host.needs_repair] == ["z"]


def test_a_removal_that_is_under_way_is_told() -> None:
    assert findings(judged(a=heard(said("a", "leaving")))) == [("a", Kind.TROUBLE, "its removal is under way; look again in a minute")]


def test_a_host_without_an_installation_has_drifted() -> None:
    hosts = judged(c=heard(f"time {NOW}\ngeneration none\n"))
    assert ("c", Kind.DRIFT, "nothing of wg-office is installed") in findings(hosts)


def test_a_change_under_way_and_one_that_was_undone_are_trouble() -> None:
    hosts = judged(a=heard(said("a", "pending aaaa")), c=heard(said("c", "rolled-back bbbb 300")))
    (a, c) = findings(hosts)
    assert (a[:2], c[:2]) == (("a", Kind.TROUBLE), ("c", Kind.TROUBLE))
    assert "aaaa" in a[2]
    assert "bbbb" in c[2]
    assert "5 min ago" in c[2]


def test_who_is_revoked_and_still_in_the_file_is_trouble_and_no_drift_to_repair() -> None:
    hosts = judged(z=heard(said("z", "revoked e")), c=heard(said("c", "revoked e")))
    text = "e is revoked, and still in the file: take it out, or give it a new key (rotation, public_key), then pulumi up"
    assert findings(hosts) == [("z", Kind.TROUBLE, text), ("c", Kind.TROUBLE, text)]
    assert not any(host.needs_repair for host in hosts)


def test_who_is_revoked_and_no_longer_in_the_file_is_an_up_that_is_due_and_is_not_let_in() -> None:
    [peer] = [line for line in description(env(), "z").split("\n\n") if line.startswith("# e, developer")]
    with_x = description(env(), "z").replace(peer, f"{peer}\n\n{peer.replace('# e,', '# x,')}")
    told = [text for host, _, text in findings(judged(z=heard(said("z", "revoked x", text=with_x)))) if "x is" in text or "peer x" in text]
    assert told == ["x is revoked, and no longer in the file: pulumi up, which ends the revocation"]


def test_a_gateway_that_refuses_what_the_hub_does_not_is_told() -> None:
    [(host, kind, text)] = findings(judged(c=heard(said("c", "revoked e"))))
    assert (host, kind) == ("c", Kind.TROUBLE)
    assert text.startswith("e is revoked here and not at hub z: if its key was renewed since, ")
    [(_, _, text)] = findings(judged(z=Reading(failure="gone"), c=heard(said("c", "revoked e"))))[1:]
    assert "still in the file" in text


@pytest.mark.parametrize(("age", "word"), [("181", "3 min ago"), ("7300", "2 h ago"), ("never", "never")])
def test_a_gateway_without_a_session_is_told_at_the_hub(age: str, word: str) -> None:
    assert findings(judged(z=heard(said("z", ages={"c": age})))) == [("z", Kind.TROUBLE, f"gateway c is silent: last handshake {word}")]


def test_developers_come_and_go() -> None:
    assert findings(judged(z=heard(said("z", ages={"e": "never", "f": "90000"})))) == []


@pytest.mark.parametrize(("answer", "wrong"), [("answered", False), ("refused", False), ("unknown", False), ("silent", True)])
def test_a_ping_without_an_answer_is_trouble(answer: str, wrong: bool) -> None:
    hosts = judged(a=heard(said("a").replace("10.70.0.1 answered", f"10.70.0.1 {answer}")))
    assert findings(hosts) == ([("a", Kind.TROUBLE, "z (10.70.0.1) does not answer a ping")] if wrong else [])


def test_gateways_ping_the_hub_and_routers_their_gateway() -> None:
    asked = {host.name: [(ping.to, str(ping.address)) for ping in status.pings(env(), host)] for host in plan(env())}
    assert asked == {"z": [], "a": [("z", "10.70.0.1")], "c": [("z", "10.70.0.1")], "a-router": [("a", "192.168.201.247")]}


@pytest.mark.parametrize(("ahead", "told"), [(29.0, None), (35.0, "35 s ahead"), (-200.0, "3 min behind")])
def test_a_clock_that_is_off_is_told(ahead: float, told: str | None) -> None:
    hosts = judged(a=heard(said("a").replace(f"time {NOW + 0.25}", f"time {NOW + 0.25 + ahead}")))
    assert findings(hosts) == ([("a", Kind.TROUBLE, f"its clock is {told} of ours")] if told else [])


def test_a_clock_is_not_blamed_for_a_slow_connection() -> None:
    slow = Reading(said=said("a").replace(f"time {NOW + 0.25}", f"time {NOW + 50}"), asked=NOW, answered=NOW + 60)
    assert findings(judged(a=slow)) == []


def test_hosts_of_two_deployments_are_told() -> None:
    other = said("c").replace("deployment 0123456789abcdef\ngen", "deployment ffffffffffffffff\ngen")
    (found,) = findings(judged(c=heard(other)))
    assert found == ("c", Kind.TROUBLE, "belongs to deployment ffffffffffffffff, and hub z to 0123456789abcdef")


def test_a_gateway_whose_key_the_hub_does_not_know_is_told() -> None:
    own, other = keys_of(env())["a"].public_key, keys_of(env())["e"].public_key
    (found,) = findings(judged(a=heard(said("a").replace(f"key {own}", f"key {other}"))))
    assert found == ("a", Kind.DRIFT, f"hub z knows it by another public key than it has ({other}): pulumi up")


def test_unreachable_is_a_row_with_its_reason() -> None:
    hosts = judged(a=Reading(failure="root@192.0.2.1:22 cannot be reached"))
    assert findings(hosts) == [("a", Kind.UNREACHABLE, "root@192.0.2.1:22 cannot be reached")]


@pytest.mark.parametrize("words", ["", "Welcome!\n", "time soon\ngeneration none\n", f"time {NOW}\ngeneration x\npeer KEY\n"])
def test_words_that_are_no_report_are_no_reason_to_fall_over(words: str) -> None:
    (found,) = findings(judged(a=heard(words)))
    assert found[:2] == ("a", Kind.UNREACHABLE)


# ---- the file against what hosts were last given --------------------------------------------------------------------


def changed_file(change: Callable[[str], str]) -> Reading:
    return heard(said("z", text=change(description(env(), "z"))))


def test_a_peer_that_left_the_file_is_named_and_so_is_the_file_that_changes() -> None:
    stranger = "\n# old, developer\n[WireGuardPeer]\nPublicKey=K\nPresharedKeyFile=/etc/wg-office/keys/p\nAllowedIPs=10.70.0.9/32\n"
    hosts = judged(z=changed_file(lambda text: text.replace("\n# f, developer", f"{stranger}\n# f, developer")))
    assert findings(hosts) == [
        ("z", Kind.UP_DUE, "peer old is no longer in the file and still let in: pulumi up"),
        ("z", Kind.UP_DUE, "differs from the file in /run/systemd/network/50-wg0.netdev: pulumi up"),
    ]
    assert EXIT_STATUS[status_report.state(hosts)] == 3


def test_a_peer_that_is_new_in_the_file_is_named() -> None:
    hosts = judged(z=changed_file(lambda text: text.replace("# f, developer", "# former, developer")))
    assert ("z", Kind.UP_DUE, "peer f is in the file and not let in yet: pulumi up") in findings(hosts)


def test_another_host_script_or_header_is_an_up_that_is_due() -> None:
    assert findings(
        judged(
            Scripts(host="#!/bin/bash\n# newer\n", flows=SCRIPTS.flows, after_load=SCRIPTS.after_load),
            a=Reading(failure="x"),
            c=Reading(failure="x"),
        )
    )[0] == (
        "z",
        Kind.UP_DUE,
        "differs from the file in the host script: pulumi up",
    )
    hosts = judged(z=changed_file(lambda text: text.replace("rollback-after 90", "rollback-after 60")))
    assert findings(hosts) == [("z", Kind.UP_DUE, "differs from the file in the header: pulumi up")]


def test_a_repair_stamp_makes_no_difference_to_the_file() -> None:
    assert findings(judged(z=changed_file(lambda text: text.replace("interface wg0\n", "interface wg0\nrepair 20261124T100000Z\n")))) == []


@pytest.mark.parametrize("case", ["article", "one-gateway", "no-gateway", "firewalls"])
def test_what_was_rendered_from_a_file_is_what_the_file_says(case: str) -> None:
    given = environment(case)

    def reading(host: HostPlan) -> Reading:
        return heard(f"time {NOW}\ngeneration x\ndescription\n{description(given, host.name)}")

    hosts = status.judge(given, plan(given), {host.name: reading(host) for host in plan(given)}, SCRIPTS)
    assert [finding for finding in findings(hosts) if finding[1] is Kind.UP_DUE] == []


# ---- shown ----------------------------------------------------------------------------------------------------------


def troubled() -> tuple[status.HostStatus, ...]:
    return judged(
        z=heard(said("z", "drift route 192.168.200.0/24 dev wg0 is missing", ages={"e": "never", "a": "7500"})),
        a=Reading(failure="root@127.0.0.1:22011 cannot be reached"),
        c=heard(said("c", text=description(env(), "c").replace("rollback-after 90", "rollback-after 60"))),
    )


def shown(hosts: tuple[status.HostStatus, ...]) -> str:
    written = io.StringIO()
    console = Console(file=written, width=200)
    console.print(status_report.table(env(), hosts))
    console.print(status_report.peer_table(env(), hosts))
    return "\n".join(
        [*(line.rstrip() for line in written.getvalue().splitlines()), *status_report.lines(hosts), status_report.summary(env(), hosts), ""]
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("troubled.txt", lambda: shown(troubled())),
        (
            "troubled.json",
            lambda: json.dumps(status_report.as_data(env(), troubled(), ["office.yaml:9: developers[0]: ends"]), indent=2) + "\n",
        ),
        ("well.txt", lambda: shown(judged())),
    ],
)
def test_it_is_shown_as_reviewed(name: str, text: Callable[[], str]) -> None:
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(text(), encoding="utf-8")
    assert text() == (GOLDEN / name).read_text(encoding="utf-8")


def test_a_thousand_peers_are_judged_and_counted() -> None:
    given = many(1000)
    host = plan(given)[0]
    assert host.tunnel is not None
    lines = "".join(f"peer {keys_of(given)[peer.name].public_key} 40 1 1 (none)\n" for peer in host.tunnel.peers)
    text = f"time {NOW}\ngeneration x\nkey k\n{lines}description\n{description(given, 'z')}"
    (judged_hub, *_) = status.judge(given, plan(given), {each.name: heard(text) for each in plan(given)}, SCRIPTS)
    assert (judged_hub.findings, len(judged_hub.peers)) == ((), 1002)
    console = Console(file=io.StringIO(), width=200)
    console.print(status_report.table(given, [judged_hub]))


def test_a_description_is_read_back_whole() -> None:
    text = description(env(), "z")
    parts = read(text).parts
    assert sum(map(len, parts.values())) < len(text)
    assert parts["the host script"] == SCRIPTS.host
    assert {"flows.awk", "nftables.nft", "/run/systemd/network/50-wg0.netdev"} <= parts.keys()
    assert secret_of("e") not in text
    assert keys.private_key(secret_of("z")) not in text
