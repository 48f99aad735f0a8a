"""What a person must do by hand, exactly, per site. Pure. Room: the core."""

from wg_office.model import Environment, Gateway
from wg_office.plan import way_back_routes


def by_hand(env: Environment) -> tuple[str, ...]:
    """One instruction per site whose way back neither the program nor masquerading provides, in the order of the file."""
    return tuple(_static_route(env, gateway) for gateway in env.gateways if _needs_a_person(gateway))


def route_commands(env: Environment, gateway: Gateway) -> tuple[str, ...]:
    """The way back from a LAN as commands for a Linux router."""
    return tuple(f"ip route replace {route.destination} via {route.via}" for route in way_back_routes(env, gateway))


def _needs_a_person(gateway: Gateway) -> bool:
    by_program = (gateway.router is not None and gateway.router.ssh is not None) or bool(gateway.devices)
    return gateway.return_path == "static-route" and not by_program and not gateway.retired


def _static_route(env: Environment, gateway: Gateway) -> str:
    router = gateway.router.address if gateway.router is not None else None
    where = f"the router {router}" if router is not None else f"the default gateway of {gateway.lan.cidr}"
    routes = " and ".join(f"{route.destination} via {route.via}" for route in way_back_routes(env, gateway))
    # Short, because Pulumi cuts a long line where it shows outputs.
    return f"site {gateway.site}: on {where} add the static route {routes}. On Linux: {'; '.join(route_commands(env, gateway))}"
