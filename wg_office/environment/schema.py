"""The JSON schema of environment files, for editors; configs/environment.schema.json holds it."""

import json

from wg_office.environment.model import Environment


def schema_text() -> str:
    """The schema as the file has it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Environment.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
