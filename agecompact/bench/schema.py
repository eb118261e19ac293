"""The JSON schema of `latency.json`, generated from the dataclasses for other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agecompact.bench.record import SCHEMA_VERSION, Record
from agecompact.files import pretty_json
from agecompact.json_schema import document

PATH = Path(__file__).with_name("schema.json")


def generate() -> dict[str, Any]:
    """Returns the schema, draft 2020-12, as JSON values."""
    return document(
        Record, title="latency.json of agecompact", version=SCHEMA_VERSION, items="records"
    )


if __name__ == "__main__":
    PATH.write_text(pretty_json(generate()), encoding="utf-8")
