"""The README's real deployment as a new user meets it: its commands as printed, typed into a shell, in its order, on the lab's hosts.

And those of docs/deploy.md and docs/drift.md. One deployment, in the order of this file: first with an SSH agent, then with a key file,
then with the secret key. A printed command that is nowhere typed fails the test before last, so that what the documents show is what was
run. Then the demo, as printed.
"""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from deployment import VPN, D, fresh
from typing_shell import Shell, Typed

from lab import Lab
from lab.demo import connect
from lab.trial.stack import tools

CLONE = Path(__file__).resolve().parents[2]
README, DEPLOY, DRIFT = "README.md", "docs/deploy.md", "docs/drift.md"
HOSTS = {"hub": "z", "gw-beijing": "c"}
PASSPHRASE = "a passphrase of their own"

# Code blocks that show something else than commands, by their first words.
NO_COMMANDS = ("environment: office", "jumps:", "warning: retrying", "this host belongs to", "config:", "site beijing:")

KEY_FILE = "pulumi config set sshKeyFile '~/.ssh/wg-office'"
SECRET_KEY = "pulumi config set --secret sshKey < ~/.ssh/wg-office"
PASSPHRASE_ENTERED = "read -rs PULUMI_CONFIG_PASSPHRASE && export PULUMI_CONFIG_PASSPHRASE"

# Of each pair of ways, the one that is gone later.
LATER = (KEY_FILE, SECRET_KEY)

# Commands in running text that another test runs, or that the text warns of.
ELSEWHERE = {
    "make test": "this very run",
    "make test-matrix": "some two hours, of which this file is none",
    "python -m wg_office new": "asks; tests/unit/test_cli_review.py",
    "python -m wg_office diff main": "tests/unit/test_review_document.py; the walk's copy has no commit",
    "python -m wg_office revoke alice --file configs/office.yaml": "tests/lab/test_operations.py",
    "python -m wg_office adopt": "tests/unit/test_cli_adopt.py",
    "python -m wg_office bootstrap GATEWAY --file configs/office.yaml": "tests/lab/test_bootstrap_over_ssh.py, and test_first_minute.py",
    "make clean": "would take away the clone that runs this",
    "make clean-cache": "would take away what all clones share",
    "make bench": "half an hour by itself",
    "make try FILE=configs/office.yaml": "tests/lab/test_trial_packets.py",
    "pulumi cancel": "what nobody should do",
    "pulumi refresh": "what sees nothing",
    "pulumi up --plan": "what stops",
    "pulumi up --continue-on-error": "tests/lab/test_faults_pulumi.py",
    "ssh-keyscan -t ed25519": "with its address in the README",
    "ssh-keyscan -t ed25519 NEW-ADDRESS": "the same, of a machine that is rented then",
    "pgrep -a pulumi": "looks for others' processes",
    "firewall-cmd --permanent --add-port=51820/udp": "tests/lab/firewalls.py",
    "apt-get install wireguard-tools conntrack nftables": "lab/image.py",
    "ufw allow 51820/udp": "of the host's own firewall",
}
ON_A_HOST = ("bash /etc/wg-office/current/wg-office status", "journalctl -t wg-office", "ls -l /etc/wg-office/current")


# ---- what is printed -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Printed:
    """A command of a document, without the comment behind it, and the heading it stands under."""

    document: str
    section: str
    line: str


def without_fenced(text: str) -> str:
    """A document without its fenced blocks, which show programs."""
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def blocks(document: str) -> Iterator[tuple[str, list[str]]]:
    """The indented code blocks of a document, each with its heading."""
    section, block = "", list[str]()
    for line in [*without_fenced((CLONE / document).read_text(encoding="utf-8")).splitlines(), ""]:
        if line.startswith("    "):
            block.append(line[4:])
            continue
        if block:
            yield section, block
            block = []
        if line.startswith("#"):
            section = line.lstrip("# ")


