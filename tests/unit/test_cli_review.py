"""`diff`, `diagram`, `new`, and what `check` says of what lies around a file: in a clone with a past, and outside of any."""

import json
import operator
import subprocess
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_review_difference import OFFICE, developers
from typer.testing import CliRunner

from wg_office.commands.cli import app
from wg_office.commands.review import CHANGED, NO_BASE

FILE = Path("configs/office.yaml")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA5++BQ3Q6b1xTXftLLYGzq6JmeQEQXrv3TMUitrytwl"
Git = Callable[..., str]


def run(*arguments: str | Path, typed: str | None = None) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=typed)


def write(file: Path = FILE, **changes: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(OFFICE | changes, sort_keys=False))


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A repository in which we are, with the office in its first commit, on main."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")

    def command(*words: str) -> str:
        own = ["-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *own, *words], check=True, capture_output=True, text=True).stdout

    command("init", "-q", "-b", "main")
    write()
    commit(command)
    return command


def commit(git: Git) -> None:
    git("add", "-A")
    git("commit", "-q", "-m", "x")


# --- diff ------------------------------------------------------------------------------------------------------------------------------


def test_the_working_tree_is_compared_with_a_revision(git: Git) -> None:
    write(developers=developers(e=None))
    result = run("diff", "main")
    assert result.exit_code == 0
    assert "e goes: 10.70.0.4" in result.stdout
    assert run("diff", "HEAD", "--exit-code").exit_code == CHANGED


def test_two_revisions_are_compared_whatever_lies_in_the_working_tree(git: Git) -> None:
    git("checkout", "-q", "-b", "topic")
    write(developers=developers(e=None))
    commit(git)
    FILE.unlink()
    assert "e goes: 10.70.0.4" in run("diff", "main", "topic").stdout
    assert "e comes: 10.70.0.4" in run("diff", "topic", "main").stdout
    FILE.parent.rmdir()
    assert "e goes: 10.70.0.4" in run("diff", "main", "topic", "--file", FILE).stdout


def test_two_files_are_compared_without_git(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    write(one)
    write(other, developers=developers(e=None))
    assert "e goes: 10.70.0.4" in run("diff", one, other).stdout


def test_a_file_of_a_revision_is_compared_with_one_of_another_name(git: Git) -> None:
    git("mv", str(FILE), "configs/new.yaml")
    write(Path("configs/new.yaml"), developers=developers(e=None))
    assert "e goes: 10.70.0.4" in run("diff", f"main:{FILE}", "configs/new.yaml").stdout


def test_where_we_are_in_the_clone_does_not_matter(git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(developers=developers(e=None))
    monkeypatch.chdir("configs")
    assert "e goes: 10.70.0.4" in run("diff", "main", "--file", "office.yaml").stdout
    monkeypatch.chdir(tmp_path)
    assert "e goes: 10.70.0.4" in run("diff", "main", "--file", tmp_path / "clone" / FILE).stdout


def test_nothing_is_one_line(git: Git) -> None:
    for words in (["diff", "main"], ["diff", "main", "--file", str(FILE)], ["diff", "main", "--format", "markdown"]):
        assert run(*words).stdout == "office: nothing changes for anybody, and no host is touched\n"
    write(Path("configs/other.yaml"))
    commit(git)
    assert run("diff", "main", "--exit-code").stdout == "nothing changes in any environment of configs/\n"


def test_only_files_that_differ_are_told_unless_one_is_named(git: Git) -> None:
    write(Path("configs/other.yaml"), environment="other")
    result = run("diff", "main", "--format", "json")
    (told,) = json.loads(result.stdout)
    assert (told["file"], told["before"], told["after"]) == ("configs/other.yaml", "nothing", "other")


def test_the_marker_is_the_first_line_of_markdown(git: Git) -> None:
    write(developers=developers(e=None))
    told = run("diff", "main", "--format", "markdown", "--marker", "wg-office-diff").stdout
    assert told.startswith("<!-- wg-office-diff -->\n### wg-office: ")


def faulty(*edits: tuple[str, str]) -> None:
    for old, new in edits:
        assert old in FILE.read_text()
        FILE.write_text(FILE.read_text().replace(old, new))


def test_what_is_faulty_in_the_base_is_named_and_the_rest_is_compared(git: Git) -> None:
    faulty(("10.70.0.4", "10.71.0.4"))
    commit(git)
    write(developers=developers(f={"rotation": 2}))
    result = run("diff", "HEAD")
    assert result.exit_code == 0
    noted = result.stderr.splitlines()
    assert noted[0] == "HEAD:configs/office.yaml has faults, and what they concern is not compared:"
    assert noted[1].startswith("HEAD:configs/office.yaml:")
    assert "10.71.0.4" in noted[1]
    assert "f changes: rotation: 1 -> 2" in result.stdout
    assert "e comes: 10.70.0.4" in result.stdout
    assert (
        "> HEAD:configs/office.yaml has faults, and what they concern is not compared:"
        in run("diff", "HEAD", "--format", "markdown").stdout
    )
    (told,) = json.loads(run("diff", "HEAD", "--format", "json").stdout)
    assert "10.71.0.4" in told["base_faults"][0]["message"]


FAULTS: list[tuple[tuple[str, str], ...]] = [
    (("site: shenzhen", "site: beijing"),),
    (("name: c\n", "name: a\n"),),
    (("  staff:\n", "  staff: 5\n  other:\n"),),
    (("- shenzhen\n", "- shenzen\n"), ("10.70.0.5", "10.70.0.4")),
    (("environment: office\n", "environment: office\ncolour: red\n"),),
    (("name: f\n", "name: f\n  name: g\n"),),
    (("  - beijing\n", "  - {site: beijing, ports: [http]}\n"),),
    (("192.168.200.248", "192.168.7.1"),),
    (("environment: office\n", "environment: office\nexpect: [{who: x, reaches: beijing}]\npolicy: {widest_grant: 1}\n"),),
]


@pytest.mark.parametrize("edits", FAULTS, ids=str)
def test_whatever_is_faulty_in_the_base_its_mending_can_be_reviewed(git: Git, edits: tuple[tuple[str, str], ...]) -> None:
    faulty(*edits)
    commit(git)
    write()
    result = run("diff", "HEAD")
    assert (result.exit_code, result.exception is None or isinstance(result.exception, SystemExit)) == (0, True), result.output
    assert result.stdout.startswith("office: ")
    assert run("diff", "HEAD~1", "HEAD").exit_code == 1, "faults of the new file are faults"


@pytest.mark.parametrize("text", ["environment: [", "", "- a\n", "environment: office\n", "\x00"])
def test_a_base_of_which_nothing_is_left_has_a_status_of_its_own(git: Git, text: str) -> None:
    FILE.write_text(text)
    commit(git)
    write()
    result = run("diff", "HEAD")
    assert (result.exit_code, result.stdout) == (NO_BASE, "")
    *faults, last = result.stderr.splitlines()
    assert all(line.startswith("HEAD:configs/office.yaml") for line in faults)
    assert last.startswith("HEAD:configs/office.yaml: too little of it can be read to say what changes; name a base that `check` accepts: ")


def test_a_file_with_faults_leaves_the_others_to_be_told(git: Git) -> None:
    write(Path("configs/other.yaml"), environment="other")
    commit(git)
    write(Path("configs/other.yaml"), environment="other", developers=developers(e=None))
    faulty(("10.70.0.4", "10.71.0.4"))
    result = run("diff", "HEAD")
    assert result.exit_code == 1
    assert "configs/office.yaml:" in result.stderr
    assert "e goes: 10.70.0.4" in result.stdout


@pytest.mark.parametrize("shape", ["table", "markdown"])
def test_what_cannot_be_read_is_not_said_to_be_unchanged(git: Git, shape: str) -> None:
    for name in ("other", "third"):
        write(Path(f"configs/{name}.yaml"), environment=name)
    commit(git)
    faulty(("10.70.0.4", "10.71.0.4"))
    result = run("diff", "HEAD", "--format", shape)
    assert (result.exit_code, result.stdout) == (1, "nothing changes in the environments of configs/ that can be read\n")


def test_links_in_the_folder_are_followed_and_those_that_lead_nowhere_are_no_files(git: Git) -> None:
    Path("environments").mkdir()
    git("mv", str(FILE), "environments/office.yaml")
    FILE.symlink_to("../environments/office.yaml")
    # As an editor leaves it while a file is open, and links that lead out of the repository, to a folder and to themselves.
    for name, target in ((".#office", "me@host.1:2"), ("out", "/nowhere/at.yaml"), ("folder", "../environments"), ("self", "self.yaml")):
        Path(f"configs/{name}.yaml").symlink_to(target)
    Path("environments/office.known_hosts").write_text("")
    Path("configs/keys").symlink_to("../environments/office.known_hosts")
    commit(git)
    write(Path("environments/office.yaml"), developers=developers(e=None))
    assert "e goes: 10.70.0.4" in run("diff", "HEAD").stdout
    assert "e goes: 10.70.0.4" in run("diff", "HEAD", "--file", FILE).stdout
    commit(git)
    assert "e goes: 10.70.0.4" in run("diff", "HEAD~1", "HEAD").stdout
    assert "e goes: 10.70.0.4" in run("diff", "HEAD~2", "HEAD").stdout, "a link took a file's place"


def test_the_files_of_a_revision_have_their_host_keys_beside_them(git: Git) -> None:
    write(known_hosts="office.known_hosts")
    Path("configs/office.known_hosts").write_text(f"203.0.113.10 {KEY}\n")
    commit(git)
    Path("configs/office.known_hosts").write_text(f"203.0.113.10 {KEY[:-5]}AAAAA\n")
    assert "z, hub: the way to it" in run("diff", "main").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "nowhere is neither a file nor a git revision; name a file, a branch, a tag or a commit"),
        (["--", "--help"], "--help is no git revision; name a branch, a tag or a commit"),
        ([""], "'' names no revision; name a file, a branch"),
        ([f":{FILE}"], "':configs/office.yaml' names no revision; name a file, a branch"),
        (["main:configs/none.yaml"], "main has no configs/none.yaml; "),
        (["main", "--file", "configs/none.yaml"], "configs/none.yaml is on neither side; name an environment file"),
        ([str(FILE)], "configs/office.yaml is a file: name the other one too"),
        (["main", "--allow", "everything"], "--allow everything: there is no such guard; there are protected, removals"),
    ],
    ids=str,
)
def test_what_is_not_there_is_named_with_a_remedy(git: Git, words: list[str], told: str) -> None:
    result = run("diff", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(told)
    assert result.stderr.count("\n") == 1


def test_outside_of_git_two_files_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write()
    result = run("diff", "main")
    assert (result.exit_code, result.stderr) == (2, f"{tmp_path / 'configs'} is in no git repository; name two files instead\n")


def test_a_shallow_clone_says_that_it_is_one(git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(network=OFFICE["network"] | {"mtu": 1300})
    pin()
    commit(git)
    git("clone", "-q", "--depth", "1", f"file://{Path.cwd()}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    result = run("diff", "HEAD~1")
    assert result.exit_code == 2
    assert result.stderr.startswith("HEAD~1 is neither a file nor a git revision; this clone is shallow: `git fetch --unshallow`")
    assert "this clone is shallow, so whose an address was cannot be seen here" in run("check", FILE).stderr


# --- guards ----------------------------------------------------------------------------------------------------------------------------


def test_a_broken_guard_is_printed_with_its_line_and_the_way_past_it(git: Git) -> None:
    write(policy={"protected": {"developers": ["e"]}})
    commit(git)
    line = FILE.read_text().splitlines().index("    - e") + 1
    write(developers=developers(e=None))
    result = run("diff", "main")
    assert result.exit_code == 1
    assert "e goes: 10.70.0.4" in result.stdout
    told = f"main:configs/office.yaml:{line} policy.protected.developers[0]: developer e goes, and is protected"
    assert result.stderr == f"{told}; split the change, or let this one run pass: --allow protected\n"
    allowed = run("diff", "main", "--allow", "protected", "--format", "markdown")
    assert allowed.exit_code == 0
    assert f"> allowed for this run: {told.replace('[', chr(92) + '[').replace(']', chr(92) + ']')}\n" in allowed.stdout


def test_a_mass_removal_is_refused_by_default_and_says_so_in_every_format(git: Git) -> None:
    write(developers=[])
    for shape in ("table", "markdown", "json"):
        result = run("diff", "main", "--format", shape)
        assert result.exit_code == 1
        assert "10 of 13 peers go at once" in result.output
    assert "--allow removals, and WG_OFFICE_ALLOW=removals for `pulumi up`" in run("diff", "main").stderr
    (told,) = json.loads(run("diff", "main", "--format", "json", "--allow", "removals").stdout)
    assert [(guard["rule"], guard["allowed"]) for guard in told["guards"]] == [("removals", True)]


# --- diagram ---------------------------------------------------------------------------------------------------------------------------


def test_a_picture_is_drawn_and_so_is_a_change(git: Git) -> None:
    write(developers=developers(e=None))
    assert run("diagram", FILE).stdout.startswith("<svg ")
    assert run("diagram", FILE, "--format", "mermaid").stdout.startswith("flowchart LR\n")
    assert '"text loss"' in run("diagram", FILE, "--before", "main").stdout
    assert '"text loss"' not in run("diagram", FILE).stdout
    assert run("diagram", FILE, "--before", "nowhere").exit_code == 2
    assert run("diagram", FILE, "--before", f":{FILE}").stderr.startswith(f"':{FILE}' names no revision")
    assert run("diagram", "configs/none.yaml").exit_code == 2


# --- new -------------------------------------------------------------------------------------------------------------------------------

ANSWERS = {
    "--environment": "home",
    "--endpoint": "203.0.113.77",
    "--site": "beijing",
    "--lan": "192.168.200.0/24",
    "--lan-address": "192.168.200.248",
    "--gateway-ssh": "ops@198.51.100.7:2222",
    "--developer": "alice",
}


def flags(**changed: str) -> list[str]:
    return [word for name, value in (ANSWERS | {f"--{name}": value for name, value in changed.items()}).items() for word in (name, value)]


@pytest.mark.parametrize("asked", [True, False])
def test_a_new_file_is_accepted_and_the_next_commands_are_named(git: Git, asked: bool) -> None:
    result = run("new", typed="".join(f"{answer}\n" for answer in ANSWERS.values())) if asked else run("new", *flags())
    assert result.exit_code == 0, result.output
    assert "home is fine: hub hub, 1 gateway (gw-beijing at beijing), 1 developer (alice)" in result.stdout
    assert "    ssh-keyscan -t ed25519 -p 2222 198.51.100.7 >> configs/home.known_hosts\n" in result.stdout
    assert result.stdout.endswith("    python -m wg_office access configs/home.yaml\n")
    assert "10.71.0.0/16" in Path("configs/home.yaml").read_text(), "10.70.0.0/16 is the office's"
    assert "warning" not in result.stderr


def test_a_file_that_is_there_is_not_written_over(git: Git) -> None:
    was = FILE.read_text()
    result = run("new", *flags(environment="office"))
    assert (result.exit_code, result.stderr) == (
        2,
        "configs/office.yaml is there already; name another file with --out, or edit it\n",
    )
    assert FILE.read_text() == was


@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        ({"lan": "192.168.200.7/24"}, 2, "--lan: 192.168.200.7/24 has host bits set; the prefix it lies in is 192.168.200.0/24\n"),
        ({"lan": "192.168.200.7"}, 2, "--lan: '192.168.200.7' is no IPv4 prefix without its length; write it like 192.168.200.7/32"),
        ({"lan": "2001:db8:5::/64"}, 2, "--lan: 2001:db8:5::/64 is IPv6, and the first LAN here is IPv4; answer with that"),
        ({"developer": "hub"}, 1, "--developer: hub is already the name of a hub; every name is used once\n"),
        ({"site": "Büro"}, 1, "--site: 'Büro' is no valid name; use lowercase letters"),
        ({"environment": "../home"}, 2, "../home: is no name for a file"),
        ({"environment": ""}, 2, "an empty text: is no name for a file"),
        ({"out": "nowhere/home.yaml"}, 2, "nowhere/home.yaml cannot be written: No such file or directory"),
        ({"developer": "Alice Smith"}, 1, "--developer: "),
        ({"developer": "李雷"}, 1, "--developer: "),
        ({"developer": 'a"b: {c} # d'}, 1, "--developer: "),
        ({"developer": "- x"}, 1, "--developer: "),
        ({"developer": "a\nb"}, 1, "--developer: "),
        ({"site": "[bei'jing"}, 1, "--site: "),
        ({"lan-address": "192.168.1.1"}, 1, "--lan-address: "),
        ({"gateway-ssh": "not a: host"}, 1, "--gateway-ssh: "),
        ({"gateway-ssh": "x@y@z"}, 1, "--gateway-ssh: "),
        ({"hub-ssh": "{}"}, 1, "--hub-ssh: "),
        ({"endpoint": "http://x"}, 1, "--endpoint: "),
        ({"environment": "a: b"}, 1, "--environment: "),
        ({"environment": "a\nb"}, 2, "a b: is no name for a file"),
        ({"platform": "beos"}, 1, "--platform: "),
        ({"return-path": "#"}, 1, "--return-path: "),
    ],
    ids=str,
)
def test_a_wrong_answer_is_named_and_nothing_is_left_behind(git: Git, changed: dict[str, str], status: int, told: str) -> None:
    result = run("new", *flags(**changed))
    assert (result.exit_code, result.stderr.startswith(told)) == (status, True), result.stderr
    assert "Traceback" not in result.output
    assert len(set(result.stderr.splitlines())) == len(result.stderr.splitlines())
    assert all(line.startswith((told.partition(" ")[0], "nothing has been written")) for line in result.stderr.splitlines())
    assert [file.name for file in FILE.parent.iterdir()] == ["office.yaml"]


def test_what_needs_quotes_gets_them(git: Git) -> None:
    given = {
        "developer": "true",
        "site": "null",
        "gateway-ssh": "null@198.51.100.7",
        "endpoint": " [2001:db8::1]:443 ",
        "lan": " 192.168.200.0/24",
    }
    result = run("new", *flags(**given))
    assert result.exit_code == 0, result.output
    made = yaml.safe_load(Path("configs/home.yaml").read_text())
    assert (made["developers"][0]["name"], made["gateways"][0]["site"], made["gateways"][0]["ssh"]["user"]) == ("true", "null", "null")


# --- what lies around a file -------------------------------------------------------------------------------------------------------------


def pin() -> None:
    """`check` wants host keys."""
    Path("configs/keys").write_text("".join(f"{host} {KEY}\n" for host in ("203.0.113.10", "198.51.100.1", "198.51.100.2")))
    FILE.write_text(f"known_hosts: keys\n{FILE.read_text()}")


def shared(**changes: Any) -> list[str]:
    write(Path("configs/other.yaml"), **changes)
    pin()
    lines: list[str] = run("check", FILE).stderr.splitlines()
    return lines


THEIRS = {"name": "z", "address": "10.71.0.1", "endpoint": "203.0.113.9:51820", "ssh": {"host": "203.0.113.9"}}
ELSEWHERE: dict[str, Any] = {"environment": "other", "network": {"cidr": "10.71.0.0/16"}, "hub": THEIRS} | {
    "gateways": [],
    "developers": [],
    "groups": {},
}
"""Another environment of the folder, which shares nothing with the office."""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"environment": "office"}, "environment: office is also the environment of configs/other.yaml; "),
        ({"hub": THEIRS | {"endpoint": "203.0.113.10:51820"}}, "hub.endpoint: 203.0.113.10:51820 is also the endpoint in configs/"),
        ({"hub": THEIRS | {"ssh": {"host": "203.0.113.10"}}}, "hub.ssh.host: z is the machine that configs/other.yaml calls z; "),
        (
            {"network": OFFICE["network"], "hub": THEIRS | {"address": "10.70.0.1"}},
            "network.cidr: 10.70.0.0/16 overlaps 10.70.0.0/16, the VPN of configs/other.yaml; ",
        ),
    ],
    ids=["name", "endpoint", "machine", "addresses"],
)
def test_check_warns_of_what_two_environments_share(git: Git, changes: dict[str, Any], told: str) -> None:
    (line,) = shared(**(ELSEWHERE | changes))
    assert told in line


