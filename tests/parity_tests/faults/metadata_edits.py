"""Edits of the contract inside an artefact, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from agecompact.artifacts import metadata
from tests.parity_tests.editing import Edit, in_mlpackage, in_onnx, in_tflite


def contract(**changes: Any) -> Edit:
    """Changes fields of the embedded contract."""

    def changed(text: str) -> str:
        content = json.loads(text)
        content["contract"].update(changes)
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    def edit(path: Path) -> None:
        {".onnx": _onnx, ".tflite": _tflite, ".mlpackage": _mlpackage}[path.suffix](path)

    def _onnx(path: Path) -> None:
        def change(model: onnx.ModelProto) -> None:
            entry = next(e for e in model.metadata_props if e.key == metadata.KEY)
            entry.value = changed(entry.value)

        in_onnx(change)(path)

    def _tflite(path: Path) -> None:
        def change(model: Any) -> None:
            entry = next(e for e in model.metadata if e.name == metadata.KEY.encode())
            buffer = model.buffers[entry.buffer]
            text = changed(bytes(buffer.data).decode())
            buffer.data = np.frombuffer(text.encode(), np.uint8)

        in_tflite(change)(path)

    def _mlpackage(path: Path) -> None:
        def change(specification: Any) -> None:
            entries = specification.description.metadata.userDefined
            entries[metadata.KEY] = changed(entries[metadata.KEY])

        in_mlpackage(change)(path)

    return edit
