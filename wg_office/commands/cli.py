"""The command line of the core: what can be said about an environment without Pulumi.

Only `status`, `repair`, `revoke`, `adopt` and `bootstrap` dial; `revoke` and `bootstrap` alone change something on hosts. `handout` asks
Pulumi for what a stack holds, `repair` tells it what to repair.
Exit status: 0 fine, 1 the file has faults or Pulumi cannot be asked, 2 wrong usage or a file that cannot be read; those that dial have
more.

What only some commands need is imported by those: SSH alone takes longer to import than `check` to run.
"""

import difflib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wg_office.commands import review
from wg_office.commands.adopt import adopt
from wg_office.commands.bootstrap import bootstrap
from wg_office.commands.terminal import (
    FAULTY,
    UNUSABLE,
    EnvironmentFile,
    EnvironmentOption,
    KeyFile,
    StackName,
    console,
    environment_of,
    stop,
    tell,
)
from wg_office.environment.document import parse
from wg_office.environment.faults import Fault, Unreadable
from wg_office.environment.model import HUB, Client, Environment, Gateway
from wg_office.reading.load import Report, inspect, placed
from wg_office.review.around import surroundings
from wg_office.text.printable import json_text

if TYPE_CHECKING:
    from wg_office.asking.revoke import Ask
    from wg_office.asking.stack import Stack
    from wg_office.asking.status import HostStatus, Reading
    from wg_office.hosts.render import File, Keys
    from wg_office.network.access import Reach
    from wg_office.network.plan import HostPlan

_EXAMPLES = """Examples:

    python -m wg_office new

    python -m wg_office adopt --hub root@203.0.113.10 --gateway beijing=root@198.51.100.7 -o configs/office.yaml

    python -m wg_office bootstrap a --file configs/office.yaml

    python -m wg_office check configs/dev.yaml

    python -m wg_office diff main

    python -m wg_office access configs/dev.yaml

    python -m wg_office render configs/dev.yaml --host z

    python -m wg_office status configs/dev.yaml

    python -m wg_office repair configs/dev.yaml

    python -m wg_office revoke e --file configs/dev.yaml

    python -m wg_office handout e --file configs/dev.yaml"""