def commands(document: str) -> list[Printed]:
    """All commands in code blocks, in their order."""
    found = [(section, block) for section, block in blocks(document) if not block[0].startswith(NO_COMMANDS)]
    lines = [(section, re.sub(r"\s+#\s.*$", "", line).strip()) for section, block in found for line in block if not line.startswith("#")]
    return [Printed(document, section, line) for section, line in lines if line]


def in_running_text(document: str) -> set[str]:
    """Whole commands between backticks."""
    text = re.sub(r"(?m)^    .*$", "", without_fenced((CLONE / document).read_text(encoding="utf-8")))
    spans = re.findall(r"`([^`\n]+)`", text)
    start = r"(\w+=\S+ )?(pulumi|python -m wg_office|make|eval|ssh-keyscan|bash|journalctl|ls|firewall-cmd|ufw|apt-get|pgrep) "
    return {span for span in spans if re.match(start, span)}


def example() -> str:
    """The README's environment file."""
    (found,) = (block for _, block in blocks(README) if block[0].startswith("environment: office"))
    return "\n".join(found) + "\n"


# ---- the walk --------------------------------------------------------------------------------------------------------


@dataclass
class Walk:
    """Somebody with the documents in hand, a copy of the project, and a shell."""

    lab: Lab
    folder: Path
    shell: Shell
    substitutes: dict[str, str]
    typed: list[str] = field(default_factory=list)

    def type(self, line: str, answer: str = "", status: int = 0) -> Typed:
        """Type a printed command, or what has to stand for it here."""
        done = self.shell.type(self.substitutes.get(line, line), PASSPHRASE + "\n" if line == PASSPHRASE_ENTERED else answer)
        self.typed.append(line)
        assert done.status == status, f"{line} ended with {done.status}:\n{done.said}"
        return done

    def section(self, document: str, section: str) -> dict[str, Typed]:
        """Type all that a section prints, but for what comes later."""
        printed = [one.line for one in commands(document) if one.section == section and one.line not in LATER]
        assert printed, f"{document} prints no command under {section!r}"
        return {line: self.type(line) for line in printed}

    def write(self, old: str = "", new: str = "") -> None:
        """Edit the environment file."""
        file = self.folder / "configs" / "office.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


def copied(folder: Path) -> Path:
    """A copy of the project without anything that somebody did in the clone; the Python environment is the clone's."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CLONE, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, names):
        if (CLONE / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CLONE / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    (folder / ".venv").symlink_to(CLONE / ".venv")
    # `make venv` has nothing to do.
    for name in ("requirements.txt", "requirements-dev.txt"):
        os.utime(folder / name, (0, 0))
    return folder


def at_home(home: Path, lab: Lab) -> dict[str, str]:
    """The environment of a person at a machine that has the toolchain and nothing set: no backend, no passphrase, no .venv."""
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    shutil.copy(lab.key, home / ".ssh" / "wg-office")
    given = tools()
    plugins = Path(given.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    (home / ".pulumi").mkdir()
    (home / ".pulumi" / "plugins").symlink_to(plugins)
    path = os.pathsep.join(entry for entry in given["PATH"].split(os.pathsep) if not entry.endswith(".venv/bin"))
    left_out = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "VIRTUAL_ENV", "PYTHONPATH")
    own = {
        "HOME": str(home),
        "PATH": path,
        "PULUMI_HOME": str(home / ".pulumi"),
        "PULUMI_SKIP_CONFIRMATIONS": "true",
        "WG_OFFICE_CACHE": str(lab.settings.cache.parent),
    }
    return {**{name: value for name, value in given.items() if name not in left_out}, **own}


def substituted(lab: Lab, backend: Path) -> dict[str, str]:
    """What cannot be done here as it is printed, and what is done instead: addresses of documentation, a bucket, and slow hosts."""
    ask = "ssh-keyscan -t ed25519 -p {} 127.0.0.1 >> configs/office.known_hosts"
    on_the_hub = "ssh-keygen -yf /etc/ssh/ssh_host_ed25519_key | ssh-keygen -lf -"
    asking = [one.line for one in commands(DRIFT) if re.search(r"wg_office (status|repair)", one.line)]
    return {
        "pulumi login s3://example-pulumi-state": f"pulumi login file://{backend}",
        "ssh-keyscan -t ed25519 203.0.113.10 >> configs/office.known_hosts": ask.format(lab.port("z")),
        "ssh-keyscan -t ed25519 -p 2222 198.51.100.7 >> configs/office.known_hosts": ask.format(lab.port("c")),
        "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub": shlex.join([*lab.ssh_command("z"), on_the_hub]),
        # Emulated hosts beside other tests answer more slowly than real ones.
        **{line: line.replace("configs/office.yaml", "configs/office.yaml --timeout 200") for line in asking},
    }


@pytest.fixture(scope="module")
def agent(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of an SSH agent that holds the operator's key."""
    socket = tmp_path_factory.mktemp("agent") / "socket"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as process:
        try:
            add = ["ssh-add", "-q", str(lab.key)]
            while subprocess.run(add, env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, check=False, capture_output=True).returncode:
                assert process.poll() is None
            yield socket
        finally:
            process.terminate()


