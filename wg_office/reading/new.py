"""A first environment file from a handful of answers: what `check` accepts, with comments for whoever goes on writing. Pure."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from netaddr import IPNetwork
from pydantic import TypeAdapter, ValidationError

from wg_office.environment.document import parse
from wg_office.environment.faults import Fault
from wg_office.environment.fields import LanPrefix
from wg_office.reading.conflicts import KNOWN

_VPN_CANDIDATES = (*(f"10.{number}.0.0/16" for number in range(70, 96)), *(f"172.{number}.0.0/16" for number in (16, 28, 29, 30)))


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person is asked. Addresses and names are checked with the file that comes of them."""

    environment: str
    endpoint: str
    """The hub's public address or name, with or without a port."""
    site: str
    lan: str
    """The office network, such as 192.168.200.0/24."""
    lan_address: str
    """The gateway's address in it."""
    gateway_ssh: str
    """Where the operator reaches the gateway: HOST, HOST:PORT, USER@HOST:PORT."""
    developer: str
    hub_ssh: str = ""
    """The same for the hub; left out: its public address."""
    platform: str = ""
    return_path: str = "static-route"


def free_vpn(lan: str, others: Iterable[IPNetwork] = ()) -> str:
    """A private prefix for the VPN; while there is one, such that neither the LAN, nor anybody's default, nor another environment uses."""
    # The files for developers name the LAN one bit wider.
    taken = [*IPNetwork(lan).supernet()[-1:], *(known.prefix for known in KNOWN), *others]
    free = (each for each in _VPN_CANDIDATES if not any(IPNetwork(each) in one or one in IPNetwork(each) for one in taken))
    return next(free, _VPN_CANDIDATES[0])


def new_environment(answers: Answers, others: Iterable[IPNetwork] = ()) -> str:
    """The text of the environment file. `others` are VPNs of the same folder. Raises ValueError, with a sentence, where the LAN is none."""
    lan = _office_network(answers.lan.strip())
    said = replace(answers, **{name: scalar(getattr(answers, name)) for name in _NAMES})
    vpn = free_vpn(str(lan), others)
    hub, gateway, developer = (str(IPNetwork(vpn)[number]) for number in (1, 2, 10))
    endpoint = _with_port(answers.endpoint)
    platform = f", platform: {said.platform}" if answers.platform else ""
    return f"""\
# yaml-language-server: $schema=environment.schema.json
#
# Who may reach what, and by which hosts. `wg-office check` says what is wrong in it, `wg-office access` what it means.
environment: {said.environment}
known_hosts: {scalar(f"{answers.environment.strip()}.known_hosts")} # the hosts' keys, beside this file
network: {{cidr: {vpn}}} # the VPN's own addresses; nobody's network at home or in the office

hub: # the one host with a public address
  name: hub
  address: {hub}
  endpoint: {scalar(endpoint)} # this UDP port must be open to the internet
  ssh: {_ssh(answers.hub_ssh or _host_of(endpoint))}

gateways: # one host in each office
  - name: {scalar(f"gw-{answers.site.strip()}")}
    site: {said.site}
    address: {gateway}
    lan: {{cidr: {lan}, address: {said.lan_address}}}
    return_path: {said.return_path} # static-route: the LAN's router learns the way back; masquerade: the gateway stands in for everybody
    ssh: {_ssh(answers.gateway_ssh)}

developers: # who connects from outside, and what each may reach: a site, or {{site: ..., hosts: [...], ports: [22/tcp]}}
  - {{name: {said.developer}, address: {developer}{platform}, access: [{said.site}]}}
"""


def _office_network(text: str) -> IPv4Network:
    with suppress(ValueError):
        if "/" in text:
            return IPv4Network(text, strict=True)
    try:
        prefix = TypeAdapter(LanPrefix).validate_python(text)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None
    entry = f'{{cidr: "{prefix}", address: ...}}'
    raise ValueError(
        f"{prefix} is IPv6, and the first LAN here is IPv4; answer with that, and add this one to the file: in place of lan, "
        f"lans: [{{...}}, {entry}], and network: {{cidr6: fd70::/64}}"
    )


