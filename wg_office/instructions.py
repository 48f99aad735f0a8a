"""What a person must do by hand, exactly, per site. Pure. Room: the core."""

from wg_office.access import permissions
from wg_office.model import Environment, Gateway
from wg_office.plan import way_back_routes


def by_hand(env: Environment) -> tuple[str, ...]:
    """One instruction per site whose way back neither the program nor masquerading provides, in the order of the file."""
    return tuple(_static_route(env, gateway) for gateway in env.gateways if _needs_a_person(env, gateway))


def route_commands(env: Environment, gateway: Gateway) -> tuple[str, ...]:
    """The way back from a LAN as commands for a Linux router."""
    return tuple(f"ip route replace {route.destination} via {route.via}" for route in way_back_routes(env, gateway))


def _needs_a_person(env: Environment, gateway: Gateway) -> bool:
    if gateway.return_path != "static-route" or gateway.retired:
        return False
    router_by_program = gateway.router is not None and gateway.router.ssh is not None
    return not router_by_program and not _devices_are_all(env, gateway)


def _devices_are_all(env: Environment, gateway: Gateway) -> bool:
    """Whether only machines whose route the program sets are reached in this LAN, or reach something from it."""
    places = [place for item in permissions(env) for place in (item.source, item.destination)]
    used = {network for place in places if (place.kind, place.name) == ("site", gateway.site) for network in place.networks}
    knowing = {gateway.lan.address, *(device.address for device in gateway.devices)}
    return bool(gateway.devices) and all(network.size == 1 and network.ip in knowing for network in used)


def _static_route(env: Environment, gateway: Gateway) -> str:
    router = gateway.router.address if gateway.router is not None else None
    where = f"the router {router}" if router is not None else f"the default gateway of {gateway.lan.cidr}"
    routes = " and ".join(f"{route.destination} via {route.via}" for route in way_back_routes(env, gateway))
    known = f" (the program sets it on {', '.join(device.name for device in gateway.devices)} alone)" if gateway.devices else ""
    # Short, because Pulumi cuts a long line where it shows outputs.
    return f"site {gateway.site}: on {where} add the static route {routes}{known}. On Linux: {'; '.join(route_commands(env, gateway))}"
