"""What `check --resolve` says of a name, and that nothing looks one up unless asked."""

import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from wg_office.commands.cli import app

FILE = Path(__file__).parent / "cases" / "dynamic-name.yaml"
NAME = "home.dyn.test"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up; they have the addresses that stand in it by then, as `ADDRESS=NAME`."""
    names: list[str] = []

    def getaddrinfo(name: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        known = [entry.partition("=")[0] for entry in names if entry.endswith(f"={name}")]
        names.append(name)
        if not known:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (address, 0)) for address in known]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


def said(*options: str) -> str:
    result = CliRunner().invoke(app, ["check", str(FILE), *options])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_nothing_is_looked_up_unless_asked(asked: list[str]) -> None:
    said()
    assert asked == []


def test_a_name_that_does_not_resolve_is_a_warning_where_asked(asked: list[str]) -> None:
    assert f"hub.endpoint: {NAME} does not resolve, seen from here; give it an address in DNS, or correct the name" in said("--resolve")
    assert asked == [NAME]


def test_a_name_that_leads_into_the_tunnel_is_told_with_its_address(asked: list[str]) -> None:
    asked.append(f"172.20.5.9={NAME}")
    assert f"hub.endpoint: {NAME} has the address 172.20.5.9: 172.20.5.9 lies in the LAN 172.20.5.0/24 of gateway gate" in said("--resolve")


def test_a_name_with_a_public_address_is_fine(asked: list[str]) -> None:
    asked.append(f"203.0.113.10={NAME}")
    assert "hub.endpoint" not in said("--resolve")
