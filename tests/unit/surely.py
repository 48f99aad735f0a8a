"""What an environment may lack and a test takes for granted: who lacks it fails the test, with a name."""

from typing import Any, TypeVar

from netaddr import IPAddress
from pydantic import BaseModel

from wg_office.environment.model import Client, Device, Environment, Gateway, Hub, Lan, Router, Site, Ssh

Model = TypeVar("Model", bound=BaseModel)


def ssh_of(host: Hub | Gateway | Router | Device) -> Ssh:
    assert host.ssh is not None, f"{host} has no ssh"
    return host.ssh


def lan_of(site: Site) -> Lan:
    assert site.lan is not None, f"{site.name} has no lan, or several"
    return site.lan


def lan_address_of(site: Site) -> IPAddress:
    address = lan_of(site).address
    assert address is not None, f"{site.name} has no address in its lan"
    return address


def router_of(site: Site) -> Router:
    assert isinstance(site.router, Router), f"{site.name} has no router of its own"
    return site.router


def gateway(env: Environment, name: str) -> Gateway:
    peer = env.peer(name)
    assert isinstance(peer, Gateway), f"{name} is no gateway"
    return peer


def client(env: Environment, name: str) -> Client:
    peer = env.peer(name)
    assert isinstance(peer, Client), f"{name} is no developer's machine"
    return peer


def unread(kind: type[Model], **values: Any) -> Model:
    """One of which nothing else could be read."""
    return kind.model_construct(**values)
