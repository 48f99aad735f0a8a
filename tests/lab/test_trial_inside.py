"""What is run in a node to try something says what becomes of a packet, in a namespace of this machine."""

import json
import subprocess
import sys
from pathlib import Path

INSIDE = Path(__file__).parents[2] / "lab" / "trial" / "inside.py"
SETUP = """
ip link set lo up && ip address add 198.18.0.1/32 dev lo && ip -6 address add fd00::1/128 dev lo nodad || exit 9
ip route add prohibit 198.18.0.2 && ip -6 route add prohibit fd00::2 || exit 9
nft -f - <<'RULES' || exit 9
table inet silent {
  chain arriving {
    type filter hook input priority 0
    tcp dport 81 drop
    udp dport 81 drop
    ip daddr 198.18.0.3 icmp type echo-request drop
  }
}
RULES
ip address add 198.18.0.3/32 dev lo && exec "$0" "$@"
"""

ATTEMPTS = {
    ("198.18.0.1", "198.18.0.1", "tcp", 80): "arrives",
    ("198.18.0.1", "198.18.0.1", "tcp", 81): "silence",
    ("198.18.0.1", "198.18.0.2", "tcp", 80): "refused",
    ("198.18.0.1", "198.18.0.1", "udp", 80): "arrives",
    ("198.18.0.1", "198.18.0.1", "udp", 81): "silence",
    ("198.18.0.1", "198.18.0.1", "icmp", 0): "arrives",
    ("198.18.0.1", "198.18.0.3", "icmp", 0): "silence",
    ("fd00::1", "fd00::1", "tcp", 80): "arrives",
    ("fd00::1", "fd00::1", "udp", 80): "arrives",
    ("fd00::1", "fd00::1", "icmp", 0): "arrives",
    ("fd00::1", "fd00::2", "tcp", 80): "refused",
    ("198.18.0.9", "198.18.0.1", "tcp", 80): "198.18.0.9 is no address of this machine",
}


def test_each_packet_is_said_to_arrive_or_not() -> None:
    said = subprocess.run(
        ["unshare", "--net", "bash", "-c", SETUP, sys.executable, str(INSIDE)],
        input=json.dumps(list(ATTEMPTS)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert dict(zip(ATTEMPTS, json.loads(said.stdout), strict=True)) == ATTEMPTS
