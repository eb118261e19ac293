"""Golden packs written without the code under test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def pack_files(
    weights_sha256: str,
    images: Mapping[str, Any],
    table: Any,
    outputs: Mapping[str, Any],
    *,
    model: str = "ssrnet",
    samples: tuple[str, ...] | None = None,
    tolerances: Mapping[str, float] | None = None,
) -> dict[str, bytes]:
    """Returns the files of a pack in the documented format, by name."""
    files: dict[str, bytes] = {}

    def stored(name: str, values: Any, kind: str, suffix: str) -> dict[str, Any]:
        file = f"{name}.{suffix}"
        files[file] = np.ascontiguousarray(values, kind).tobytes()
        dtype = {"u1": "uint8", "<f4": "float32"}[kind]
        return {"file": file, "shape": list(np.shape(values)), "dtype": dtype}

    count = len(next(iter(images.values())))
    index = {
        "schema_version": 1,
        "model": model,
        "weights_sha256": weights_sha256,
        "unit": "years",
        "samples": list(samples or map(str, range(count))),
        "inputs": [{"name": n, **stored(n, v, "u1", "u8")} for n, v in images.items()],
        "table": stored("table", table, "<f4", "f32"),
        "outputs": [{"name": n, **stored(n, v, "<f4", "f32")} for n, v in outputs.items()],
        "tolerances": {file: {"max": most} for file, most in (tolerances or {}).items()},
    }
    return files | {"golden.json": (json.dumps(index, sort_keys=True, indent=2) + "\n").encode()}


def write_pack(
    folder: Path,
    weights_sha256: str,
    images: Mapping[str, Any],
    table: Any,
    outputs: Mapping[str, Any],
    tolerances: Mapping[str, float] | None = None,
) -> None:
    """Writes a pack."""
    folder.mkdir(parents=True, exist_ok=True)
    files = pack_files(weights_sha256, images, table, outputs, tolerances=tolerances)
    for name, content in files.items():
        (folder / name).write_bytes(content)
