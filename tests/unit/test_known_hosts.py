import base64
import hashlib
import hmac

import pytest

from wg_office.environment.known_hosts import KnownHosts, keyscan
from wg_office.environment.model import Ssh

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFlOUZrkmTErKUM7fdipf/Bo3vy6l1W21dAOhMUk1nsG"
OTHER = KEY.replace("1nsG", "1nsH")


def hashed(name: str, salt: bytes = b"twenty bytes of salt") -> str:
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("names", "host", "port"),
    [
        ("gate.example.com", "gate.example.com", 22),
        ("gate.example.com", "GATE.example.com", 22),
        ("gate,198.51.100.7", "198.51.100.7", 22),
        ("[198.51.100.7]:2222", "198.51.100.7", 2222),
        ("[2001:db8::1]:2222", "2001:db8::1", 2222),
        ("*.example.com,!bad.example.com", "gate.example.com", 22),
        ("198.51.100.?", "198.51.100.7", 22),
        (hashed("gate.example.com"), "gate.example.com", 22),
        (hashed("[198.51.100.7]:2222"), "198.51.100.7", 2222),
    ],
)
def test_a_host_is_found_as_openssh_finds_it(names: str, host: str, port: int) -> None:
    assert KnownHosts(f"# comment\n\n{names} {KEY} comment\n").find(host, port) == (KEY, "")


@pytest.mark.parametrize(
    ("names", "host", "port"),
    [
        ("gate.example.com", "gate", 22),
        ("198.51.100.7", "198.51.100.7", 2222),
        ("[198.51.100.7]:2222", "198.51.100.7", 22),
        ("*.example.com,!bad.example.com", "bad.example.com", 22),
        ("198.51.100.7", "198x51.100.7", 22),
        (hashed("gate.example.com"), "gate", 22),
        ("|1|no base64|at all", "gate", 22),
        ("|2|AAAA|AAAA", "gate", 22),
    ],
)
def test_another_host_s_key_is_not_taken(names: str, host: str, port: int) -> None:
    key, reason = KnownHosts(f"{names} {KEY}\n").find(host, port)
    assert key is None
    assert reason.startswith("has no ssh-ed25519 key of")


def test_the_ed25519_key_is_taken_from_among_others() -> None:
    text = f"gate ssh-rsa AAAAB3NzaC1yc2E=\ngate {KEY}\ngate ecdsa-sha2-nistp256 AAAA\n"
    assert KnownHosts(text).find("gate", 22) == (KEY, "")


def test_the_same_key_twice_is_no_contradiction() -> None:
    assert KnownHosts(f"gate {KEY}\n* {KEY}\n").find("gate", 22) == (KEY, "")


def test_two_keys_are_a_contradiction() -> None:
    assert KnownHosts(f"gate {KEY}\ngate {OTHER}\n").find("gate", 22) == (None, "has different keys of gate (lines 1 and 2)")


def test_a_revoked_key_is_not_taken() -> None:
    assert KnownHosts(f"gate {KEY}\n@revoked * {KEY}\n").find("gate", 22) == (None, "marks the key of gate as revoked")


def test_a_certificate_authority_is_no_host_key() -> None:
    assert KnownHosts(f"@cert-authority * {KEY}\n").find("gate", 22)[0] is None


def test_a_damaged_key_is_named_with_its_line() -> None:
    assert KnownHosts(f"\ngate {KEY[:-3]}\n").find("gate", 22) == (None, "has a damaged key of gate (line 2)")


def test_lines_that_are_none_are_passed_over() -> None:
    assert KnownHosts("\n\x00\n@\n@revoked\nx\nx y\n").find("gate", 22)[0] is None


def test_keyscan_names_the_port_only_when_it_is_unusual() -> None:
    assert keyscan(Ssh(host="gate")) == "ssh-keyscan -t ed25519 gate"
    assert keyscan(Ssh(host="gate", port=2222)) == "ssh-keyscan -t ed25519 -p 2222 gate"


def test_a_host_behind_the_hub_is_asked_from_there() -> None:
    """Nobody else reaches its address in the VPN."""
    behind = Ssh(host="10.70.0.2", via="hub")
    assert keyscan(behind, Ssh(host="203.0.113.10")) == "ssh root@203.0.113.10 ssh-keyscan -t ed25519 10.70.0.2"
    assert keyscan(behind, Ssh(host="z.example", port=2222, user="ops")) == "ssh -p 2222 ops@z.example ssh-keyscan -t ed25519 10.70.0.2"
    assert keyscan(behind) == "ssh HUB ssh-keyscan -t ed25519 10.70.0.2"