app = typer.Typer(
    help=f"""Checks and shows what an office environment means, without dialling anybody.
`status` and `repair` ask its hosts how they are, `revoke` cuts somebody off, `adopt` asks those of a network that was made by hand,
`bootstrap` has a new gateway call that nobody can dial.

{_EXAMPLES}""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


# --- check and schema --------------------------------------------------------------------------------------------------------------------


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Environment files, such as configs/dev.yaml", metavar="FILE")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON list on stdout")] = False,
    resolve: Annotated[bool, typer.Option("--resolve", help="Look the hub's name up, and warn where that fails")] = False,
) -> None:
    """Report every fault of environment files, and what to look at twice; nothing is dialled or changed, nor looked up unless asked.

    Exit status: 0 no fault, 1 faults, 2 wrong usage or a file that cannot be read.
    """
    status, reports = 0, list[Report]()
    for file in files:
        try:
            report = inspect(file)
        except Unreadable as unreadable:
            report = Report(str(file), None, unreadable.faults)
            status = UNUSABLE
        if report.environment is not None:
            more = (*surroundings(report.environment, file), *_endings(report.environment, file))
            more += tuple(_looked_up(report.environment, file) if resolve else ())
            report = replace(report, warnings=(*report.warnings, *more))
        reports.append(report)
        if report.faults:
            status = status or FAULTY
        if not as_json:
            tell(report)
    if as_json:
        typer.echo(json_text([_as_data(report) for report in reports]))
    raise typer.Exit(status)


def _endings(environment: Environment, file: Path) -> tuple[Fault, ...]:
    """Who and what ends soon, or has ended."""
    from wg_office.review.ends import endings

    return placed(file, endings(environment, datetime.now(UTC)))


def _looked_up(environment: Environment, file: Path) -> Iterable[Fault]:
    from wg_office.reading.lookup import looked_up

    return placed(file, looked_up(environment))


def _as_data(report: Report) -> dict[str, object]:
    return {
        "file": report.file,
        "environment": report.environment.environment if report.environment is not None else None,
        "private_keys_in_state": list(report.environment.keys_in_state) if report.environment is not None else None,
        "faults": [asdict(fault) for fault in report.faults],
        "warnings": [asdict(warning) for warning in report.warnings],
    }


@app.command()
def schema() -> None:
    """Print the JSON schema of environment files (configs/environment.schema.json)."""
    from wg_office.environment.schema import schema_text

    typer.echo(schema_text(), nl=False)


# --- render ------------------------------------------------------------------------------------------------------------------------------


@app.command()
def render(
    file: EnvironmentFile,
    host: Annotated[str | None, typer.Option(help="Only this host's files", metavar="NAME", show_default=False)] = None,
    with_script: Annotated[bool, typer.Option("--script", help="Also print, once at the end, what runs on the hosts")] = False,
) -> None:
    """Print every file that every host would get, and what is pasted where nobody logs in, for the review of a first installation.

    Keys do not exist before the deployment and secret ones never stand in these files: `(generated on apply)` stands for their names.

    Example: python -m wg_office render configs/dev.yaml --host z
    """
    from wg_office.hosts.render import render_files
    from wg_office.network.access import reach_of
    from wg_office.network.plan import plan

    environment = environment_of(file)
    reach = reach_of(environment)
    plans = plan(environment, reach)
    chosen = [each for each in plans if host in (None, each.name)]
    unmanaged = [each for each in environment.pasted_gateways if host in (None, each.name)]
    if not chosen and not unmanaged:
        known = [*(each.name for each in plans), *(each.name for each in environment.pasted_gateways)]
        stop(f"{file}: {environment.environment} has no host {host}; it has {', '.join(known)}")
    keys = placeholders(environment)
    for each in chosen:
        typer.echo(f"{_introduced(each)}\n")
        for rendered in _each_text_once(render_files(each, keys)):
            typer.echo("".join(_under_heading(each.name, file) for file in rendered))
    for gateway in unmanaged:
        _show_pasted(environment, gateway, reach, keys)
    if host is None:
        _show_by_hand(environment, reach)
    if with_script:
        _show_scripts()


def _show_pasted(environment: Environment, gateway: Gateway, reach: "Reach", keys: "Keys") -> None:
    from wg_office.hosts.keys import GENERATED_ON_APPLY
    from wg_office.hosts.render import File
    from wg_office.people.pasted import pasted, render_pasted
    from wg_office.people.profiles import ClientKeys

    made = pasted(environment, gateway, reach.policies[gateway.name])
    private = None if gateway.public_key is not None else GENERATED_ON_APPLY
    preshared = None if made.hub.psk_of is None else GENERATED_ON_APPLY
    text = render_pasted(made, ClientKeys(keys[environment.hub.name].public_key, preshared, private))
    typer.echo(f"# gateway {gateway.name} of {environment.environment}, which nobody logs in to\n")
    typer.echo(_under_heading(gateway.name, File(gateway.output, text)))


def _show_by_hand(environment: Environment, reach: "Reach") -> None:
    from wg_office.network.instructions import by_hand

    for instruction in by_hand(environment, reach):
        typer.echo(f"# by hand: {instruction}\n")


def _show_scripts() -> None:
    from wg_office.hosts.hostscript import scripts
    from wg_office.hosts.render import File

    texts = scripts()
    for where, travelling in (
        ("every host", File("wg-office", texts.host)),
        ("the hub and every gateway", File("flows.awk", texts.flows)),
        ("every gateway that knows the hub by a name", File("follow-endpoint", texts.follow)),
    ):
        typer.echo(_under_heading(where, travelling))


def placeholders(environment: Environment) -> "Keys":
    """What stands for keys before they exist; a public key that somebody brought is known."""
    from wg_office.hosts.keys import GENERATED_ON_APPLY, PublicNames

    brought = environment.brought_keys
    return {
        peer.name: PublicNames(brought.get(peer.name, GENERATED_ON_APPLY), GENERATED_ON_APPLY, GENERATED_ON_APPLY)
        for peer in environment.peers
    }


def _introduced(host: "HostPlan") -> str:
    through = "" if host.through is None else ", through the hub" if host.ssh.via == HUB else f", through {host.through.address}"
    key = host.ssh.host_key_fingerprint or "not known yet"
    return f"# host {host.name}, {host.role} of {host.environment}; reached as {host.ssh.address}{through}, host key {key}"


def _each_text_once(files: Iterable["File"]) -> Iterator[list["File"]]:
    """Files in their order; several of the same text stand together, and all but the last without it."""
    from wg_office.hosts.render import File

    by_text: dict[str, list[File]] = {}
    for file in files:
        by_text.setdefault(file.text, []).append(file)
    for same in by_text.values():
        yield [*(File(file.path, "") for file in same[:-1]), same[-1]]


def _under_heading(host: str, file: "File") -> str:
    return f"==> {host}: {file.path}\n{file.text}"


# --- access ------------------------------------------------------------------------------------------------------------------------------


class TableFormat(StrEnum):
    """How the access table is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"


@app.command()
def access(
    file: EnvironmentFile,
    table_format: Annotated[TableFormat, typer.Option("--format", help="For a terminal, a document, or a spreadsheet")] = TableFormat.TABLE,
) -> None:
    """Print who may open what through the tunnel, and which line of the file says so. docs/access.md says what else is reached.

    Example: python -m wg_office access configs/dev.yaml --format csv > access.csv
    """
    from wg_office.commands import access_report

    environment = environment_of(file)
    lines = parse(file.read_text(encoding="utf-8-sig")).line
    match table_format:
        case TableFormat.MARKDOWN:
            typer.echo(access_report.markdown(environment, lines), nl=False)
        case TableFormat.CSV:
            typer.echo(access_report.csv_text(environment, lines), nl=False)
        case TableFormat.TABLE:
            console().print(access_report.table(environment, lines))


# --- review ------------------------------------------------------------------------------------------------------------------------------

for command in (review.diff, review.diagram, review.new, adopt, bootstrap):
    app.command()(command)


# --- status ------------------------------------------------------------------------------------------------------------------------------


Seconds = Annotated[float, typer.Option(help="Seconds that each host may take; all are asked at once", min=1)]


@app.command()
def status(
    file: EnvironmentFile,
    key: KeyFile = None,
    timeout: Seconds = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object on stdout")] = False,
    with_peers: Annotated[bool, typer.Option("--peers", help="Also a table of all peers of all hosts")] = False,
    stack: StackName = None,
) -> None:
    """Ask all hosts how they are: drift, health, and whether an `up` is due. Changes nothing, and needs neither Pulumi nor its passphrase.

    Exit status: 0 all well; 3 an `up` is due, since a host differs from the file; 4 drift, since a host differs from what it was given,
    or trouble, since something does not work; 5 a host could not be asked. The highest that applies. As everywhere, 1 is for faults of
    the file, and 2 for wrong usage, or where you have no key to log in with. docs/drift.md has more.

    Example: python -m wg_office status configs/dev.yaml --key ~/.ssh/wg-office --json
    """
    from wg_office.asking.status import EXIT_STATUS
    from wg_office.commands import status_report

    environment = environment_of(file)
    hosts = _asked(environment, _stack(file, environment, stack), key, timeout)
    if as_json:
        typer.echo(json_text(status_report.as_data(environment, hosts, map(str, _endings(environment, file)))))
    else:
        console().print(status_report.table(environment, hosts))
        if with_peers:
            console().print(status_report.peer_table(environment, hosts))
        notes = [f"note: {each}" for each in _endings(environment, file)]
        for line in (*status_report.lines(hosts), *notes, status_report.summary(environment, hosts)):
            typer.echo(line)
    raise typer.Exit(EXIT_STATUS[status_report.state(hosts)])


@app.command()
def repair(file: EnvironmentFile, key: KeyFile = None, timeout: Seconds = 30, stack: StackName = None) -> None:
    """Have the next `pulumi up` apply everything again on each host that drifted or differs from the file.

    Asks all hosts as `status` does, and writes a time stamp for each such host into the stack's configuration, Pulumi.STACK.yaml.
    No host is changed before the `up`. Exit status: 0 done, or nothing to repair; 1 Pulumi could not be told; 5 a host could not be asked.

    Example: python -m wg_office repair configs/dev.yaml
    """
    from wg_office.asking.status import EXIT_STATUS, Kind
    from wg_office.commands import status_report

    environment = environment_of(file)
    told = _stack(file, environment, stack)
    hosts = _asked(environment, told, key, timeout)
    for line in status_report.lines(hosts):
        typer.echo(line)
    broken = [host.name for host in hosts if host.needs_repair]
    if broken:
        _have_repaired(told, broken)
    else:
        typer.echo("no host that answered needs a repair")
    if status_report.state(hosts) is Kind.UNREACHABLE:
        raise typer.Exit(EXIT_STATUS[Kind.UNREACHABLE])


def _stack(file: Path, environment: Environment, name: str | None) -> "Stack":
    from wg_office.asking.stack import stack_of

    return stack_of(file, name or environment.environment)


def _asked(environment: Environment, stack: "Stack", key: Path | None, timeout: float) -> "tuple[HostStatus, ...]":
    """How all hosts are. Ends with a line where the operator has no key to come with; nobody has been dialled then."""
    from wg_office.asking.dial import NoLogin, read_hosts
    from wg_office.asking.stack import StackError
    from wg_office.asking.status import judge
    from wg_office.hosts.hostscript import scripts
    from wg_office.network.plan import plan

    plans = plan(environment)
    try:
        return judge(environment, plans, read_hosts(environment, plans, key or stack.ssh_key_file(), timeout), scripts())
    except (NoLogin, StackError) as error:
        stop(str(error))


def _have_repaired(stack: "Stack", hosts: list[str]) -> None:
    """Write a stamp for each host into the stack's configuration, or say how to."""
    from wg_office.asking.stack import StackError

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        stack.set_repair(hosts, stamp)
    except StackError as error:
        stop(f"{error}. By hand: {shlex.join(['pulumi', *stack.repair_command(hosts, stamp)])}", FAULTY)
    typer.echo(f"the next `pulumi up --stack {stack.name}` repairs {', '.join(hosts)}, and shows them in its preview")


# --- revoke ------------------------------------------------------------------------------------------------------------------------------


@app.command()
def revoke(
    file: EnvironmentOption,
    name: Annotated[str, typer.Argument(help="A developer of the file, with all devices", metavar="NAME", show_default=False)],
    device: Annotated[str | None, typer.Option(help="Only this one of several devices", metavar="DEV", show_default=False)] = None,
    lift: Annotated[bool, typer.Option("--lift", help="After a new key: have gateways, which know addresses alone, let it pass")] = False,
    key: KeyFile = None,
    timeout: Annotated[float, typer.Option(help="Seconds that each host may take, which waits for a running `up`", min=1)] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object on stdout")] = False,
    stack: StackName = None,
) -> None:
    """A laptop is lost: have the hub and all gateways refuse it at once. Needs your SSH key alone, neither Pulumi nor its passphrase.

    Its packets are dropped, its open connections end, and the hub forgets its key. That stays so across reboots, changes that are undone,
    and every `up` whose file still has it. It ends with an `up` whose file has it no more, or with a new key (`rotation`); the old key does
    not come back by itself. After a new key run it with --lift, since gateways do not see keys. A gateway is `retired: true` instead.

    Exit status: 0 all hosts refuse it; 4 the hub does not know it; 5 a host could not be told: run it again. As everywhere, 1 is for faults
    of the file, and 2 for wrong usage, or where you have no key to log in with. docs/operations.md has more.

    Example: python -m wg_office revoke e --file configs/dev.yaml

    Example: python -m wg_office revoke e --device laptop --file configs/dev.yaml --key ~/.ssh/wg-office
    """
    from wg_office.asking import revoke as revocation
    from wg_office.network.plan import plan

    environment = environment_of(file)
    clients = _whom(file, environment, name, device, everybody=False)
    plans = tuple(each for each in plan(environment) if each.tunnel is not None)
    ask = _telling(_stack(file, environment, stack), key, timeout)
    answers = revocation.lift(plans, clients, ask) if lift else revocation.revoke(environment, plans, clients, ask)
    status = revocation.EXIT_STATUS[revocation.worst(answers)]
    names = ", ".join(each.name for each in clients)
    more = () if lift else revocation.advice(environment, str(file), names, answers)
    data = {"environment": environment.environment, "exit_status": status, "hosts": [asdict(each) for each in answers]}
    typer.echo(json_text(data) if as_json else "\n".join([*(f"{each.host}: {each.outcome}: {each.text}" for each in answers), *more]))
    raise typer.Exit(status)


def _telling(stack: "Stack", key: Path | None, timeout: float) -> "Ask":
    """Runs the lines of a revocation on hosts, as the operator."""
    from wg_office.asking.dial import NoLogin, Question, ask_hosts
    from wg_office.asking.stack import StackError
    from wg_office.hosts import hostscript

    def ask(hosts: "tuple[HostPlan, ...]", lines: tuple[str, ...]) -> "Mapping[str, Reading]":
        def question(host: "HostPlan") -> Question:
            command = hostscript.revoke_command(host.ssh.user)
            return Question(host.name, host.ssh, host.through, command, hostscript.revoke_lines(lines), "did not do it")

        try:
            return ask_hosts([question(host) for host in hosts], key or stack.ssh_key_file(), timeout)
        except (NoLogin, StackError) as error:
            stop(str(error))

    return ask


# --- handout -----------------------------------------------------------------------------------------------------------------------------


DeveloperName = Annotated[str | None, typer.Argument(help="A developer of the file", metavar="NAME", show_default=False)]
DeviceName = Annotated[
    str | None, typer.Argument(help="One of several devices; left out: a page for each", metavar="DEVICE", show_default=False)
]
Everybody = Annotated[bool, typer.Option("--all", help="All developers, in a folder that only you can read")]
_PAGE = "handout-ENVIRONMENT-NAME.html (or .zip) here, NAME-DEVICE for a device"
PageFile = Annotated[
    Path | None, typer.Option(help=f"Where to write it; left out: {_PAGE}; for all the folder handout-ENVIRONMENT", show_default=False)
]
AsZip = Annotated[bool, typer.Option("--zip", help="A zip with the page and the WireGuard files")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there already")]


@app.command()
def handout(
    file: EnvironmentOption,
    name: DeveloperName = None,
    device: DeviceName = None,
    everybody: Everybody = False,
    stack: StackName = None,
    out: PageFile = None,
    as_zip: AsZip = False,
    force: Force = False,
) -> None:
    """Write the page that a developer gets: the WireGuard files, how to set them up, and what may be reached.

    It holds the developer's private key: readable for you only, to be handed over in private and then removed.
    The stack must have been deployed, and `pulumi` must be on the PATH (for the demo: eval "$(make -s env)").
    With --all an index.csv beside the pages says who has had which public key; a later --all into the same folder continues it.

    Example: python -m wg_office handout e --file configs/dev.yaml --zip

    Example: python -m wg_office handout e laptop --file configs/dev.yaml

    Example: python -m wg_office handout --all --file configs/dev.yaml
    """
    from wg_office.asking.stack import StackError
    from wg_office.people.handout import HandoutError

    environment = environment_of(file)
    clients = _whom(file, environment, name, device, everybody)
    if out is not None and len(clients) > 1 and not everybody:
        stop(f"--out names one file, and {name} has {len(clients)} devices: name one of {_devices(clients)} too")
    try:
        written = _write_handouts(environment, _stack(file, environment, stack), clients, out, everybody, as_zip, force)
    except (HandoutError, StackError) as error:
        stop(str(error), FAULTY)
    for line in _handed_out(written, clients, everybody):
        typer.echo(line)


def _handed_out(written: list[Path], clients: "list[Client]", everybody: bool) -> Iterator[str]:
    from wg_office.people.handout_index import INDEX_NAME

    if everybody:
        (folder,) = written
        yield f"{folder}: for {', '.join(each.name for each in clients)}, a file each; hand each over in private, then remove it"
        yield f"{folder}/{INDEX_NAME}: who has had which public key, no secret; the next --all there continues it"
        return
    for path, client in zip(written, clients, strict=True):
        yield f"{path}: for {client.name} only; hand it over in private, then remove it"


def _write_handouts(
    environment: Environment, stack: "Stack", clients: "list[Client]", out: Path | None, everybody: bool, as_zip: bool, force: bool
) -> list[Path]:
    from wg_office.asking.stack import developer_confs, public_keys
    from wg_office.people.handout import HandedOut, run_handout, run_handouts

    outputs = stack.outputs()
    confs = {each.name: developer_confs(outputs, each) for each in clients}
    if everybody:
        made = HandedOut(confs, public_keys(outputs), datetime.now(UTC).date())
        return [run_handouts(environment, made, out, as_zip=as_zip, force=force)]
    return [run_handout(environment, each, confs[each.name], out, as_zip=as_zip, force=force) for each in clients]


def _whom(file: Path, environment: Environment, name: str | None, device: str | None, everybody: bool) -> "list[Client]":
    """The machines whose hand-outs are wanted; of a developer all, unless a device is named."""
    if (name is None) is not everybody:
        stop("name a developer, or give --all for all of them: not both, and not neither")
    if everybody:
        return list(environment.clients) or stop(f"{file}: {environment.environment} has no developer yet")
    theirs = [each for each in environment.clients if name in (each.developer.name, each.name)]
    if not theirs:
        stop(f"{file}: {environment.environment} has no developer {name}; {_near(environment, str(name))}")
    if device is None:
        return theirs
    chosen = [each for each in theirs if each.device == device]
    return chosen or stop(f"{file}: {name} has no device {device}; {name} has {_devices(theirs) or 'one machine alone: leave it out'}")


def _near(environment: Environment, name: str) -> str:
    """Whom somebody may have meant by a name that no developer has."""
    hosts = {environment.hub.name: "the hub", **{each.name: "a gateway" for each in environment.gateways}}
    if name in hosts:
        return f"{name} is {hosts[name]}"
    names = [each.name for each in environment.developers]
    close = difflib.get_close_matches(name, names)
    return f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(names) or 'none yet'}"


def _devices(clients: "list[Client]") -> str:
    return ", ".join(each.device for each in clients if each.device is not None)