def test_environments_that_share_nothing_are_not_warned_of(git: Git) -> None:
    assert shared(**ELSEWHERE) == []


def test_a_copy_is_one_line(git: Git) -> None:
    (line,) = shared()
    assert "environment: configs/other.yaml has the same environment office, endpoint 203.0.113.10:51820, machine z, machine a, " in line
    assert line.endswith(
        "machine c, addresses 10.70.0.0/16; a copy belongs outside of this folder; "
        "two networks have names, hubs, machines and addresses of their own"
    )


def test_check_leaves_faults_of_other_files_to_their_own_check(git: Git) -> None:
    Path("configs/broken.yaml").write_text("environment: [")
    pin()
    result = run("check", FILE)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("place", "owner"),
    [
        (("hub",), "the hub"),
        (("gateways", 1), "the gateway of beijing"),
        (("developers", 0), "e"),
    ],
)
def test_whoever_had_it_an_address_is_not_given_to_somebody_else_at_once(git: Git, place: tuple[str | int, ...], owner: str) -> None:
    """By the moves of a developer, a gateway and the hub, to which f then moves."""
    data = yaml.safe_load(FILE.read_text())
    entry = reduce(operator.getitem, place, data)
    old, entry["address"] = entry["address"], "10.70.0.99"
    data["developers"][1]["address"] = old
    FILE.write_text(yaml.safe_dump(data))
    pin()
    told = run("check", FILE).stderr
    assert f"{old} was {owner}'s until today; choose another one" in told


