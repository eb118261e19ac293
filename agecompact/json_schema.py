"""JSON Schemas generated from dataclasses, for readers in other languages."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from agecompact.checked import Pattern, Range, hints_of, optional

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {float: "number", int: "integer", str: "string", bool: "boolean"}


def document(kind: type, *, title: str, version: int, items: str, **more: type) -> dict[str, Any]:
    """The schema (draft 2020-12) of a file with a list of dataclasses.

    Args:
        kind: The dataclass.
        title: What the file is.
        version: Its `schema_version`.
        items: Name of the field with the list.
        **more: Other fields of the file, with their types.
    """
    definitions: dict[str, Any] = {}
    listed = _schema(kind, definitions)
    return {
        "$schema": _DIALECT,
        "title": title,
        "type": "object",
        "required": ["schema_version", *more, items],
        "additionalProperties": False,
        "properties": {
            "schema_version": {"const": version},
            **{name: _schema(hint, definitions) for name, hint in more.items()},
            items: {"type": "array", "items": listed},
        },
        "$defs": definitions,
    }


def object_document(kind: type, *, title: str, version: int) -> dict[str, Any]:
    """The schema (draft 2020-12) of a file that holds one dataclass.

    Args:
        kind: The dataclass.
        title: What the file is.
        version: Its `schema_version`.
    """
    definitions: dict[str, Any] = {}
    _reference(kind, definitions)
    own = definitions.pop(kind.__name__)
    return {
        "$schema": _DIALECT,
        "title": title,
        **own,
        "required": ["schema_version", *own["required"]],
        "properties": {"schema_version": {"const": version}, **own["properties"]},
        "$defs": definitions,
    }


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin = get_origin(hint)
    if origin is Annotated:
        base, *limits = get_args(hint)
        schema = _schema(base, definitions)
        for limit in limits:
            schema |= _limit(limit)
        return schema
    if (inner := optional(hint)) is not None:
        return {"anyOf": [_schema(inner, definitions), {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    if origin is tuple:
        return {"type": "array", "items": _schema(get_args(hint)[0], definitions)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        values = _schema(get_args(hint)[1], definitions)
        return {"type": "object", "additionalProperties": values}
    if dataclasses.is_dataclass(hint):
        return _reference(cast(type, hint), definitions)
    # `Any` is a value of any form, such as a report inside the report.
    return {} if hint is Any else {"type": _PLAIN[hint]}


def _reference(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        descriptions = _attributes(kind)
        definitions[kind.__name__] = {
            "description": (kind.__doc__ or "").strip().splitlines()[0],
            "type": "object",
            "required": [
                f.name
                for f in dataclasses.fields(kind)
                if f.default is f.default_factory is dataclasses.MISSING
            ],
            "additionalProperties": False,
            "properties": {
                name: {"description": descriptions[name], **_schema(hint, definitions)}
                for name, hint in hints_of(kind).items()
            },
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _limit(limit: Range | Pattern) -> dict[str, Any]:
    if isinstance(limit, Pattern):
        return {"pattern": f"^{limit.expression}$"}
    bounds = {
        "exclusiveMinimum": limit.above,
        "minimum": limit.at_least,
        "maximum": limit.at_most,
    }
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _attributes(kind: type) -> dict[str, str]:
    """Descriptions in the `Attributes:` section of a docstring, by name."""
    section = (kind.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.split(r"^ {8}(?=\w+: )", section, flags=re.MULTILINE)[1:]
    pairs = (entry.partition(": ") for entry in entries)
    return {name: " ".join(text.split()) for name, _, text in pairs}
