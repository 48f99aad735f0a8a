"""The command `bootstrap`: prepares the hub, prints the script for the person on site, and waits for the machine.

Room: commands.
"""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from pydantic import ValidationError

from wg_office.commands.terminal import (
    FAULTY,
    UNREACHABLE,
    EnvironmentOption,
    KeyFile,
    StackName,
    create,
    environment_of,
    refuse_existing,
    stop,
)
from wg_office.environment.fields import fingerprint
from wg_office.environment.known_hosts import KnownHosts, line_of
from wg_office.environment.model import Environment, Gateway, Ssh
from wg_office.reading.new import ssh_fields
from wg_office.text.printable import json_text, one_line

if TYPE_CHECKING:
    from wg_office.asking.bootstrap import Invitation, OneTimeKey, Prepared, Waited
    from wg_office.asking.dial import Question
    from wg_office.asking.status import Reading

NOBODY_CAME = 4
"""Nobody has used the script in its time, or another has taken its place."""

ASK_SECONDS = 50
"""How long the hub waits for somebody before it says that nobody has come; each time is a line on the terminal."""

BETWEEN = 5.0
"""Seconds between two attempts where a connection fails."""

_WHERE = "HOST[:PORT]"
Name = Annotated[str, typer.Argument(help="A gateway of the file", metavar="NAME", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Where the script goes, for you alone; left out: stdout", metavar="FILE", show_default=False),
]
_HUB = "Where the machine on site reaches the hub's sshd, if that is elsewhere than for you"
AtHub = Annotated[str | None, typer.Option("--hub", help=_HUB, metavar=_WHERE, show_default=False)]
_ALSO = "A file of public keys that are let in on the gateway besides yours: colleagues', CI's"
Also = Annotated[list[Path] | None, typer.Option("--authorize", help=_ALSO, metavar="FILE.pub", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait", help="No new script: go on waiting for whoever has the last one")]


def bootstrap(
    file: EnvironmentOption,
    name: Name,
    out: Out = None,
    hub: AtHub = None,
    authorize: Also = None,
    wait: Wait = False,
    key: KeyFile = None,
    timeout: Annotated[float, typer.Option(help="Seconds that a host may take to answer", min=1)] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object on stdout; needs --out")] = False,
    stack: StackName = None,
) -> None:
    """A gateway's first minute, where nobody can dial it: a script for the person on site, and its host key, pinned, for you.

    The script is pasted as root on the new machine. It dials the hub, through whatever NAT there is, says the machine's host key, and lets
    you in that way with your SSH key. This command waits for that, and writes the host key into the environment's known_hosts file; the
    person on site sees the same fingerprint. Then `pulumi up` sets the gateway up, and the way ends by itself once the tunnel stands.

    The script can be used once, within an hour; it holds a secret until then. What it changes where stands in its first lines. On the hub
    there is a line in authorized_keys, and something in /run, and a timer takes both away. A new script ends an earlier one for the same
    gateway. After Ctrl-C, --wait goes on waiting.

    Exit status: 0 the gateway answers, and its key is pinned; 4 nobody used the script; 5 the hub or the gateway could not be reached. As
    everywhere, 1 is for faults of the file or of known_hosts, and 2 for wrong usage, or where you have no key to log in with.
    docs/operations.md has more.

    Example: python -m wg_office bootstrap a --file configs/office.yaml

    Example: python -m wg_office bootstrap a --file configs/office.yaml --out first-minute.sh --authorize colleagues.pub
    """
    _refuse_out(out, wait=wait, as_json=as_json)
    first = first_contact(file, environment_of(file), name, hub, key, timeout, stack)
    given = _given_keys(authorize or [])
    if not wait:
        _refuse_reachable(first)
        _hand_over(invite(first, given), out)
    _end(first, _whoever_comes(first), out, as_json=as_json)


@dataclass(frozen=True)
class FirstContact:
    """Whom it is about, the ways to hub and gateway, and how to ask them."""

    file: Path
    environment: Environment
    gateway: Gateway
    hub: Ssh
    """Where the machine on site dials it."""
    way: Ssh
    key: Path | None
    timeout: float

    def ask(self, question: "Question", seconds: float) -> "Reading":
        """What a host answers. Ends with a line where the operator has no key to come with."""
        from wg_office.asking.dial import NoLogin, ask_hosts

        try:
            return ask_hosts([question], self.key, seconds)[question.name]
        except NoLogin as error:
            stop(str(error))


def _refuse_out(out: Path | None, *, wait: bool, as_json: bool) -> None:
    if wait and out is not None:
        stop("--wait makes no script: leave out --out")
    if as_json and out is None and not wait:
        stop("--json needs --out FILE for the script")
    if out is not None:
        refuse_existing(out)


# --- whom it is about --------------------------------------------------------------------------------------------------------------------


def first_contact(
    file: Path, environment: Environment, name: str, hub: str | None, key: Path | None, timeout: float, stack: str | None
) -> FirstContact:
    """What has to be known beforehand. Ends with a line where this gateway is none to be set up so."""
    from wg_office.asking.bootstrap import Refused, dialled_at, gateway_named, way_of
    from wg_office.asking.stack import StackError, stack_of

    try:
        gateway = gateway_named(environment, name)
        way, dialled = way_of(environment, gateway), dialled_at(environment, _hub_given(hub))
        used = key or stack_of(file, stack or environment.environment).ssh_key_file()
    except Refused as refused:
        stop(one_line(f"{file}: {refused}"))
    except StackError as error:
        stop(str(error))
    return FirstContact(file, environment, gateway, dialled, way, used, timeout)


def _hub_given(where: str | None) -> Ssh | None:
    if where is None:
        return None
    try:
        return Ssh.model_validate(ssh_fields(where))
    except ValidationError as error:
        stop(one_line(f"--hub {where}: {error.errors()[0]['msg']}; write {_WHERE}"))


def _given_keys(files: list[Path]) -> tuple[str, ...]:
    from wg_office.asking.bootstrap import public_lines

    found: list[str] = []
    for file in files:
        try:
            found += public_lines(file.expanduser().read_text(encoding="utf-8"))
        except OSError as error:
            stop(f"{file}: cannot be read: {error.strerror}; --authorize takes a file of public keys")
        except ValueError:
            stop(f"{file}: holds what is no public key; --authorize takes lines like those of a .pub file")
    return tuple(found)


def _refuse_reachable(first: FirstContact) -> None:
    """Where the way that the file has leads to the gateway already, there is nothing to do here."""
    from wg_office.asking.dial import Question
    from wg_office.hosts.hostscript import answers_command

    ssh = first.gateway.ssh
    if ssh is None or ssh.host_key is None:
        return
    question = Question(first.gateway.name, ssh, first.environment.through(ssh), answers_command(ssh.user), "")
    if first.ask(question, min(first.timeout, 10)).failure is None:
        stop(f"{first.gateway.name} answers already, at {ssh.address}{' via hub' if ssh.via else ''}: `pulumi up` sets it up")


# --- the script --------------------------------------------------------------------------------------------------------------------------


def invite(first: FirstContact, given: tuple[str, ...]) -> "Invitation":
    """Have the hub prepared; `given` are keys that are let in besides the operator's. Ends with a line where that fails."""
    from wg_office.asking.bootstrap import Invitation, one_time_key

    once, own = one_time_key(), _own_keys(first)
    ready = _prepare(first, once, own)
    operator = tuple(dict.fromkeys((*(ready.operator or own), *given)))
    return Invitation(first.environment.environment, first.gateway.name, first.hub, first.way, once, ready, operator)


def _own_keys(first: FirstContact) -> tuple[str, ...]:
    from wg_office.asking.dial import NoLogin, public_keys

    try:
        return public_keys(first.key, first.timeout)
    except NoLogin as error:
        stop(str(error))


def _prepare(first: FirstContact, once: "OneTimeKey", operator: tuple[str, ...]) -> "Prepared":
    from wg_office.asking.bootstrap import preparation, prepared
    from wg_office.asking.said import NotUnderstood
    from wg_office.asking.status import NOT_UNDERSTOOD

    own = first.environment.hub
    reading = first.ask(_of_hub(first, "prepare", preparation(first.way, own.ssh, first.gateway.name, once, operator)), first.timeout)
    try:
        return prepared(_said(first, reading))
    except NotUnderstood:
        stop(f"hub {own.name} {NOT_UNDERSTOOD}", UNREACHABLE)


def _of_hub(first: FirstContact, verb: Literal["prepare", "wait"], words: str) -> "Question":
    from wg_office.asking.dial import Question
    from wg_office.hosts.hostscript import hub_command, hub_lines

    ssh = first.environment.hub.ssh
    failed = "could not be prepared for the first contact"
    return Question(first.environment.hub.name, ssh, first.environment.through(ssh), hub_command(ssh.user, verb), hub_lines(words), failed)


def _said(first: FirstContact, reading: "Reading") -> str:
    if reading.said is None:
        stop(f"{first.environment.hub.name}: {reading.failure}; no script was made", UNREACHABLE)
    return reading.said


def _hand_over(invitation: "Invitation", out: Path | None) -> None:
    """To stdout alone, or into a new file for its owner."""
    from wg_office.asking.bootstrap import moment, script
    from wg_office.hosts.hostscript import site_script

    text = script(invitation, site_script())
    if out is None:
        typer.echo(text, nl=False)
    else:
        create(out, text, 0o600)
    where = "the script above" if out is None else str(out)
    _say(f"have {where} pasted on {invitation.gateway}, as root, before {moment(invitation.prepared.until)}; until then it is a secret")
    _say(f"it lets {len(invitation.operator)} of your keys in: {', '.join(map(fingerprint, invitation.operator))}")


def _say(line: str) -> None:
    """All but the script and JSON goes to stderr, so that stdout is what is pasted."""
    typer.echo(one_line(line), err=True)


# --- the wait ----------------------------------------------------------------------------------------------------------------------------


@contextmanager
def _goes_on(first: FirstContact) -> Iterator[None]:
    """Ctrl-C ends the waiting and nothing else."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "wg_office", "bootstrap", first.gateway.name, "--file", str(first.file), "--wait"])
        stop(f"the script stays good for its time; this goes on waiting: {again}", NOBODY_CAME)


def _whoever_comes(first: FirstContact) -> "Waited":
    with _goes_on(first):
        return _wait_for(first)


def _wait_for(first: FirstContact) -> "Waited":
    """The machine that has used the script. Ends with a line where nobody does."""
    from wg_office.asking.bootstrap import LIFETIME, moment, question

    end, name = time.monotonic() + LIFETIME + ASK_SECONDS, first.gateway.name
    failures = 0
    while time.monotonic() < end and failures < PATIENCE:
        reading = first.ask(_of_hub(first, "wait", question(name, ASK_SECONDS)), first.timeout + ASK_SECONDS)
        failures = failures + 1 if reading.said is None else 0
        if reading.said is None:
            _say(f"{first.environment.hub.name}: {reading.failure}; asking again")
            time.sleep(BETWEEN)
            continue
        found = _waited(first, reading.said)
        if found.host_key is not None:
            return found
        _say(f"nobody has used the script for {name} yet; it is good until {moment(found.until)}")
    if failures:
        stop("the hub could not be asked. The script stays good for its time; with --wait this goes on waiting", UNREACHABLE)
    stop(_NOBODY.format(name=name), NOBODY_CAME)


PATIENCE = 12
"""Failures in a row after which it is given up: a laptop that changes its network is given a minute."""

_NOBODY = "hub has no script out for {name} any more: nobody used the last one, or its time is over. Run this without --wait for another"


def _waited(first: FirstContact, said: str) -> "Waited":
    from wg_office.asking.bootstrap import waited
    from wg_office.asking.said import NotUnderstood
    from wg_office.asking.status import NOT_UNDERSTOOD

    try:
        return waited(said, first.way.port) or stop(_NOBODY.format(name=first.gateway.name), NOBODY_CAME)
    except NotUnderstood:
        stop(f"hub {first.environment.hub.name} {NOT_UNDERSTOOD}", UNREACHABLE)


# --- what comes of it --------------------------------------------------------------------------------------------------------------------


def _end(first: FirstContact, found: "Waited", out: Path | None, *, as_json: bool) -> NoReturn:
    """The machine's key is pinned, and what is to be done next is told, with the exit status."""
    pinned, known = _pin(first, found)
    failure = _answers(pinned)
    _tell(pinned, found, known, failure, out, as_json=as_json)
    raise typer.Exit(0 if failure is None else UNREACHABLE)


def _pin(first: FirstContact, found: "Waited") -> tuple[FirstContact, Path | None]:
    """With the key that the machine has said: written into known_hosts, whose file is returned, if the environment has one."""
    key, ssh = str(found.host_key), first.gateway.ssh
    pinned = replace(first, way=first.way.model_copy(update={"host_key": key}))
    if first.environment.known_hosts is None:
        if ssh is not None and ssh.calls_in and ssh.host_key not in (None, key):
            _refuse_key(f"{first.file} has another key of {first.gateway.name}", key)
        return pinned, None
    file = first.file.parent / first.environment.known_hosts
    _write_known(file, key, ((first.way.host, first.way.port), (str(first.gateway.address), 22)))
    return pinned, file


def _write_known(file: Path, key: str, hosts: tuple[tuple[str, int], ...]) -> None:
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        known = KnownHosts(text)
        for host in hosts:
            if against := known.against(*host, key):
                _refuse_key(f"{file} {against}", key)
        new = [host for host in hosts if known.find(*host)[0] is None]
        if new:
            with file.open("a", encoding="utf-8") as appended:
                appended.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}{line_of(key, *new)}")
    except (OSError, UnicodeDecodeError):
        stop(f"{file} cannot be read and written: mend that, and run this again with --wait", FAULTY)


def _refuse_key(what: str, key: str) -> NoReturn:
    remedy = "If the person on site reads out that one, take the other key out, and run this again with --wait; if not, make a new script"
    stop(f"{what}, and the machine that has called shows {fingerprint(key)}. {remedy}", FAULTY)


def _answers(first: FirstContact) -> str | None:
    """Why the machine does not answer by its own call; None where it does."""
    from wg_office.asking.dial import Question
    from wg_office.hosts.hostscript import answers_command

    name, ssh = first.gateway.name, first.way
    question = Question(name, ssh, first.environment.hub.ssh, answers_command(ssh.user), "", "does not do what it is told")
    for attempt in range(PATIENCE):
        reading = first.ask(question, first.timeout)
        if reading.failure is None:
            return None
        if attempt == 0:
            _say(f"{name} has used the script; waiting for it to answer")
        time.sleep(BETWEEN)
    return reading.failure


def _tell(first: FirstContact, found: "Waited", known: Path | None, failure: str | None, out: Path | None, *, as_json: bool) -> None:
    from wg_office.asking.bootstrap import next_steps

    name, key = first.gateway.name, str(found.host_key)
    steps = next_steps(first.environment, first.gateway, first.way, found.until, key_in_file=known is None)
    lines = [
        f"{name} has called. Its host key is {fingerprint(key)}: the person on site sees the same",
        *([f"{known} has it now"] if known is not None else []),
        *([f"{name}: {failure}"] if failure is not None else []),
        *(f"next: {step}" for step in steps),
    ]
    for line in lines:
        _say(line)
    if as_json:
        data: dict[str, object] = {
            "environment": first.environment.environment,
            "gateway": name,
            "script": None if out is None else str(out),
        }
        data |= {"host_key": key, "fingerprint": fingerprint(key), "known_hosts": None if known is None else str(known)}
        data |= {"until": found.until.isoformat(), "failure": failure, "next": list(steps)}
        typer.echo(json_text(data))
