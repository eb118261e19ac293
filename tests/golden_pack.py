"""Golden packs written without the code under test."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_pack(
    folder: Path,
    weights_sha256: str,
    images: Mapping[str, Any],
    table: Any,
    outputs: Mapping[str, Any],
    tolerances: Mapping[str, float] | None = None,
) -> None:
    """Writes a pack in the documented format."""
    folder.mkdir(parents=True, exist_ok=True)

    def stored(name: str, values: Any, kind: str, suffix: str) -> dict[str, Any]:
        file = f"{name}.{suffix}"
        (folder / file).write_bytes(np.ascontiguousarray(values, kind).tobytes())
        dtype = {"u1": "uint8", "<f4": "float32"}[kind]
        return {"file": file, "shape": list(np.shape(values)), "dtype": dtype}

    index = {
        "schema_version": 1,
        "model": "ssrnet",
        "weights_sha256": weights_sha256,
        "unit": "years",
        "samples": [str(i) for i in range(len(next(iter(images.values()))))],
        "inputs": [{"name": n, **stored(n, v, "u1", "u8")} for n, v in images.items()],
        "table": stored("table", table, "<f4", "f32"),
        "outputs": [{"name": n, **stored(n, v, "<f4", "f32")} for n, v in outputs.items()],
        "tolerances": {file: {"max": most} for file, most in (tolerances or {}).items()},
    }
    (folder / "golden.json").write_text(json.dumps(index))
