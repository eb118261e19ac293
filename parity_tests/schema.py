"""The JSON schema of `parity.json`, made from the dataclasses, for readers in other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agecompact.files import pretty_json
from agecompact.json_schema import document
from parity_tests.results import ParityReport, Result

PATH = Path(__file__).with_name("schema.json")


def generate() -> dict[str, Any]:
    """The schema, draft 2020-12, as JSON values."""
    return document(
        Result,
        title="parity.json of agecompact",
        version=ParityReport.SCHEMA_VERSION,
        items="results",
        passed=bool,
    )


if __name__ == "__main__":
    PATH.write_text(pretty_json(generate()), encoding="utf-8")
