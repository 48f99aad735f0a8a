"""The ground of a try as network namespaces of this machine: the real rules and real packets, in seconds, and without WireGuard.

As in netns.py the tunnel is made of veths. The hub's end is a bridge, whose ports are kept apart: so every packet of one peer to another
passes the hub, as it does with WireGuard.
"""

import os
import sys
from collections.abc import Iterable
from itertools import count

from netaddr import IPAddress, IPNetwork
from netns import Namespaces, run_command

from lab.nodes import Node
from lab.seed import router_rules
from lab.trial.case import INSIDE, Case, tried
from lab.trial.verdict import Verdict
from wg_office.environment.model import Peer, Site
from wg_office.hosts.firewall import files
from wg_office.network.plan import Route, plan

FORWARD = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.send_redirects=0")
HOST = (*FORWARD, "net.ipv4.conf.all.rp_filter=2", "net.ipv4.conf.all.src_valid_mark=1", "net.ipv4.icmp_ratelimit=0")


class GroundNet(Namespaces):
    """All machines of a case, until it is left."""

    def __init__(self, case: Case) -> None:
        self.case, self.prefix, self.ports = case, f"wgt{os.getpid()}", count(1)
        self.names = ["switch", *case.ground.topology.by_name]

    # --- cables ---------------------------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        topology = self.case.ground.topology
        for name in self.names:
            run_command(["ip", "netns", "add", f"{self.prefix}-{name}"])
            self.run(name, ["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv4.icmp_ratelimit=0"])
        self.ip("switch", *(line for each in topology.bridges for line in (f"link add {each} type bridge", f"link set {each} up")))
        for node in topology.nodes:
            self._plug(node)
        self._tunnel()
        for node in topology.nodes:
            self._ways_out(node)
        self._hosts()

    def _plug(self, node: Node) -> None:
        self.ip(node.name, "link set lo up")
        for link in node.links:
            port = self._cable(node.name, link.name, "switch")
            self.ip("switch", f"link set {port} master {link.bridge} up")
            self.ip(node.name, f"link set {link.name} up", *(f"addr add {each} dev {link.name}" for each in link.addresses))

    def _cable(self, node: str, name: str, other: str) -> str:
        port, (one, two) = f"port{next(self.ports)}", (f"{self.prefix}-{each}" for each in (node, other))
        run_command(["ip", "link", "add", "name", name, "netns", one, "type", "veth", "peer", "name", port, "netns", two])
        return port

    def _ways_out(self, node: Node) -> None:
        self.ip(node.name, *(f"route replace default via {way}" for way in (node.gateway, node.gateway6) if way))
        if node.flat:
            self.ip(node.name, *(f"{family}route replace default dev {node.links[-1].name}" for family in ("", "-6 ")))
        if node.routes_for:
            self.run(node.name, ["sysctl", "-qw", *FORWARD])
            self.run(node.name, ["nft", "-f", "-"], router_rules(node))

    # --- the tunnel -----------------------------------------------------------------------------------------------------------------------

    def _tunnel(self) -> None:
        env, hosts = self.case.env, self.case.ground.hosts
        tunnel = env.network.interface
        # With an address of its own: a bridge else takes that of another port whenever one is plugged in.
        self.ip("hub", f"link add {tunnel} address 02:00:00:00:00:01 type bridge", f"link set {tunnel} up")
        self.ip("hub", *(f"addr add {each} dev {tunnel}" for each in self._of(env.hub)))
        for gateway in env.active_gateways:
            if gateway.name in hosts:
                self._peer(gateway, hosts[gateway.name], gateway.prefixes)
        for client in env.clients:
            if client.name in self.case.ground.laptops:
                self._peer(client, self.case.ground.laptops[client.name], ())

    def _of(self, peer: Peer) -> list[IPAddress]:
        six = self.case.env.address6_of(peer)
        return [peer.address] if six is None else [peer.address, six]

    def _peer(self, peer: Peer, node: str, behind: Iterable[IPNetwork]) -> None:
        env, tunnel = self.case.env, self.case.env.network.interface
        port = self._cable(node, tunnel, "hub")
        self.ip("hub", f"link set {port} master {tunnel} up")
        self.run("hub", ["bridge", "link", "set", "dev", port, "isolated", "on"])
        self.ip(node, f"link set {tunnel} up", *(f"addr add {each} dev {tunnel}" for each in self._of(peer)))
        here, there = self._mac(node, tunnel), self._mac("hub", tunnel)
        for own, hub in zip(self._of(peer), self._of(env.hub), strict=True):
            self.ip("hub", f"route replace {own} dev {tunnel}", f"neigh replace {own} lladdr {here} dev {tunnel} nud permanent")
            self.ip(node, f"route replace {hub} dev {tunnel}", f"neigh replace {hub} lladdr {there} dev {tunnel} nud permanent")
            routes = [each for each in self._carried(peer) if each.version == own.version]
            self.ip(node, *(f"route replace {each} via {hub} dev {tunnel} src {own}" for each in routes))
            self.ip("hub", *(f"route replace {each} via {own} dev {tunnel}" for each in behind if each.version == own.version))

    def _carried(self, peer: Peer) -> tuple[IPNetwork, ...]:
        """What a gateway routes into the tunnel, by its plan, and what people's files do: all that there is."""
        if not isinstance(peer, Site):
            return self.case.env.routed
        tunnel = next(host.tunnel for host in plan(self.case.env) if host.name == peer.name)
        return (*self.case.env.vpn, *(tunnel.routes if tunnel is not None else ()))

    # --- what the program and people set --------------------------------------------------------------------------------------------------

    def _hosts(self) -> None:
        env, ground = self.case.env, self.case.ground
        sites: tuple[Site, ...] = (env.hub, *env.active_gateways)
        for site in sites:
            if site.name in ground.hosts:
                node = ground.hosts[site.name]
                self.run(node, ["sysctl", "-qw", *HOST])
                self.run(node, ["nft", "-f", "-"], files(self.case.reach.policies[site.name], "nftables")["nftables.nft"])
        for host in plan(env):
            if host.role in ("router", "device"):
                self._routes(ground.hosts[host.name], host.routes)
        for node, routes in ground.typed.items():
            self._routes(node, routes)

    def _routes(self, node: str, routes: Iterable[Route]) -> None:
        self.ip(node, *(f"route replace {each.destination} via {each.via}" for each in routes))

    # --- trying ---------------------------------------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """What becomes of all that the case tries."""
        return self.case.verdict(tried(self.case.connections, self._inside))

    def _inside(self, node: str, asked: str) -> str:
        return self.run(node, [sys.executable, "-I", str(INSIDE)], asked)