def test_a_gateway_that_takes_anothers_place_keeps_its_address(git: Git) -> None:
    text = FILE.read_text()
    assert text.count("name: c\n") == 1
    FILE.write_text(text.replace("name: c\n", "name: c2\n"))
    pin()
    assert "until" not in run("check", FILE).stderr


def test_an_ipv6_address_that_was_anothers_is_warned_of_too(git: Git) -> None:
    def with_address6(first: str, second: str) -> None:
        data = yaml.safe_load(FILE.read_text())
        data["network"]["cidr6"] = "fd70::/64"
        data["developers"][0]["address6"], data["developers"][1]["address6"] = first, second
        FILE.write_text(yaml.safe_dump(data))

    with_address6("fd70::a", "fd70::b")
    commit(git)
    with_address6("fd70::c", "fd70::a")
    pin()
    assert "fd70::a was e's until today" in run("check", FILE).stderr


def test_an_address_that_was_anothers_until_lately_is_warned_of(git: Git) -> None:
    write(developers=developers(e=None))
    commit(git)
    write(developers=developers(e=None, more=[{"name": "g", "address": "10.70.0.4", "access": ["beijing"]}]))
    pin()
    told = run("check", FILE).stderr
    assert "10.70.0.4 was e's until " in told
    write(developers=developers(e=None, more=[{"name": "g", "address": "10.70.0.40", "access": ["beijing"]}]))
    pin()
    assert run("check", FILE).stderr == ""
