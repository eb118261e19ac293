"""Strict conversion between dataclasses and JSON or TOML, for every file that agecompact reads.

A missing field, an unknown field and a value of the wrong type are errors that name the field; so
are NaN, `"no"` for a bool and 2.7 for an int. A dataclass with a `SCHEMA_VERSION` has a
`schema_version` in its JSON, also when it is nested in another dataclass. One that also reads and
writes older versions implements `SeveralVersions`.
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import (
    Any,
    Literal,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
    runtime_checkable,
)

import cattrs
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from agecompact.errors import AgecompactError, UsageError
from agecompact.files import (
    check_plain,
    finite,
    json_value,
    parse_file,
    pretty_json,
    read_json,
    write_text,
)

VERSION_KEY = "schema_version"

_MAX_REASONS = 5
_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "text"}

_T = TypeVar("_T")


@runtime_checkable
class SeveralVersions(Protocol):
    """A dataclass with a `SCHEMA_VERSION` that reads and writes older versions as well."""

    @staticmethod
    def of_version(version: Any, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """The fields of another version as those of the present one; None if it is not read."""
        ...

    def to_version(self, fields: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """The version to write, and its fields.

        Args:
            fields: Those of the present version, as JSON values.
        """
        ...


class SchemaVersionError(ValueError):
    """The file has a schema version that this agecompact does not read."""


def structure(value: Any, kind: type[_T], *, where: str, fix: str = "") -> _T:
    """Builds a dataclass from JSON or TOML values.

    Args:
        value: As `json.loads` or `tomllib.loads` gives it.
        kind: The dataclass.
        where: What is being read, for the error message: `manifest build/c3ae/manifest.json`.
        fix: How to fix it, for the error message.

    Raises:
        UsageError: A field is missing, unknown, of the wrong type or out of range, or the schema
            version is not supported.
    """
    try:
        return _converter().structure(value, kind)
    except SchemaVersionError as error:
        raise UsageError(f"cannot read {where}", why=str(error), fix=fix) from None
    except Exception as error:  # cattrs groups all that constructors raise.
        reasons = _reasons(error)
        more = f"; and {len(reasons) - _MAX_REASONS} more" if len(reasons) > _MAX_REASONS else ""
        why = "; ".join(reasons[:_MAX_REASONS]) + more
        raise UsageError(f"cannot read {where}", why=why, fix=fix) from None


def unstructure(value: Any) -> Any:
    """Converts a dataclass, or a container of them, to JSON values."""
    return _converter().unstructure(value)


def read_versioned(path: Path, kind: type[_T], *, what: str, fix: str = "") -> _T:
    """Reads a JSON file that `write_versioned` wrote.

    Args:
        path: The file.
        kind: The dataclass; its `SCHEMA_VERSION` is the only version that is read.
        what: What the file should be, for the error message.
        fix: How to make the file again, for the error message.

    Raises:
        UsageError: The file is missing, is not JSON, or does not match the dataclass.
    """
    return structure(read_json(path, what=what, fix=fix), kind, where=f"{what} {path}", fix=fix)


def write_versioned(path: Path, value: Any) -> None:
    """Writes a dataclass as JSON, atomically.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    write_text(path, pretty_json(unstructure(value)))