@contextmanager
def walking(lab: Lab, scratch: Path, **environment: str) -> Iterator[Walk]:
    """Somebody in front of hosts that are as new."""
    fresh(lab)
    (scratch / "backend").mkdir()
    folder = copied(scratch / "wg-office")
    shell = Shell(folder, {**at_home(scratch / "home", lab), **environment}, scratch)
    try:
        yield Walk(lab, folder, shell, substituted(lab, scratch / "backend"))
    finally:
        shell.close()


@pytest.fixture(scope="module")
def walk(lab: Lab, agent: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The hosts as new, and a person in front of the README's third part."""
    with walking(lab, tmp_path_factory.mktemp("walk"), SSH_AUTH_SOCK=str(agent)) as walk:
        yield walk


# ---- the README, with an agent ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(walk: Walk) -> Walk:
    """Steps 1 to 3: the machine, the state's place, the environment file."""
    walk.section(README, "1. Your machine")
    walk.section(README, "2. Where the state lives")
    text = example().replace("{host: 203.0.113.10}", f"{{host: 127.0.0.1, port: {walk.lab.port('z')}}}")
    text = text.replace("{host: 198.51.100.7, port: 2222}", f"{{host: 127.0.0.1, port: {walk.lab.port('c')}}}")
    # Emulated hosts take longer over a change than real ones are given to confirm it.
    text = text.replace("{cidr: 10.70.0.0/16}", "{cidr: 10.70.0.0/16, rollback_after: 600}")
    (walk.folder / "configs" / "office.yaml").write_text(text)
    return walk


def test_the_example_is_checked_and_shown_as_the_readme_says(prepared: Walk) -> None:
    said = prepared.section(README, "3. The environment file")
    here, there = (said[f"ssh-keygen -lf {file}"].said for file in ("configs/office.known_hosts", "/etc/ssh/ssh_host_ed25519_key.pub"))
    assert re.findall(r"SHA256:\S+", there)[0] in here
    assert "office is fine" in said["python -m wg_office check configs/office.yaml"].said
    assert "==> gw-beijing: " in said["python -m wg_office render configs/office.yaml"].said


@pytest.fixture(scope="module")
def deployed(prepared: Walk) -> dict[str, Typed]:
    """Steps 4 and 5, with the agent: no key is set."""
    prepared.section(README, "4. The stack")
    return prepared.section(README, "5. Preview, then up")


def test_the_first_up_works_with_the_agent(deployed: dict[str, Typed]) -> None:
    said = deployed["pulumi up"].said
    assert "warning: retrying create due to on-error hook request (1/100)" in said
    assert "10.70.0.0/16" in deployed["pulumi stack output by_hand"].said


def test_a_developer_with_the_file_reaches_a_device(prepared: Walk, deployed: dict[str, Typed]) -> None:
    prepared.section(README, "6. Give the developers their files")
    conf, page, pages = (prepared.folder / name for name in ("office.conf", "handout-office-alice.html", "handout-office"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in (conf, page, pages)] == [0o600, 0o600, 0o700]
    prepared.lab.exec("r2", ["ip", "route", "replace", VPN, "via", "192.168.200.248"])
    connect(prepared.lab, "e", conf.read_text())
    prepared.lab.exec("e", ["timeout", "240", "sh", "-c", f"until ping -n -c1 -W3 {D}; do :; done"], timeout=300)


def test_git_is_offered_what_the_readme_has_one_commit_and_nothing_else(prepared: Walk, deployed: dict[str, Typed]) -> None:
    seen = subprocess.run(["git", "status", "--porcelain"], cwd=prepared.folder, check=True, capture_output=True, text=True).stdout
    offered = [line.removeprefix("?? ") for line in seen.splitlines() if line.startswith("??")]
    assert offered == [".venv", "Pulumi.office.yaml", "configs/office.known_hosts", "configs/office.yaml"]
    assert PASSPHRASE not in (prepared.folder / "Pulumi.office.yaml").read_text()


def test_the_readmes_other_settings_are_taken(prepared: Walk, deployed: dict[str, Typed]) -> None:
    shutil.copy(prepared.folder / "configs" / "office.yaml", prepared.folder / "configs" / "other.yaml")
    prepared.type("pulumi config set environment configs/other.yaml")
    prepared.type("pulumi config set --secret --path 'privateKeys.hub'", answer="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n")
    assert "unchanged" in prepared.type("pulumi preview").said
    prepared.type("pulumi config rm environment")


# ---- docs/drift.md ---------------------------------------------------------------------------------------------------


def test_the_drift_page_finds_and_repairs_what_somebody_did(prepared: Walk, deployed: dict[str, Typed]) -> None:
    prepared.lab.exec("c", ["sysctl", "-qw", "net.ipv4.ip_forward=0"])
    status, as_json, repair, cron = (one.line for one in commands(DRIFT))
    assert "gw-beijing: drift: sysctl net.ipv4.ip_forward is 0, not 1" in prepared.type(status, status=4).said
    assert json.loads(prepared.type(as_json, status=4).said)["state"] == "drift"
    assert "repairs gw-beijing" in prepared.type(repair).said
    assert "the office needs a look" in prepared.type(cron).said
    said = prepared.type("pulumi up").said
    assert "gw-beijing-state updated" in said
    assert "hub-state updated" not in said
    prepared.type(status)


# ---- the other two logins --------------------------------------------------------------------------------------------


def test_a_key_file_is_as_good_as_the_agent(prepared: Walk, deployed: dict[str, Typed]) -> None:
    prepared.shell.type("unset SSH_AUTH_SOCK")
    prepared.type(KEY_FILE)
    assert "sshKeyFile: ~/.ssh/wg-office" in (prepared.folder / "Pulumi.office.yaml").read_text()
    prepared.write("ports: [22/tcp, 443/tcp]", "ports: [22/tcp]")
    said = prepared.type("PULUMI_SKIP_CHECKPOINTS=true pulumi up").said
    assert {name for name in HOSTS if f"{name}-state updated" in said} == set(HOSTS)
    prepared.type("python -m wg_office status configs/office.yaml")


def test_a_secret_key_is_taken_without_being_shown_and_both_at_once_are_refused(prepared: Walk, deployed: dict[str, Typed]) -> None:
    """The checklist's `up` is the first one that logs in with it."""
    prepared.type(SECRET_KEY)
    assert "sshKey and sshKeyFile are both set" in prepared.type("pulumi preview", status=1).said
    prepared.type("pulumi config rm sshKeyFile")
    said = prepared.type("pulumi preview").said
    key = (prepared.folder.parent / "home" / ".ssh" / "wg-office").read_text().splitlines()[2]
    assert key not in said + (prepared.folder / "Pulumi.office.yaml").read_text()


# ---- docs/deploy.md, and away ----------------------------------------------------------------------------------------


def test_the_checklist_for_each_change_works(prepared: Walk, deployed: dict[str, Typed]) -> None:
    for line in sorted(in_running_text(DEPLOY)):
        if line.startswith("python -m wg_office") and "status" not in line.split() and line not in ELSEWHERE:
            prepared.type(line)
    said = prepared.section(DEPLOY, "Each change")["pulumi up --stack office"].said
    assert {name for name in HOSTS if f"{name}-state updated" in said} == set(HOSTS)


def test_what_the_checklist_has_one_look_at_on_a_host_is_there(prepared: Walk, deployed: dict[str, Typed]) -> None:
    for line in ON_A_HOST:
        assert prepared.lab.exec("z", ["sh", "-c", line], check=False).stdout, line
        prepared.typed.append(line)


def test_a_host_that_is_gone_for_good_is_taken_out_of_the_state(prepared: Walk, deployed: dict[str, Typed]) -> None:
    show, *delete = (one.line for one in commands(DEPLOY) if one.section == "A host is gone for good")
    urns = re.findall(r"urn:\S+", prepared.type(show).said)
    for line in delete:
        (kind,) = re.findall(r"URN of NAME(-\w+)", line)
        (urn,) = (urn for urn in urns if urn.endswith(f"Command::gw-beijing{kind}"))
        prepared.substitutes[line] = line.replace(f"URN of NAME{kind}", urn)
        prepared.type(line)


def test_destroy_takes_the_rest_away(prepared: Walk, deployed: dict[str, Typed]) -> None:
    assert "hub-state deleted" in prepared.type("pulumi destroy").said
    assert prepared.lab.exec("z", ["test", "-e", "/etc/wg-office"], check=False).returncode
    prepared.type("pulumi stack rm office")


def test_every_command_of_the_documents_was_typed(prepared: Walk) -> None:
    demo = {one.line for one in commands(README) if one.section == "Two commands"}
    printed = {one.line for document in (README, DEPLOY, DRIFT) for one in commands(document)} - demo
    spans = {span for document in (README, DEPLOY, DRIFT) for span in in_running_text(document)}
    assert ELSEWHERE.keys() - printed - spans - demo == set()
    known = [*prepared.typed, *ELSEWHERE, *demo]
    assert [line for line in sorted(printed | spans) if not any(typed.startswith(line) for typed in known)] == []


# ---- the demo --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Typed]]:
    """The README's first two blocks, in a copy that has this clone's lab for its own, at its ports."""
    with walking(lab, tmp_path_factory.mktemp("demo")) as walk:
        (walk.folder / ".state").mkdir()
        (walk.folder / ".state" / lab.settings.state.name).symlink_to(lab.settings.state)
        for name in ("configs/dev.yaml", "lab/settings.py"):
            file = walk.folder / name
            file.write_text(re.sub(r"\b22(0\d\d)\b", lambda port: str(lab.settings.port_base + int(port[1])), file.read_text()))
        yield {one.line: walk.type(one.line) for one in commands(README) if one.section == "Two commands" and one.line not in ELSEWHERE}


def test_the_demo_ends_with_es_ping_of_d(demo: dict[str, Typed]) -> None:
    assert "developer e, at home behind NAT, reaches device d in the office behind NAT" in demo["make demo"].said


def test_the_demos_network_can_be_played_with(demo: dict[str, Typed]) -> None:
    assert "unchanged" in demo["pulumi up"].said
    assert "PrivateKey = " in demo["pulumi stack output dev_e_conf --show-secrets"].said
    assert "0 received" not in demo["python -m lab exec e -- ping -c 3 192.168.200.244"].said
    assert "interface: wg0" in demo["python -m lab exec z -- wg show"].said
