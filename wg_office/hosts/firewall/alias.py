"""LANs that the tunnel knows by another prefix (`as:`): chains of the nftables table that translate one to one, in both directions.

The destination changes before the way is chosen and the rules judge, and the source after them: all other rules see the addresses that the
site's machines have. The kernel turns answers by itself.

What the tunnel sends to the LAN's own prefix, and what would leave with a source of it, is dropped: two sites may have it.

The mapping of prefixes needs nft 0.9.5 and Linux 5.8 (Debian 11 has 0.9.8 and 5.10).
"""

from collections.abc import Iterable, Iterator

from netaddr import IPNetwork

from wg_office.network.access import Alias

FAMILIES = {4: "ip", 6: "ip6"}
"""What nft calls the versions."""


def chains(interface: str, aliases: tuple[Alias, ...]) -> Iterator[tuple[str, tuple[str, str, str], list[str]]]:
    """Each base chain by its name; its type, hook and priority; and its rules. None where nothing is translated."""
    if not aliases:
        return
    came, goes = f'iifname "{interface}"', f'oifname "{interface}"'
    arriving = [(each.known_as, each.real) for each in aliases]
    leaving = [(real, known_as) for known_as, real in arriving]
    # The guards stand where the translation has not been yet, on the way in, and where it has been, on the way out.
    yield "alias-guard-in", ("filter", "prerouting", "mangle"), [f"{came} {each} drop" for each in _real("daddr", aliases)]
    yield "alias-in", ("nat", "prerouting", "dstnat"), [f"{came} {each}" for each in _translate("dnat", "daddr", arriving)]
    yield "alias-out", ("nat", "postrouting", "srcnat"), [f"{goes} {each}" for each in _translate("snat", "saddr", leaving)]
    yield "alias-guard-out", ("filter", "postrouting", "150"), [f"{goes} {each} drop" for each in _real("saddr", aliases)]


def _real(end: str, aliases: Iterable[Alias]) -> Iterator[str]:
    yield from (f"{FAMILIES[each.real.version]} {end} {each.real}" for each in aliases)


def _translate(verb: str, end: str, pairs: Iterable[tuple[IPNetwork, IPNetwork]]) -> Iterator[str]:
    by_family: dict[str, list[str]] = {}
    for source, destination in pairs:
        by_family.setdefault(FAMILIES[source.version], []).append(f"{source} : {destination}")
    for family, listed in by_family.items():
        yield f"{verb} {family} prefix to {family} {end} map {{ {', '.join(listed)} }}"
