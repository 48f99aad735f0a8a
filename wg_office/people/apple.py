"""A configuration profile for Apple devices: the everyday tunnel, off in the offices and on elsewhere by itself. Pure.

Its keys are those that Apple and WireGuard publish; no device was at hand to try it.
"""

from __future__ import annotations

import plistlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from netaddr import IPAddress, IPNetwork

from wg_office.environment.model import Client, Environment, Site
from wg_office.people.profiles import MISSING_PRIVATE_KEY, Profile, portable, reachable_sites

Apple = Literal["macos", "ios"]
APPLE: tuple[Apple, ...] = ("macos", "ios")

_NAMESPACE = uuid.UUID("6b1a4f0e-6f6a-5d0e-9d7e-0c6f0a1f5b1e")


def file_name(profile: Profile, platform: Apple) -> str:
    """`dev-vpn-ios.mobileconfig`: each system names its own app."""
    return f"{profile.name}-{platform}.mobileconfig"


@dataclass(frozen=True)
class Signs:
    """By what a device knows that it is in an office of its owner: name servers there, or the names of its Wi-Fi."""

    servers: tuple[str, ...]
    wifi: tuple[str, ...]

    @property
    def rules(self) -> list[dict[str, object]]:
        """For each kind the rule that ends the tunnel, and the last, by which it is on everywhere else."""
        by_server: dict[str, object] = {"Action": "Disconnect", "DNSServerAddressMatch": list(self.servers)}
        by_name: dict[str, object] = {"Action": "Disconnect", "InterfaceTypeMatch": "WiFi", "SSIDMatch": list(self.wifi)}
        return [*([by_server] if self.servers else []), *([by_name] if self.wifi else []), {"Action": "Connect"}]


def signs_of(env: Environment, client: Client) -> Signs:
    """Those of the offices that the owner may reach."""
    sites = reachable_sites(env, client.developer)
    servers = dict.fromkeys(map(str, _name_servers(env, client, sites)))
    return Signs(tuple(servers), tuple(dict.fromkeys(name for site in sites for name in site.wifi)))


def mobileconfig(env: Environment, client: Client, profile: Profile, text: str, platform: Apple) -> bytes | None:
    """The profile with a WireGuard file's text, the same bytes each time. None where no office could be told, or the owner has the key."""
    signs = signs_of(env, client)
    if signs == Signs((), ()) or MISSING_PRIVATE_KEY in text:
        return None
    identifier = f"wg-office.{env.environment}.{client.name}"
    tunnel = {
        "PayloadDisplayName": "VPN",
        "PayloadType": "com.apple.vpn.managed",
        **_identity(f"{identifier}.tunnel", text),
        "UserDefinedName": profile.name,
        "VPNType": "VPN",
        "VPNSubType": f"com.wireguard.{platform}",
        "VendorConfig": {"WgQuickConfig": portable(text)},
        "VPN": {
            "RemoteAddress": profile.endpoint,
            "AuthenticationMethod": "Password",
            "OnDemandEnabled": 1,
            "OnDemandRules": signs.rules,
        },
    }
    whole = {
        "PayloadDisplayName": f"{profile.name}: {client.name}",
        "PayloadType": "Configuration",
        **_identity(identifier, text),
        "PayloadContent": [tunnel],
    }
    return plistlib.dumps(whole, sort_keys=False)


def apple_files(env: Environment, client: Client, profile: Profile, text: str) -> dict[str, bytes]:
    """The configuration profiles by file name, for the system that the machine has, or for both where the file does not say."""
    wanted = (each for each in APPLE if client.platform in (None, each))
    made = {file_name(profile, each): mobileconfig(env, client, profile, text, each) for each in wanted}
    return {name: data for name, data in made.items() if data is not None}


def _identity(identifier: str, text: str) -> dict[str, object]:
    """One with the same identifier takes the place of the one before; what is in it has a UUID of its own."""
    return {
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": str(uuid.uuid5(_NAMESPACE, f"{identifier}\n{text}")).upper(),
    }


def _name_servers(env: Environment, client: Client, sites: tuple[Site, ...]) -> Iterator[IPAddress]:
    """Those in the offices' own networks, by the addresses that they have there, but for one that stands at the owner's home too."""
    home = client.developer.home
    for server in () if env.network.dns is None else env.network.dns.servers:
        for site in sites:
            if any(server in lan.known_as for lan in site.networks if not lan.outside):
                here = site.as_here(IPNetwork(server)).ip
                if home is None or here not in home:
                    yield here
