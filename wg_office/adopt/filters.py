"""What a host's own rules let through from the tunnel, and masquerade: of `iptables-save`, `nft list ruleset`, and hooks. Pure.

Few forms are understood, those that people write; every other rule is listed. Rules of a host stay in force when it is taken over.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from netaddr import AddrFormatError, IPNetwork

from wg_office.adopt.units import Tunnel
from wg_office.asking.said import Said, shown

Networks = tuple[IPNetwork, ...]


@dataclass(frozen=True)
class Rule:
    """A rule of the forward or postrouting hook; None and empty stand for any."""

    text: str
    verdict: str
    iif: str | None = None
    oif: str | None = None
    sources: Networks = ()
    destinations: Networks = ()
    ports: tuple[str, ...] = ()
    answers: bool = False
    """Whether it is about established connections alone."""

    @property
    def is_particular(self) -> bool:
        """Whether it is about some addresses or ports alone."""
        return bool(self.sources or self.destinations or self.ports)


@dataclass(frozen=True)
class Chain:
    """A base chain: where it is, what happens at its end, its rules, and those that are not understood."""

    where: str
    hook: str
    policy: str
    rules: tuple[Rule, ...]
    strange: tuple[str, ...]


@dataclass(frozen=True)
class Opened:
    """What a rule lets through."""

    sources: Networks
    destinations: Networks
    ports: tuple[str, ...]


@dataclass(frozen=True)
class Filter:
    """What comes of all chains for the tunnel: `opened` is None where nothing closes it."""

    opened: tuple[Opened, ...] | None
    masquerades: tuple[Rule, ...]
    strange: tuple[str, ...]


def filter_of(said: Said, tunnel: Tunnel, within: bool) -> Filter:
    """The rules of a host about what comes out of its tunnel, and goes back into it (`within`, the hub's) or elsewhere.

    Where the tunnel does not run, its hooks have still to make their rules.
    """
    chains = list(_iptables(said.iptables)) if said.iptables.strip() else []
    chains += [chain for chain in _nft(said.nft) if not (chains and _is_iptables(chain))]
    hooks = list(_iptables(_as_saved(tunnel.hooks))) if not tunnel.runs else []
    return _filter([*chains, *hooks], tunnel, within)


def _filter(chains: list[Chain], tunnel: Tunnel, within: bool) -> Filter:
    closed = [found for chain in chains if chain.hook == "forward" and (found := _let_through(chain, tunnel.name, within)) is not None]
    return Filter(
        closed[0] if closed else None,
        tuple(rule for chain in chains if chain.hook == "postrouting" for rule in chain.rules if rule.verdict == "masquerade"),
        (*(each for chain in chains for each in _not_told(chain, tunnel.name)), *_strange_hooks(tunnel)),
    )


def _let_through(chain: Chain, tunnel: str, within: bool) -> tuple[Opened, ...] | None:
    """What a chain opens to what comes out of the tunnel; None where it does not close, as far as can be told."""
    opened: list[Opened] = []
    for rule in chain.rules:
        elsewhere = rule.oif is not None and (rule.oif == tunnel) is not within
        if rule.answers or rule.iif not in (None, tunnel) or elsewhere:
            continue
        if rule.verdict == "accept":
            if not rule.is_particular:
                return None
            opened.append(Opened(rule.sources, rule.destinations, rule.ports))
        elif not rule.is_particular:
            return tuple(opened)
    return tuple(opened) if chain.policy == "drop" and not chain.strange else None


def _not_told(chain: Chain, tunnel: str) -> Iterator[str]:
    """Rules that say what no grant says: what is not understood, and what is closed again."""
    yield from (f"{chain.where}: {shown(text)}" for text in chain.strange)
    for rule in chain.rules:
        if chain.hook == "forward" and rule.verdict == "drop" and rule.is_particular and rule.iif in (None, tunnel):
            yield f"{chain.where}: {shown(rule.text)}"
    if chain.hook == "forward" and chain.policy == "drop" and chain.strange:
        yield f"{chain.where}: drops what it does not know, by rules that are not understood; look whether the grants open more"


# --- words -------------------------------------------------------------------------------------------------------------------------------


class _Strange(Exception):
    """A rule has a form that is not understood."""


def _networks(text: str) -> Networks:
    words = [word.strip() for word in text.strip("{} ").split(",")]
    try:
        return tuple(IPNetwork(word).cidr for word in words)
    except (AddrFormatError, ValueError):
        raise _Strange from None


def _ports(text: str, protocol: str) -> tuple[str, ...]:
    words = [word.strip().replace(":", "-") for word in text.strip("{} ").split(",")]
    if protocol not in ("tcp", "udp") or not all(re.fullmatch(r"[0-9]{1,5}(?:-[0-9]{1,5})?", word) for word in words):
        raise _Strange
    return tuple(f"{word}/{protocol}" for word in words)


_ANSWERS = frozenset({"established", "related"})


def _are_answers(text: str) -> bool:
    states = {word.strip().lower() for word in text.strip("{} ").split(",")}
    if states <= _ANSWERS:
        return True
    raise _Strange


# --- iptables ----------------------------------------------------------------------------------------------------------------------------

_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "MASQUERADE": "masquerade"}
_CHAINS = {("filter", "FORWARD"): "forward", ("nat", "POSTROUTING"): "postrouting"}


def _iptables(text: str) -> Iterator[Chain]:
    """The two chains that matter, of what `iptables-save` prints."""
    table, policies, lines = "", dict[tuple[str, str], str](), dict[tuple[str, str], list[str]]()
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, policy = [*line[1:].split(), "-"][:2]
            policies[table, name] = policy.lower()
        elif line.startswith("-A "):
            lines.setdefault((table, line.split()[1]), []).append(line)
    for place, hook in _CHAINS.items():
        rules, strange = _understood(lines.get(place, []), _iptables_rule)
        yield Chain(f"iptables {place[0]} {place[1]}", hook, policies.get(place, "accept"), rules, strange)


def _understood(lines: Iterable[str], read: Callable[[str], Rule]) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    rules: list[Rule] = []
    strange: list[str] = []
    for line in lines:
        try:
            rules.append(read(line))
        except (_Strange, ValueError):
            strange.append(line)
    return tuple(rules), tuple(strange)


_OPTIONS = {
    "-i": "iif",
    "--in-interface": "iif",
    "-o": "oif",
    "--out-interface": "oif",
    "-s": "sources",
    "--source": "sources",
    "-d": "destinations",
    "--destination": "destinations",
    "-p": "protocol",
    "--dport": "ports",
    "--dports": "ports",
    "--state": "states",
    "--ctstate": "states",
    "-j": "verdict",
    "-m": "module",
    "--comment": "comment",
    "--reject-with": "comment",
}
_MODULES = frozenset({"tcp", "udp", "state", "conntrack", "comment", "multiport"})


def _iptables_rule(line: str) -> Rule:
    """A rule after `-A CHAIN`: options that each have one value. Raises _Strange."""
    words = shlex.split(line)[2:]
    if len(words) % 2:
        raise _Strange
    given = [(_OPTIONS.get(option, ""), value) for option, value in zip(words[::2], words[1::2], strict=True)]
    if any(not option or value == "!" or (option == "module" and value not in _MODULES) for option, value in given):
        raise _Strange
    return _rule(line, {**dict(given), "verdict": _VERDICTS.get(dict(given).get("verdict", ""), "")})


def _rule(text: str, given: Mapping[str, str]) -> Rule:
    """The same words, of whichever program."""
    if given.get("verdict") not in ("accept", "drop", "masquerade"):
        raise _Strange
    if "protocol" in given and "ports" not in given and given["protocol"] != "all":
        raise _Strange
    return Rule(
        text,
        given["verdict"],
        given.get("iif"),
        given.get("oif"),
        _networks(given["sources"]) if "sources" in given else (),
        _networks(given["destinations"]) if "destinations" in given else (),
        _ports(given["ports"], given.get("protocol", "")) if "ports" in given else (),
        _are_answers(given["states"]) if "states" in given else False,
    )


# --- nft ---------------------------------------------------------------------------------------------------------------------------------

_TABLE = re.compile(r"table (\S+) (\S+) \{")
_CHAIN = re.compile(r"\s*chain (\S+) \{")
_BASE = re.compile(r"\s*type (?:filter|nat) hook (forward|postrouting) priority [^;]+;(?: policy (accept|drop);)?")
_WORDS = re.compile(r'"[^"]*"|\{[^}]*\}|[^\s{}"]+')


def _nft(text: str) -> Iterator[Chain]:
    """The base chains of the two hooks, of what `nft list ruleset` prints."""
    table, chain, base, lines = "", "", None, list[str]()
    for line in text.splitlines():
        if (head := _TABLE.match(line)) is not None:
            table = f"{head[1]} {head[2]}"
        elif (head := _CHAIN.match(line)) is not None:
            chain, base, lines = head[1], None, []
        elif (found := _BASE.fullmatch(line)) is not None and table.startswith(("ip ", "inet ")):
            base = found
        elif line.strip() == "}" and base is not None:
            rules, strange = _understood(lines, _nft_rule)
            yield Chain(f"nft {table} {chain}", base[1], base[2] or "accept", rules, strange)
            base = None
        elif base is not None and line.strip():
            lines.append(line.strip())


def _is_iptables(chain: Chain) -> bool:
    """Whether iptables has said the same: its nft form keeps these tables."""
    return re.match(r"nft ip (?:filter|nat|mangle|raw|security) ", chain.where) is not None


_SELECTORS = {
    ("iifname",): "iif",
    ("iif",): "iif",
    ("oifname",): "oif",
    ("oif",): "oif",
    ("ip", "saddr"): "sources",
    ("ip6", "saddr"): "sources",
    ("ip", "daddr"): "destinations",
    ("ip6", "daddr"): "destinations",
    ("ct", "state"): "states",
}


def _nft_rule(line: str) -> Rule:
    """Selectors, each with a value, and a verdict. Raises _Strange."""
    words, given = _WORDS.findall(line), dict[str, str]()
    while words:
        two = tuple(words[:2])
        if two[0] in ("tcp", "udp") and two[1:] == ("dport",) and len(words) > 2:
            given |= {"protocol": two[0], "ports": words[2]}
            words = words[3:]
        elif (selector := next((each for each in (two, two[:1]) if each in _SELECTORS), None)) is not None and len(words) > len(selector):
            given[_SELECTORS[selector]] = words[len(selector)].strip('"')
            words = words[len(selector) + 1 :]
        elif two[0] == "counter":
            words = words[5:] if two[1:] == ("packets",) else words[1:]
        elif two[0] == "comment":
            words = words[2:]
        else:
            given["verdict"] = _verdict(words)
            words = []
    return _rule(line, given)


def _verdict(words: list[str]) -> str:
    if words[0] == "reject":
        return "drop"
    if len(words) == 1 or words[1] == "comment":
        return words[0]
    raise _Strange


# --- hooks -------------------------------------------------------------------------------------------------------------------------------

_OURS_TO_DO = re.compile(r"(?:sysctl (?:-q )?-w net\.ipv[46]\.|echo 1 *> */proc/sys/net/ipv[46]/|nft |ip6?tables )")


_IPTABLES_HOOK = re.compile(r"iptables (?:-t (nat|filter) )?(?:-w )?-[AI] (FORWARD|POSTROUTING) (.*)")


def _as_saved(hooks: Iterable[str]) -> str:
    """The iptables commands of hooks as `iptables-save` would have their rules."""
    found = [match for hook in hooks if (match := _IPTABLES_HOOK.fullmatch(hook)) is not None]
    return "".join(f"*{each[1] or 'filter'}\n-A {each[2]} {each[3]}\n" for each in found)


def _strange_hooks(tunnel: Tunnel) -> Iterator[str]:
    """Of a tunnel's hooks what is neither forwarding nor a rule: rules are listed with those that run."""
    for hook in tunnel.hooks:
        if not _OURS_TO_DO.match(hook) or (hook.startswith("nft ") and not tunnel.runs):
            yield f"hook: {shown(hook)}"
