"""The JSON schema that editors use agrees with the model."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from wg_office.environment.document import parse
from wg_office.environment.schema import schema_text

CONFIGS = Path(__file__).parents[2] / "configs"
FAULTS = Path(__file__).parent / "faults"
VALIDATOR = Draft202012Validator(json.loads(schema_text()))

# Mistakes inside a single value, which an editor can underline while one types.
VISIBLE_IN_AN_EDITOR = [
    "unknown-field",
    "unknown-top-level-field",
    "missing-field",
    "missing-address",
    "name-is-a-number",
    "name-uppercase",
    "name-too-long",
    "number-in-quotes",
    "boolean-as-word",
    "list-expected",
    "mapping-expected",
    "unknown-choice",
    "unknown-platform",
    "mtu-out-of-range",
    "interface-too-long",
    "endpoint-name-not-in-full",
    "host-key-rsa",
    "grant-of-no-kind",
    "grant-unknown-field",
    "port-unknown-protocol",
    "grant-ports-empty",
    "group-name-invalid",
    "public-key-wrong-length",
    "until-without-a-zone",
    "until-in-a-named-zone",
    "until-is-no-date",
]


def test_the_file_in_configs_is_the_model_s() -> None:
    remedy = "python -m wg_office schema > configs/environment.schema.json"
    assert (CONFIGS / "environment.schema.json").read_text(encoding="utf-8") == schema_text(), remedy


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_the_shipped_environments_are_valid_and_name_the_schema(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=environment.schema.json\n")
    assert [error.message for error in VALIDATOR.iter_errors(parse(text).data)] == []


@pytest.mark.parametrize("name", VISIBLE_IN_AN_EDITOR)
def test_an_editor_would_see(name: str) -> None:
    assert not VALIDATOR.is_valid(parse((FAULTS / f"{name}.yaml").read_text()).data)


def test_every_field_is_described() -> None:
    for record in json.loads(schema_text())["$defs"].values():
        for name, field in record["properties"].items():
            assert field.get("description"), f"{record['title']}.{name}"
