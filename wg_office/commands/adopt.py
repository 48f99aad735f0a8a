"""The command `adopt`: asks hosts of a network that was made by hand, and writes its environment file. Room: commands."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from wg_office.commands.terminal import FAULTY, UNREACHABLE, complain, create, refuse_existing, stop, tell
from wg_office.environment.fields import Name, fits
from wg_office.environment.known_hosts import KnownHosts, keyscan
from wg_office.environment.model import HUB, Ssh
from wg_office.reading.new import ssh_fields
from wg_office.text.printable import json_text, one_line

if TYPE_CHECKING:
    from wg_office.adopt.network import Asked, Found, HostFound
    from wg_office.adopt.written import Written
    from wg_office.asking.dial import Question
    from wg_office.reading.load import Report

_SSH = "[USER@]HOST[:PORT]"
_KEY = "The operator's private key; left out: the SSH agent"
_KNOWN = "OpenSSH's file with the hosts' keys; nobody is dialled whose key is not in it"
_HUB = f"SSH to the hub: {_SSH}"
_GATEWAY = f"A gateway, by the name it is to have, and SSH to it; once for each: NAME={_SSH}"


HubSsh = Annotated[str, typer.Option(help=_HUB, metavar=_SSH, show_default=False)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where to write the environment file", metavar="FILE", show_default=False)]
Gateways = Annotated[list[str] | None, typer.Option(help=_GATEWAY, metavar="NAME=SSH", show_default=False)]
_BEHIND = "A gateway that is reached through the hub; once for each"
Behind = Annotated[list[str] | None, typer.Option(help=_BEHIND, metavar="NAME", show_default=False)]
Known = Annotated[Path, typer.Option(help=_KNOWN, metavar="FILE")]
_INTERFACE = "The hub's WireGuard interface, where it has several"
Interface = Annotated[str | None, typer.Option(help=_INTERFACE, metavar="NAME", show_default=False)]
_ENDPOINT = "Where people dial the hub; left out: where gateways do"
DialledAt = Annotated[str | None, typer.Option(help=_ENDPOINT, metavar="HOST:PORT", show_default=False)]


def adopt(
    hub: HubSsh,
    out: Out,
    gateway: Gateways = None,
    through_hub: Behind = None,
    known_hosts: Known = Path("~/.ssh/known_hosts"),
    hub_name: Annotated[str, typer.Option(help="What the hub is to be called")] = HUB,
    interface: Interface = None,
    endpoint: DialledAt = None,
    key: Annotated[Path | None, typer.Option(help=_KEY, show_default=False)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that each host may take; all are asked at once", min=1)] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object on stdout")] = False,
) -> None:
    """Read a WireGuard network that was made by hand from its hosts, and write its environment file: every key stays.

    Reads wg-quick files, networkd units, what runs, addresses, routes and rules, by one command on each host over SSH. Nothing is changed
    there. What the file cannot say is listed, in it and on the terminal. Keys of hosts and preshared keys go into a second file for you
    alone, FILE with the ending .secrets, and by the commands that are printed into the stack's secrets; they are never shown.

    Exit status: 0 done; 1 the hosts do not fit together, or `check` has faults to tell; 2 wrong usage, a file that is there already, or
    you have no key to log in with; 5 a host could not be asked.

    Example: python -m wg_office adopt --hub root@203.0.113.10 --gateway beijing=root@198.51.100.7 -o configs/office.yaml
    """
    secrets = out.with_suffix(".secrets")
    for file in (out, secrets):
        refuse_existing(file)
    questions = _questions(hub, hub_name, gateway or [], through_hub or [], known_hosts.expanduser())
    found = _found(_answers(questions, key, timeout), interface, endpoint)
    report, made = _write(found, out, secrets)
    if as_json:
        typer.echo(json_text(_as_data(report, made, found, out, secrets)))
    else:
        _tell(report, made, found, out, secrets)
    raise typer.Exit(FAULTY if report.faults else 0)


# --- whom to ask -------------------------------------------------------------------------------------------------------------------------


def _questions(hub: str, hub_name: str, gateways: list[str], behind: list[str], known_hosts: Path) -> "list[Question]":
    from wg_office.asking.dial import Question
    from wg_office.hosts.hostscript import found_command, found_script

    try:
        known = KnownHosts(known_hosts.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        stop(f"{known_hosts} cannot be read; name the file with the hosts' keys with --known-hosts")
    named = _named(gateways)
    for name in behind:
        if name not in named:
            stop(one_line(f"--through-hub {name}: no --gateway has that name"))
    ways = {
        hub_name: _ssh("--hub", hub, None, known),
        **{name: _ssh(f"--gateway {name}", at, name in behind, known) for name, at in named.items()},
    }
    center = ways[hub_name]
    if len(ways) != len(named) + 1 or not _is_name(hub_name):
        stop(one_line(f"--hub-name {hub_name}: must be a name of its own, of lowercase letters, digits and '-'"))
    return [Question(name, ssh, center if ssh.via else None, found_command(ssh.user), found_script()) for name, ssh in ways.items()]


def _named(gateways: list[str]) -> dict[str, str]:
    """SSH to each gateway, by its name."""
    named: dict[str, str] = {}
    for each in gateways:
        name, equals, where = each.partition("=")
        if not equals or not where or name in named or not _is_name(name):
            stop(one_line(f"--gateway {each}: write NAME={_SSH}, with a name of its own, of lowercase letters, digits and '-'"))
        named[name] = where
    return named


def _is_name(name: str) -> bool:
    return fits(TypeAdapter(Name), name)


def _ssh(option: str, where: str, behind: bool | None, known: KnownHosts) -> Ssh:
    """The way to a host with its pinned key. Ends with a line where there is none."""
    try:
        ssh = Ssh.model_validate({**ssh_fields(where), **({"via": HUB} if behind else {})})
    except ValidationError as error:
        stop(one_line(f"{option} {where}: {error.errors()[0]['msg']}; write {_SSH}"))
    host_key, reason = known.find(ssh.host, ssh.port)
    if host_key is None:
        stop(one_line(f"{option}: known_hosts {reason}: compare `{keyscan(ssh)}` with the host's own console, and add it to that file"))
    return ssh.model_copy(update={"host_key": host_key})


def _answers(questions: "list[Question]", key: Path | None, timeout: float) -> "list[Asked]":
    from wg_office.adopt.network import Asked
    from wg_office.asking.dial import NoLogin, ask_hosts
    from wg_office.asking.said import NotUnderstood, parse_said

    try:
        readings = ask_hosts(questions, key, timeout)
    except NoLogin as error:
        stop(str(error))
    failures = [f"{name}: {reading.failure}" for name, reading in readings.items() if reading.said is None]
    _stop_at(failures, UNREACHABLE)
    answers: list[Asked] = []
    for question in questions:
        try:
            answers.append(Asked(question.name, question.ssh, parse_said(readings[question.name].said or "")))
        except NotUnderstood as wrong:
            failures.append(f"{question.name} ({question.ssh.address}): {wrong}")
    _stop_at(failures, UNREACHABLE)
    return answers


def _stop_at(lines: Iterable[str], status: int) -> None:
    told = [one_line(line) for line in lines]
    for line in told:
        complain(line)
    if told:
        stop("nothing has been written", status)


def _found(answers: "list[Asked]", interface: str | None, endpoint: str | None) -> "Found":
    from wg_office.adopt.network import Misfits, network_of

    try:
        return network_of(answers[0], tuple(answers[1:]), interface, endpoint)
    except Misfits as misfits:
        _stop_at(misfits.lines, FAULTY)
        raise


# --- what comes of it --------------------------------------------------------------------------------------------------------------------


def _write(found: "Found", out: Path, secrets: Path) -> "tuple[Report, Written]":
    from wg_office.adopt.written import secret_lines, written
    from wg_office.reading.load import inspect

    made = written(found, out.stem)
    create(secrets, secret_lines(made), 0o600)
    try:
        create(out, made.text, 0o666)
    except typer.Exit:
        secrets.unlink()
        raise
    return inspect(out), made


def _tell(report: "Report", made: "Written", found: "Found", out: Path, secrets: Path) -> None:
    tell(report)
    for remark in made.remarks:
        complain(f"look at it: {remark}", colour=typer.colors.YELLOW)
    typer.echo(f"\n{out} is written; {secrets} holds keys, for you alone.\n\nRead the file, and then type:\n")
    for command in commands(found, out, secrets):
        typer.echo(f"    {command}")
    typer.echo(f"\n{_IN_BETWEEN if _to_stop(found) else _AS_IT_RUNS}")


_AS_IT_RUNS = """\
The tunnels are taken over as they run, and no session ends. At the next boot of each host they are networkd's; `pulumi destroy` gives them
back to wg-quick."""
_IN_BETWEEN = """\
wg-office refuses an interface that somebody other than wg-quick keeps, so each of these has to go first; the `pulumi up` right after it
brings the tunnel back with the same keys. In between nobody gets through: be sure that you reach every host without the tunnel."""


def _to_stop(found: "Found") -> list["HostFound"]:
    """The hosts whose tunnel cannot be taken over as it runs, the hub last."""
    return [host for host in (*found.gateways, found.hub) if not host.tunnel.is_wg_quicks]


def commands(found: "Found", out: Path, secrets: Path) -> Iterator[str]:
    """What is typed next. Secrets go from the file into pipes, never into an argument."""
    stack, file = shlex.quote(out.stem), shlex.quote(str(secrets))
    yield f"pulumi stack select --create {stack}"
    yield f"pulumi config set environment {shlex.quote(str(out))}"
    setting = f'pulumi config set --stack {stack} --secret --path "$place"'
    yield f"""while read -r place key; do printf %s "$key" | {setting} || break; done <{file}"""
    yield f"rm {file}"
    yield "pulumi preview --diff"
    for host in _to_stop(found):
        yield f"{_login(host.ssh, found.hub.ssh)} {shlex.quote(_stopping(host.tunnel.name, host.tunnel.source, host.ssh.user))}"
    yield "pulumi up"


def _login(ssh: Ssh, hub: Ssh) -> str:
    port = "" if ssh.port == 22 else f"-p {ssh.port} "
    jump = f"-J {hub.user}@{hub.host}:{hub.port} " if ssh.via else ""
    return f"ssh {jump}{port}{ssh.user}@{ssh.host}"


def _stopping(interface: str, source: str, user: str) -> str:
    """What takes the tunnel that is there away, with its start at boot."""
    sudo = "" if user == "root" else "sudo "
    name = shlex.quote(interface)
    if source.startswith("/etc/wireguard/"):
        return f"{sudo}systemctl disable --now wg-quick@{name}"
    if source.endswith(".netdev"):
        return f"{sudo}mv {shlex.quote(source)} {shlex.quote(source)}.before-wg-office && {sudo}ip link delete {name}"
    return f"{sudo}ip link delete {name}"


def _as_data(report: "Report", made: "Written", found: "Found", out: Path, secrets: Path) -> dict[str, object]:
    return {
        "file": str(out),
        "secrets_file": str(secrets),
        "faults": [asdict(fault) for fault in report.faults],
        "warnings": [asdict(warning) for warning in report.warnings],
        "not_said": list(made.remarks),
        "commands": list(commands(found, out, secrets)),
    }