def _with_port(endpoint: str) -> str:
    bare = endpoint.strip()
    if bare.count(":") > 1 and not bare.startswith("["):
        return f"[{bare}]:51820"
    return bare if bare.rpartition(":")[2].isdigit() and ":" in bare.rpartition("]")[2] else f"{bare}:51820"


def _host_of(endpoint: str) -> str:
    return endpoint.rpartition(":")[0].strip("[]")


_NAMES = ("environment", "site", "lan_address", "developer", "platform", "return_path")
"""The answers that stand in the file as they are."""


def scalar(text: str) -> str:
    """A text as YAML has it, between brackets too: plain where it reads as itself, and otherwise in quotes."""
    bare = text.strip()
    plain = bare.isprintable() and not _INDICATORS.search(bare) and parse(f"[{bare}]").data == [bare]
    return bare if plain else json.dumps(bare, ensure_ascii=not bare.isprintable())


_INDICATORS = re.compile(r"^\W|[\[\]{},\"'#]|::|: |:$")
"""What may mean something to YAML, and more: an address of IPv6 looks better in quotes."""


_WHERE = re.compile(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<six>[^]]+)\]|(?P<bare>[^:]*:[^:]*:.*)|(?P<host>[^:]*))(?::(?P<port>\d+))?")


def ssh_fields(where: str) -> dict[str, str | int]:
    """An ssh's fields from USER@HOST:PORT; what does not fit stays as it is, so that `check` names it."""
    found = _WHERE.fullmatch(where.strip())
    if found is None:
        return {"host": where}
    fields: dict[str, str | int] = {"host": found["six"] or found["bare"] or found["host"]}
    fields |= {"port": int(found["port"])} if found["port"] else {}
    return fields | ({"user": found["user"]} if found["user"] else {})


def _ssh(where: str) -> str:
    words = (f"{field}: {value if isinstance(value, int) else scalar(value)}" for field, value in ssh_fields(where).items())
    return f"{{{', '.join(words)}}}"


# --- which answer a fault is about -----------------------------------------------------------------------------------------------------

_OPTIONS = (
    ("environment", "--environment"),
    ("known_hosts", "--environment"),
    ("hub.endpoint", "--endpoint"),
    ("hub.ssh", "--hub-ssh"),
    ("gateways[0].name", "--site"),
    ("gateways[0].site", "--site"),
    ("gateways[0].lan.address", "--lan-address"),
    ("gateways[0].lan", "--lan"),
    ("gateways[0].return_path", "--return-path"),
    ("gateways[0].ssh", "--gateway-ssh"),
    ("developers[0].name", "--developer"),
    ("developers[0].platform", "--platform"),
    ("developers[0].access", "--site"),
)


def said_of_answers(faults: Iterable[Fault], answers: Answers) -> tuple[str, ...]:
    """Faults of a file that is not written, by the options with whose values they began: each once, and without lines."""
    return tuple(dict.fromkeys(_said(faults, answers)))


def _said(faults: Iterable[Fault], answers: Answers) -> Iterator[str]:
    found = list(faults)
    of_the_site = any(fault.path == "gateways[0].site" for fault in found)
    for fault in found:
        # The gateway is named after its site, whose own name is what was answered.
        if not (of_the_site and fault.path == "gateways[0].name"):
            yield f"{_option_of(fault.path, answers) or fault.path}: {_A_LINE.sub('', fault.message)}"


_A_LINE = re.compile(r" \(line [0-9]+\)")


def _option_of(path: str, answers: Answers) -> str | None:
    """The option with whose value a fault at that place of the file began; None where it began with none of them."""
    option = next((option for place, option in _OPTIONS if path.startswith(place)), None)
    return "--endpoint" if option == "--hub-ssh" and not answers.hub_ssh else option
