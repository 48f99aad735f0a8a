"""Whatever a host says, the status of the others stands, and nothing that is printed leads a terminal."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from test_render import SCRIPTS, description, many
from test_status_findings import NOW, env, findings, healthy, heard, said
from typer.testing import CliRunner

from wg_office.asking import status
from wg_office.asking.dial import LONGEST_ANSWER
from wg_office.asking.report import parse_report
from wg_office.commands import status_report
from wg_office.commands.cli import app
from wg_office.hosts import hostscript
from wg_office.network.plan import plan
from wg_office.text.printable import json_text, one_line

WORDS = said("z", "drift route 192.168.200.0/24 dev wg0 is missing", "rolled-back bbbb 300", "pending aaaa", "revoked e")
HEAD = f"time {NOW}\ngeneration x\n"
ENV, PLANS, WELL = env(), plan(env()), healthy()


def judged(**readings: status.Reading) -> tuple[status.HostStatus, ...]:
    """As test_status_findings has it, without reading the file again for each of many examples."""
    return status.judge(ENV, PLANS, {**WELL, **readings}, SCRIPTS)


def everything(hosts: tuple[status.HostStatus, ...]) -> str:
    """All that `status` prints, in each of its forms."""
    written = io.StringIO()
    console = Console(file=written, width=200)
    console.print(status_report.table(ENV, hosts))
    console.print(status_report.peer_table(ENV, hosts))
    data = json_text(status_report.as_data(ENV, hosts))
    json.loads(data)
    return "\n".join([written.getvalue(), *status_report.lines(hosts), status_report.summary(ENV, hosts), data])


def is_harmless(words: str) -> None:
    hosts = judged(z=heard(words))
    assert [host.name for host in hosts] == ["z", "a", "c", "a-router"]
    assert all(host.report is not None for host in hosts[1:])
    assert everything(hosts).replace("\n", "").isprintable()


# ---- what is said, at random ----------------------------------------------------------------------------------------


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_harmless(taken: bytes) -> None:
    is_harmless(taken.decode(errors="surrogateescape"))


@given(st.sampled_from(sorted({line.partition(" ")[0] for line in WORDS.splitlines()[:20]})), st.text(max_size=60))
@example("peer", "k 1 1 1 [/x]")
@example("peer", f"k 1 {'9' * 400} 1 (none)")
@example("peer", "k 1 1 -1 (none)")
@example("peer", f"k {'9' * 400} 1 1 (none)")
@example("version", "kernel [/red]")
@example("version", "kernel")
@example("rolled-back", f"b {'9' * 400}")
@example("time", "nan")
@example("time", "1e999")
@example("ping", "10.70.0.1 [bold]")
@example("drift", "\x1b[2J")
@example("drift", "")
@example("generation", "\u202etxt")
@example("description", "")
def test_an_arbitrary_line_after_a_known_word_is_harmless(key: str, rest: str) -> None:
    is_harmless(f"{HEAD}{key} {rest}\n")
    is_harmless(f"{key} {rest}\n{HEAD}")


@given(st.integers(0, len(WORDS)), st.integers(0, 80), st.text(max_size=40))
@example(0, 0, "\x1b]0;owned\x07")
def test_a_report_with_something_else_in_its_middle_is_harmless(start: int, length: int, instead: str) -> None:
    is_harmless(WORDS[:start] + instead + WORDS[start + length :])


@given(
    st.lists(
        st.sampled_from(["---- file ", "---- file  0644", "# [/x], gateway", "[WireGuardPeer]", "PublicKey", "attempt ", "\x9b1A", "["])
    )
)
def test_a_description_that_is_none_is_harmless(lines: list[str]) -> None:
    is_harmless("\n".join([HEAD + "description", *lines, ""]))


# ---- what is said, one kind at a time -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "peer k 40 1 1 [/x]",
        f"peer k 40 {'9' * 21} 1 (none)",
        "peer k forty 1 1 (none)",
        "peer k 40 1 1",
        "version kernel a b",
        "drift \x1b[31mred",
        "drift a\x9bb",
        "drift right\u202eleft",
        "drift \ud83d",
        f"drift {'x' * 1001}",
        "surprise",
        "time nan",
        "leaving now",
    ],
)
def test_what_the_script_never_says_cannot_be_understood(line: str) -> None:
    (found,) = findings(judged(z=heard(f"{HEAD}{line}\n")))
    assert found == ("z", status.Kind.UNREACHABLE, status.NOT_UNDERSTOOD)


@pytest.mark.parametrize("endpoint", ["(none)", "198.51.100.7:51820", "[2001:db8::1]:51820", "[fe80::1%eth0]:51820"])
def test_what_wireguard_says_of_an_endpoint_is_understood(endpoint: str) -> None:
    assert parse_report(f"{HEAD}peer k never 0 {2**64 - 1} {endpoint}\n").peers[0].endpoint == endpoint


@pytest.mark.parametrize("words", ["deployment \n", "version wireguard-tools \n", "key (none)\n", "pending \n", "rolled-back b -1\n"])
def test_what_is_empty_on_a_host_that_lost_a_file_is_understood(words: str) -> None:
    assert parse_report(f"{HEAD}{words}").generation == "x"


def test_a_login_that_greets_in_colour_is_understood() -> None:
    assert parse_report(f"\x1b[32mWelcome to z\x1b[0m\n{HEAD}").generation == "x"


def test_the_description_of_a_thousand_developers_with_the_real_script_is_understood_and_far_below_the_limit() -> None:
    text = description(many(1000), "z").partition("---- script")[0] + "---- script wg-office\n" + hostscript.scripts().host
    peers = "peer k 40 1 1 (none)\n" * 1002
    words = f"{HEAD}{peers}description\n{text}"
    assert parse_report(words).description is not None
    assert len(words) * 4 < LONGEST_ANSWER


def test_a_host_that_names_twenty_thousand_peers_does_not_bury_the_others() -> None:
    strangers = "".join(f"\n# s{number}, developer\n[WireGuardPeer]\nPublicKey=k{number}\n" for number in range(20_000))
    text = f"{HEAD}description\n# wg-office description 1\n---- file /x.netdev 0644\n{strangers}"
    hosts = judged(z=heard(text), a=status.Reading(failure="gave no answer"))
    lines = list(status_report.lines(hosts))
    assert len(lines) < 200
    assert "z: and " in lines[100]
    assert lines[-1] == "a: unreachable: gave no answer"


# ---- text of an environment file ------------------------------------------------------------------------------------

HOSTILE_FILE = """\
environment: "x\\e[2J\\x9b1A"
"hub\\e]0;owned\\a": 1
network: {cidr: "[/x]\\u202e"}
developers:
  - {name: "[/red]\\e[31m", address: "\\e[8m"}
  - "\\x85"
"""


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_hostile_environment_file_leads_no_terminal(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "office.yaml").write_text(HOSTILE_FILE)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "office.yaml"), *arguments])
    assert done.exit_code == 1
    assert done.output.replace("\n", "").isprintable()
    assert r"\x1b" in done.output or r"\u001b" in done.output


@given(st.text())
def test_a_line_is_printable_and_json_says_the_same_as_before(text: str) -> None:
    assert one_line(text).isprintable()
    if not any("\ud800" <= each <= "\udfff" for each in text):
        written = json_text({"text": text})
        assert written.replace("\n", "").isprintable()
        assert json.loads(written) == {"text": text}


def test_letters_of_any_language_stay_as_they_are() -> None:
    assert one_line("办公室  Bäcker") == "办公室 Bäcker"
    assert json_text(["办公室"]) == '[\n  "办公室"\n]'
