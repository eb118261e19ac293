"""The few words of JSON Schema that `schema.json` uses, as a judge that is not the dataclasses'."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    *("$ref", "$schema", "$defs", "title", "description", "type", "const", "enum", "anyOf"),
    *("required", "additionalProperties", "properties", "items", "pattern"),
    *("exclusiveMinimum", "minimum", "maximum"),
}


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """What of a JSON value is not as a schema says.

    Args:
        value: The value.
        schema: The schema, or a part of it.
        root: The whole schema.
        at: Where the value stands.
    """
    assert set(schema) <= _KNOWN, set(schema) - _KNOWN
    if "$ref" in schema:
        return faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    if "anyOf" in schema:
        arms = [faults(value, arm, root, at) for arm in schema["anyOf"]]
        return [] if [] in arms else arms[0]
    found = _simple(value, schema, at)
    if isinstance(value, dict):
        found += _object(value, schema, root, at)
    if isinstance(value, list):
        for i, item in enumerate(value):
            found += faults(item, schema.get("items", {}), root, f"{at}[{i}]")
    return found


def _simple(value: Any, schema: dict[str, Any], at: str) -> list[str]:
    if "const" in schema and value != schema["const"]:
        return [f"{at} is {value!r}, not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at} is {value!r}, none of {schema['enum']}"]
    kind = schema.get("type")
    if kind is not None and (
        not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")
    ):
        return [f"{at} is {value!r}, not a {kind}"]
    outside = (
        ("exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"])
        or ("minimum" in schema and value < schema["minimum"])
        or ("maximum" in schema and value > schema["maximum"])
        or ("pattern" in schema and not re.search(schema["pattern"], value))
    )
    return [f"{at} is {value!r}, outside {schema}"] if outside else []


def _object(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str
) -> list[str]:
    found = [f"{at} lacks {name}" for name in schema.get("required", ()) if name not in value]
    extra = schema.get("additionalProperties", {})
    for name, item in value.items():
        if name in schema.get("properties", {}):
            found += faults(item, schema["properties"][name], root, f"{at}.{name}")
        elif extra is False:
            found.append(f"{at} has an unknown field {name}")
        else:
            found += faults(item, extra, root, f"{at}.{name}")
    return found
