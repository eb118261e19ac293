"""Faults in the metadata of an artefact of any format, and a precision that it does not have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from agecompact.artifacts import metadata
from tests.parity_tests.editing import Edit, in_mlpackage, in_onnx, in_tflite_metadata


def described(change: Callable[[dict[str, Any]], Any], path: Path) -> None:
    """Edits the JSON of agecompact inside an artefact."""

    def edited(text: str) -> str:
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    def in_specification(specification: Any) -> None:
        entries = specification.description.metadata.userDefined
        entries[metadata.KEY] = edited(entries[metadata.KEY])

    def in_graph(model: onnx.ModelProto) -> None:
        entry = next(p for p in model.metadata_props if p.key == metadata.KEY)
        entry.value = edited(entry.value)

    edits = {
        ".onnx": in_onnx(in_graph),
        ".tflite": in_tflite_metadata(edited),
        ".mlpackage": in_mlpackage(in_specification),
    }
    edits[path.suffix](path)


def with_field(*names: str, value: Any) -> Edit:
    def change(content: dict[str, Any]) -> None:
        for name in names[:-1]:
            content = content[name]
        content[names[-1]] = value

    return partial(described, change)


def without_tool(content: dict[str, Any]) -> None:
    content["versions"].popitem()


# By name: the fault. Each must be reported as `metadata`.
WRONG_METADATA: dict[str, Edit] = {
    "source": with_field("source", value="another paper"),
    "terms": with_field("terms", value="free for any use"),
    "no-terms": with_field("terms", value=""),
    "version": with_field("versions", "agecompact", value="9.9"),
    "no-version": partial(described, without_tool),
    "another-tool": with_field("versions", "tf2onnx", value="1.0"),
    "weights": with_field("weights_sha256", value="0" * 64),
    "interpolation": with_field("contract", "interpolation", value="linear"),
    "unit": with_field("contract", "output", "unit", value="score"),
    "minimum": with_field("contract", "output", "minimum", value=-1.0),
    "maximum": with_field("contract", "output", "maximum", value=100.0),
}


def as_half(path: Path) -> None:
    """Weights in float32 under the name of float16, as by a converter that skips them."""
    full = path.with_name(path.name.replace("float16", "float32").replace("unreduced", "none"))
    if full.is_dir():
        shutil.rmtree(path)
        shutil.copytree(full, path)
    else:
        shutil.copyfile(full, path)
    with_field("precision", value="float16")(path)
