"""A gateway's first minute: whom `bootstrap` serves, what the person on site pastes, and what the hub and its answers mean. Pure.

Room: asking. What runs on the hub is hostside/bootstrap-hub, what runs on site hostside/bootstrap-site; dialling is dial.py's, and
bootstrap_command.py's is the rest. docs/adr/0012-a-gateways-first-minute.md says why it is done so.
"""

import difflib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from wg_office.asking.said import NotUnderstood
from wg_office.environment.fields import ED25519, host_key_fault
from wg_office.environment.model import HUB, Environment, Gateway, Ssh
from wg_office.network.access import may_open
from wg_office.network.instructions import CALL_IN_PORT

LIFETIME = 3600
"""Seconds in which a script can be used; and from its use on, seconds in which the way is kept open."""

_PUBLIC = re.compile(r"[a-z0-9@.-]{3,64} [A-Za-z0-9+/]{40,8000}={0,3}")


class Refused(Exception):
    """This machine is none for `bootstrap`; the message says which is, or what to write."""


# --- whom it serves ----------------------------------------------------------------------------------------------------------------------


def gateway_named(env: Environment, name: str) -> Gateway:
    """The gateway that is to be set up. Raises Refused."""
    found = next((gateway for gateway in env.gateways if gateway.name == name), None)
    if found is None:
        raise Refused(f"{env.environment} has no gateway {name}; {_what_it_is(env, name)}")
    if found.managed is not None:
        raise Refused(
            f"nobody logs in to {name} (managed: {found.managed}): `pulumi stack output {found.output} --show-secrets` is what is set there"
        )
    if found.retired:
        raise Refused(f"{name} is retired: true, so that `pulumi up` sets nothing up there; take that out first")
    return found


def _what_it_is(env: Environment, name: str) -> str:
    if name == env.hub.name:
        return f"{name} is the hub, which is reached by SSH as it is: pulumi up"
    if any(device.name == name for site in env.sites for device in site.devices):
        return f"{name} is a device in a LAN, which is set up through its own ssh: pulumi up"
    if any(name in (client.name, client.developer.name) for client in env.clients):
        return f"{name} is a developer, who gets a page: python -m wg_office handout {name}"
    names = [gateway.name for gateway in env.gateways]
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"it has {', '.join(names) or 'none yet'}"


def way_of(env: Environment, gateway: Gateway) -> Ssh:
    """How the operator reaches it once it has called: as the file has it; where that says another way, by a port that no other has."""
    ssh = gateway.ssh
    if env.hub.ssh.via is not None:
        raise Refused(f"hub {env.hub.name} is itself reached through {env.hub.ssh.via}, and a connection goes through one machine at most")
    if ssh is not None and ssh.calls_in:
        if ":" in ssh.host:
            raise Refused(f"{gateway.name}: the hub listens for it on 127.0.0.1; write that as the host of its ssh")
        return ssh
    taken = {each.ssh.port for each in env.gateways if each.ssh is not None and each.ssh.calls_in} | {env.hub.ssh.port}
    port = next(port for port in range(CALL_IN_PORT, 65536) if port not in taken)
    return Ssh(host="127.0.0.1", port=port, user="root" if ssh is None else ssh.user, via=HUB)


def dialled_at(env: Environment, hub: Ssh | None) -> Ssh:
    """Where the machine on site dials the hub. `hub` is what the operator gave for that. Raises Refused."""
    own = env.hub.ssh
    if own.host_key is None:
        raise Refused(f"hub {env.hub.name} has no pinned host key, and nobody on site could tell it from another: see `check`")
    if hub is not None:
        return own.model_copy(update={"host": hub.host, "port": hub.port})
    if own.on_loopback:
        raise Refused(f"hub {env.hub.name} is at {own.host} for you, and elsewhere for the machine on site: give --hub HOST[:PORT]")
    return own


# --- the one-time key --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OneTimeKey:
    """What lets the script in at the hub, once."""

    private: str
    public: str

    def __repr__(self) -> str:
        return f"OneTimeKey({self.public})"


def one_time_key() -> OneTimeKey:
    """A new one."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode().strip()
    return OneTimeKey(private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def public_lines(text: str) -> tuple[str, ...]:
    """The keys of a .pub or authorized_keys file, without options and comments. Raises ValueError where a line is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    keys = tuple(" ".join(line.split()[:2]) for line in lines)
    for key in keys:
        if not _PUBLIC.fullmatch(key):
            raise ValueError(key)
    return keys


# --- what the hub is asked, and says -----------------------------------------------------------------------------------------------------


def preparation(way: Ssh, hub: Ssh, name: str, once: OneTimeKey, operator: Iterable[str]) -> str:
    """The words behind the hub's script, for `prepare`."""
    said = {"name": name, "user": hub.user, "port": way.port, "seconds": LIFETIME, "once": once.public}
    said |= {f"operator-{number}": key for number, key in enumerate(operator)}
    return "".join(f"{word} {value}\n" for word, value in said.items())


def question(name: str, seconds: int) -> str:
    """The words behind the hub's script, for `wait`."""
    return f"name {name}\nseconds {seconds}\n"


@dataclass(frozen=True)
class Prepared:
    """What the hub has made ready: until when, the key of the sshd that is in it, and which of the operator's keys let in there."""

    until: datetime
    inside_key: str
    operator: tuple[str, ...]


