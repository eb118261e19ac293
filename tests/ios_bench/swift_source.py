"""Swift files parsed by tree-sitter: syntax, stored properties, coding keys, constants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tree_sitter
import tree_sitter_swift

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ios_bench/AgecompactBench"
CORE = PACKAGE / "Sources/BenchCore"

_LANGUAGE = tree_sitter.Language(tree_sitter_swift.language())


@dataclass(frozen=True)
class Type:
    """A struct or an enum.

    Attributes:
        properties: Types of its stored properties, by their coding key.
        cases: Raw values of an enum's cases.
    """

    properties: dict[str, str]
    cases: tuple[str, ...]


def swift_files() -> list[Path]:
    """Returns every Swift file outside build folders."""
    places = (ROOT / "ios_bench", ROOT / "tests/ios_bench/fake_coreml")
    found = (path for place in places for path in place.rglob("*.swift"))
    return sorted(p for p in found if not {".build", "DerivedData"} & set(p.parts))


def faults(source: bytes) -> list[str]:
    """Returns the syntax errors, by line."""
    root = tree_sitter.Parser(_LANGUAGE).parse(source).root_node
    return [
        f"line {node.start_point[0] + 1}: {node.type}"
        for node in _walk(root)
        if node.is_error or node.is_missing
    ]


def types_of(source: bytes) -> dict[str, Type]:
    """Returns the structs and enums of a file, by name."""
    root = tree_sitter.Parser(_LANGUAGE).parse(source).root_node
    return {
        _text(node.child_by_field_name("name")): _type(node)
        for node in root.children
        if node.type == "class_declaration" and _text(node.children[0]) != "extension"
        if _keyword(node) in ("struct", "enum")
    }


def constants_of(source: bytes) -> dict[str, str]:
    """Returns the literals of the `static let` of a file, by name."""
    root = tree_sitter.Parser(_LANGUAGE).parse(source).root_node
    return {
        _text(node.child_by_field_name("name")): _text(node.child_by_field_name("value"))
        for node in _walk(root)
        if node.type == "property_declaration" and node.child_by_field_name("value")
    }


def availabilities(source: bytes) -> set[str]:
    """Returns the versions in `if #available` and `@available`."""
    root = tree_sitter.Parser(_LANGUAGE).parse(source).root_node
    kinds = ("availability_condition", "attribute")
    found = (_text(node) for node in _walk(root) if node.type in kinds)
    return {text[text.index("(") + 1 : -1] for text in found if "available(" in text}


def _type(node: tree_sitter.Node) -> Type:
    body = node.child_by_field_name("body")
    assert body is not None
    stored = {
        _text(child.child_by_field_name("name")): _text(annotation).removeprefix(":").strip()
        for child in body.children
        if child.type == "property_declaration" and not _is_static(child)
        for annotation in child.children
        if annotation.type == "type_annotation"
    }
    keys = next(
        (
            _cases(child)
            for child in body.children
            if child.type == "class_declaration"
            and _text(child.child_by_field_name("name")) == "CodingKeys"
        ),
        {},
    )
    properties = {keys[name]: kind for name, kind in stored.items() if name in keys}
    # A property without a key, or a key without a property, is neither written nor read.
    assert len(properties) == len(keys) or not keys, _text(node.child_by_field_name("name"))
    assert not keys or set(stored) == set(keys), set(stored) ^ set(keys)
    return Type(properties, tuple(_cases(node).values()) if _keyword(node) == "enum" else ())


def _cases(node: tree_sitter.Node) -> dict[str, str]:
    body = node.child_by_field_name("body")
    assert body is not None
    cases = {}
    for entry in body.children:
        if entry.type == "enum_entry":
            raw = entry.child_by_field_name("raw_value")
            for name in entry.children_by_field_name("name"):
                cases[_text(name)] = _text(raw).strip('"') if raw else _text(name)
    return cases


def _keyword(node: tree_sitter.Node) -> str:
    return _text(node.child_by_field_name("declaration_kind"))


def _is_static(node: tree_sitter.Node) -> bool:
    return any(c.type == "modifiers" and "static" in _text(c) for c in node.children)


def _walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _text(node: tree_sitter.Node | None) -> str:
    return node.text.decode() if node is not None and node.text is not None else ""