def parse_json(text: str | bytes, kind: type[_T], *, where: str, fix: str = "") -> _T:
    """Builds a dataclass from JSON text.

    Raises:
        UsageError: The text is not JSON, or as in `structure`.
    """
    try:
        value = json_value(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON", why=str(error), fix=fix) from None
    return structure(value, kind, where=where, fix=fix)


def read_toml(path: Path, *, what: str, fix: str = "") -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UsageError: The file is missing or is not TOML, see `files.parse_file`.
    """
    table: dict[str, Any] = parse_file(path, parse_toml, what=what, fix=fix)
    return table


def parse_toml(text: str) -> dict[str, Any]:
    """Parses TOML strictly, so that the values can be written as JSON.

    Raises:
        ValueError: The text is not TOML, is nested too deeply, or has NaN, an infinite number, a
            date or a time.
        RecursionError: It is nested so deeply that it cannot be parsed.
    """
    table = tomllib.loads(text, parse_float=finite)
    check_plain(table)
    return table


def toml_value(text: str) -> Any:
    """A value of a command-line setting: as TOML has it, or else the text itself."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def shown(value: Any) -> str:
    """A value of a file in an error message: its beginning, as Python writes it."""
    return reprlib.repr(value)


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(
        forbid_extra_keys=True, unstruct_collection_overrides={tuple: list}
    )
    for kind in _NAMES:
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(Path, _path)
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook_factory(_is_literal, _literal)
    converter.register_structure_hook_factory(_is_homogeneous_tuple, _homogeneous_tuple)
    converter.register_structure_hook_factory(_is_fixed_tuple, _fixed_tuple)
    converter.register_structure_hook_factory(_is_mapping, _mapping)
    converter.register_structure_hook_factory(dataclasses.is_dataclass, _fields)
    converter.register_unstructure_hook_factory(_is_versioned, _versioned_fields)
    return converter


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    # JSON has one type of number, and some writers write 5.0 as 5. Only Python takes a bool for an
    # int.
    accepted = (int, float) if kind is float else (kind,)

    def hook(value: Any, _: Any) -> Any:
        if type(value) not in accepted or (kind is float and not math.isfinite(value)):
            raise TypeError(f"{shown(value)} is not {_NAMES[kind]}")
        return kind(value)

    return hook


def _path(value: Any, _: Any) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise TypeError(f"{shown(value)} is not a path")
    return Path(value)


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _literal(kind: Any) -> Callable[[Any, Any], Any]:
    choices = get_args(kind)

    def hook(value: Any, _: Any) -> Any:
        # Not `in`, because True == 1.
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise ValueError(f"{shown(value)} is none of {', '.join(map(str, choices))}")
        return value

    return hook


def _is_homogeneous_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[-1:] == (Ellipsis,)


def _homogeneous_tuple(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    items = homogenous_tuple_structure_factory(kind, converter)

    def hook(value: Any, own: Any) -> Any:
        # Python takes text for a sequence.
        if not isinstance(value, list | tuple):
            raise TypeError(f"{shown(value)} is not a list")
        return items(value, own)

    return hook


def _is_fixed_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and Ellipsis not in get_args(kind)


def _fixed_tuple(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    kinds = get_args(kind)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(kinds):
            raise TypeError(f"{shown(value)} is not a list of {len(kinds)}")
        return tuple(
            converter.structure(item, each) for item, each in zip(value, kinds, strict=True)
        )

    return hook


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _mapping(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    items = converter.gen_structure_mapping(dict[get_args(kind)])  # type: ignore[misc]

    def hook(value: Any, own: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"{shown(value)} is not an object")
        return items(value, own)

    return hook


def _version(kind: Any) -> int | None:
    return cast("int | None", getattr(kind, "SCHEMA_VERSION", None))


def _is_versioned(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) and _version(kind) is not None


def _fields(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    fields = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)
    version, several = _version(kind), issubclass(kind, SeveralVersions)

    def hook(value: Any, own: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"{shown(value)} is not an object")
        if version is None:
            return fields(value, own)
        found = value.get(VERSION_KEY)
        content = {k: v for k, v in value.items() if k != VERSION_KEY}
        if several and type(found) is int and found != version:
            older = kind.of_version(found, content)
            if older is not None:
                return fields(older, own)
        if found != version or isinstance(found, bool):
            raise SchemaVersionError(
                f"it has schema version {shown(found)}, this agecompact reads version {version}"
            )
        return fields(content, own)

    return hook


def _versioned_fields(kind: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
    fields = make_dict_unstructure_fn(kind, converter)
    several = issubclass(kind, SeveralVersions)

    def hook(value: Any) -> dict[str, Any]:
        version, content = _version(kind), fields(value)
        if several:
            version, content = value.to_version(content)
        return {VERSION_KEY: version, **content}

    return hook


def _reasons(error: BaseException) -> list[str]:
    """One line per error, with the path of the field."""
    lines = cattrs.transform_error(error, format_exception=_reason)
    return [line.replace(" @ $.", " at ").replace(" @ $", "") for line in lines]


def _reason(error: BaseException, _: Any) -> str:
    if isinstance(error, KeyError):
        # cattrs adds the path, which ends with the field's name.
        return "a field is missing"
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"unknown fields: {', '.join(sorted(error.extra_fields))}"
    if isinstance(error, AgecompactError):
        return error.summary
    return str(error)
