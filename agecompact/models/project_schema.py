"""The JSON schema of a project file, made from the dataclasses, for editors that check TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agecompact.files import pretty_json
from agecompact.json_schema import object_document
from agecompact.models.project import ProjectFile

PATH = Path(__file__).with_name("project.schema.json")


def generate() -> dict[str, Any]:
    """The schema, draft 2020-12, as JSON values."""
    return object_document(
        ProjectFile, title="project file of agecompact", version=ProjectFile.SCHEMA_VERSION
    )


if __name__ == "__main__":
    PATH.write_text(pretty_json(generate()), encoding="utf-8")
