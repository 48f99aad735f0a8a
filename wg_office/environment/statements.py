"""What must hold of an environment, as records of its file: statements about who reaches what (`expect:`), and guards (`policy:`)."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from wg_office.environment.fields import AnyAddress, Flag, MeantDeveloper, Name, Percent, Whole, is_address, show, wrong
from wg_office.environment.grants import HostList, PortList, Record

_WHO = ("developer", "group", "site", "host", "address")
_WHERE = ("site", "developer", "host", "address")


def _one_of(record: Record, names: tuple[str, ...]) -> str:
    given = [name for name in names if getattr(record, name) is not None]
    if len(given) != 1:
        raise wrong(f"names {' and '.join(given) or 'nobody'}; name exactly one of {', '.join(names[:-1])} and {names[-1]}")
    return given[0]


class Who(Record):
    """Whom a statement is about; a name alone is a developer's."""

    developer: Annotated[MeantDeveloper | None, Field(description="A developer")] = None
    group: Annotated[Name | None, Field(description="Each developer who has this group")] = None
    site: Annotated[Name | None, Field(description="The machines in a site's LAN")] = None
    host: Annotated[Name | None, Field(description="The hub or a gateway itself")] = None
    address: Annotated[AnyAddress | None, Field(description="Whoever has this address")] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        _one_of(self, _WHO)
        return self

    def __str__(self) -> str:
        kind = _one_of(self, _WHO)
        return f"{kind} {getattr(self, kind)}"


class Target(Record):
    """Where a statement leads, in the words of a grant; a name alone is a site's."""

    site: Annotated[Name | None, Field(description="A site")] = None
    hosts: Annotated[HostList, Field(description="Addresses or prefixes in the site's LAN; left out: the whole LAN")] = ()
    developer: Annotated[MeantDeveloper | None, Field(description="A developer's machine")] = None
    host: Annotated[Name | None, Field(description="The hub or a gateway itself, at its VPN address")] = None
    address: Annotated[AnyAddress | None, Field(description="One address, wherever it is")] = None
    ports: Annotated[PortList, Field(description="Ports, such as 22/tcp, 8000-8100/tcp or icmp; left out: all")] = ()

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if _one_of(self, _WHERE) != "site" and self.hosts:
            raise wrong("hosts belong to a site; name the site, or write address")
        return self

    def __str__(self) -> str:
        kind = _one_of(self, _WHERE)
        hosts = f" ({', '.join(str(host.ip) if host.size == 1 else str(host) for host in self.hosts)})" if self.hosts else ""
        return f"{kind} {getattr(self, kind)}{hosts}" + (f" on {', '.join(map(str, self.ports))}" if self.ports else "")


def _as_developer(value: Any) -> Any:
    return {"developer": value} if isinstance(_one(value, ", or of developers {group: NAME}"), str) else value


def _as_site(value: Any) -> Any:
    return {"site": value} if isinstance(_one(value), str) else value


def _one(value: Any, several: str = "") -> Any:
    """What is no address without saying so, and no list."""
    if isinstance(value, str) and is_address(value):
        raise wrong(f"{show(value)} is an address; write {{address: {value}}}")
    if isinstance(value, list):
        raise wrong(f"is a list, and a statement is about one; write a statement for each{several}")
    return value


AnyTarget = Annotated[Target, BeforeValidator(_as_site, json_schema_input_type=str | Target)]


class Expectation(Record):
    """A statement that must hold: somebody reaches something, or never does."""

    who: Annotated[
        Who, BeforeValidator(_as_developer, json_schema_input_type=str | Who), Field(description="Whom it is about", examples=["e"])
    ]
    reaches: Annotated[AnyTarget | None, Field(description="All of this must be open")] = None
    never_reaches: Annotated[AnyTarget | None, Field(description="Nothing of this may be open")] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.reaches is None) == (self.never_reaches is None):
            raise wrong("must say either reaches or never_reaches; for both, write two statements")
        return self

    @property
    def target(self) -> Target:
        """Where it leads, one way or the other."""
        target = self.reaches or self.never_reaches
        assert target is not None
        return target

    def __str__(self) -> str:
        return f"{self.who} {'reaches' if self.reaches is not None else 'never reaches'} {self.target}"


class Protected(Record):
    """Who and what must not be taken away by accident."""

    developers: Annotated[tuple[MeantDeveloper, ...], Field(description="Developers who stay")] = ()
    sites: Annotated[tuple[Name, ...], Field(description="Sites that stay")] = ()


class Removals(Record):
    """How many peers one change may take away."""

    at_most: Annotated[Whole, Field(description="So many peers at once")] = 20
    share: Annotated[Percent, Field(description="Or so many percent of them, if that is more than five peers")] = 50


class Policy(Record):
    """Guards: what a reviewer wants refused whoever writes it."""

    protected: Annotated[Protected, Field(description="Who and what must stay", examples=["{developers: [e], sites: [beijing]}"])] = (
        Protected()
    )
    widest_grant: Annotated[Whole | None, Field(description="No grant to more addresses of a LAN than this")] = None
    ports_required: Annotated[Flag, Field(description="No grant without ports")] = False
    ends_required: Annotated[tuple[Name, ...], Field(description="Groups that are granted to nobody without an end (until)")] = ()
    masquerade_reason_required: Annotated[Flag, Field(description="No masquerading without a return_path_reason")] = False
    removals: Annotated[Removals, Field(description="How many peers one change may take away", examples=["{at_most: 20, share: 50}"])] = (
        Removals()
    )