def prepared(said: str) -> Prepared:
    """The answer to `prepare`. Raises NotUnderstood."""
    words = _words(said)
    try:
        lets_in = tuple(sorted(line.removeprefix("lets-in ") for line in said.splitlines() if line.startswith("lets-in ")))
        return Prepared(_moment(words["until"]), _host_key(words["inner"]), lets_in)
    except (KeyError, ValueError):
        raise NotUnderstood("it did not say what was asked") from None


@dataclass(frozen=True)
class Waited:
    """Who has used the script: the key of the machine's sshd, None while nobody has. Until when that is good."""

    until: datetime
    host_key: str | None


def waited(said: str, port: int) -> Waited | None:
    """The answer to `wait`; None where the hub has nothing ready for this gateway, or for another port. Raises NotUnderstood."""
    if re.search("^gone$", said, re.MULTILINE):
        return None
    words = _words(said)
    try:
        if int(words["port"]) != port:
            return None
        return Waited(_moment(words["until"]), _host_key(words["enrolled"]) if "enrolled" in words else None)
    except (KeyError, ValueError):
        raise NotUnderstood("it did not say what was asked") from None


def _words(said: str) -> dict[str, str]:
    """The lines by their first words; a login shell that greets is no fault."""
    return {word: rest for word, _, rest in (line.partition(" ") for line in said.splitlines())}


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(int(text[:12]), UTC)


def _host_key(text: str) -> str:
    kind, _, blob = text.partition(" ")
    if host_key_fault(kind, blob) is not None:
        raise ValueError(text)
    return f"{ED25519} {blob}"


# --- the script --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Invitation:
    """All that the script for the person on site says."""

    environment: str
    gateway: str
    hub: Ssh
    """Where the machine on site dials it, with its key."""
    way: Ssh
    """How the operator reaches the machine then."""
    once: OneTimeKey
    prepared: Prepared
    operator: tuple[str, ...]
    """The keys that are let in on site."""

    @property
    def mark(self) -> str:
        """What ends a line of ours in authorized_keys on site."""
        return f"wg-office-{self.environment}"


def script(invitation: Invitation, body: str) -> str:
    """The script, which is pasted whole: a shell reads it to its last line before it begins, and no setting of it stays in that shell."""
    return f"{_heading(invitation)}(\n{_values(invitation)}\n{body})\n"


def _heading(each: Invitation) -> str:
    home = "/root" if each.way.user == "root" else f"the home of {each.way.user}"
    return f"""\
#!/bin/sh
# The first minute of gateway {each.gateway} of {each.environment}: for root, on the gateway itself. Paste it whole, or save it and `sh` it.
# It can be used once, until {moment(each.prepared.until)}. It holds a secret until then: pass it on to nobody else, and remove it.
#
# It dials {each.hub.address}, whose host key it knows, and says this machine's own. Then the office's operator comes in that way, by SSH
# as {each.way.user}, with {len(each.operator)} public key{"s" if len(each.operator) != 1 else ""}. What it puts where:
#   .ssh/authorized_keys in {home} (or where sshd looks for it): a line for each of these keys, behind what is there.
#     They end with {each.mark}; to take them away: sed -i '/ {each.mark}$/d' ~/.ssh/authorized_keys
#   /run/wg-office-bootstrap.*, and wg-office-bootstrap.service: the way to the hub. It ends by itself, once WireGuard has taken its
#     place, after an hour, at a reboot, or by: systemctl stop wg-office-bootstrap
"""


def _values(each: Invitation) -> str:
    values = {
        "user": each.way.user,
        "mark": each.mark,
        "hub": each.hub.host,
        "hub_port": each.hub.port,
        "hub_user": each.hub.user,
        "hub_key": each.hub.host_key,
        "inside_key": each.prepared.inside_key,
        "way_port": each.way.port,
        "until": moment(each.prepared.until),
        "operator": "\n".join(each.operator),
        "once": each.once.private,
    }
    return "\n".join(f"{name}={shlex.quote(str(value))}" for name, value in values.items())


def moment(until: datetime) -> str:
    """For people, here and on site, whose clocks and zones differ."""
    return f"{until:%Y-%m-%d %H:%M} UTC"


# --- what is to be done then -------------------------------------------------------------------------------------------------------------


def written(ssh: Ssh) -> str:
    """A way as it stands in the file."""
    fields = {"host": ssh.host, "port": None if ssh.port == 22 else ssh.port, "user": None if ssh.user == "root" else ssh.user}
    fields |= {"via": ssh.via, "host_key": ssh.host_key}
    return f"ssh: {{{', '.join(f'{name}: {value}' for name, value in fields.items() if value is not None)}}}"


def next_steps(env: Environment, gateway: Gateway, way: Ssh, until: datetime, *, key_in_file: bool) -> tuple[str, ...]:
    """A sentence each. `key_in_file`: whether the environment has no known_hosts file, so that the key stands in the file itself."""
    over_tunnel = Ssh(host=str(gateway.address), user=way.user, via=HUB, host_key=way.host_key)
    first, then = (each if key_in_file else each.model_copy(update={"host_key": None}) for each in (way, over_tunnel))
    file_has = gateway.ssh.model_copy(update={"host_key": first.host_key}) if gateway.ssh is not None else None
    steps = []
    if key_in_file or file_has != first:
        steps.append(f"write for gateway {gateway.name}: {written(first)}")
    if not may_open(env, env.hub.access, gateway.address, "tcp", 22):
        steps.append(f"write into the hub's access: {{host: {gateway.name}, ports: [22/tcp]}}")
    steps.append(f"pulumi preview, and pulumi up, before {moment(until)}, when this way ends")
    steps.append(f"then, with the tunnel: {written(then)}, and pulumi up again")
    return tuple(steps)
