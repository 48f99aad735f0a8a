"""A name server on the lab's internet, for the machines that are told of it: dnsmasq on a router at somebody's home."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lab import Lab

SERVER = "rf"
ADDRESS = "203.0.113.32"
FILE, PROCESS = "/run/names", "/run/names.pid"
DNSMASQ = ("dnsmasq", "--user=root", "--no-resolv", "--no-hosts", "--local=/example.org/", f"--addn-hosts={FILE}", f"--pid-file={PROCESS}")
ASKED = "udp dport 53 accept"  # the router lets nothing new in by itself


@dataclass(frozen=True)
class Names:
    """What the name server says of one name, from now on."""

    lab: Lab
    name: str

    def says(self, *addresses: str) -> None:
        """The name is there."""
        self.lab.put(SERVER, FILE, "".join(f"{address} {self.name}\n" for address in addresses))
        self.lab.exec(SERVER, ["sh", "-c", f"kill -HUP $(cat {PROCESS})"])

    def answers(self) -> None:
        """Questions come in."""
        self.lab.exec(SERVER, ["nft", "insert", "rule", "ip", "lab_router", "itself", *ASKED.split()])

    def is_silent(self) -> None:
        """Questions are dropped: nobody hears yes or no."""
        self.lab.exec(SERVER, ["nft", "-f", "/etc/lab/router.nft"])


@contextmanager
def serving_names(lab: Lab, name: str, address: str, asking: Sequence[str]) -> Iterator[Names]:
    """The name is at the address; the machines that ask know of the server in their resolv.conf."""
    names = Names(lab, name)
    lab.put(SERVER, FILE, f"{address} {name}\n")
    lab.exec(SERVER, [*DNSMASQ])
    try:
        names.answers()
        for node in asking:
            lab.put(node, "/etc/resolv.conf", f"nameserver {ADDRESS}\n")
        yield names
    finally:
        names.is_silent()
        lab.exec(SERVER, ["sh", "-c", f"kill $(cat {PROCESS}); rm -f {FILE} {PROCESS}"])
        for node in asking:
            lab.put(node, "/etc/resolv.conf", "")
