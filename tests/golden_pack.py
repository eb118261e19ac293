"""Golden packs written without the code under test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.runtimes import pytorch


def pack_files(
    weights_sha256: str,
    images: Mapping[str, Any],
    table: Any,
    outputs: Mapping[str, Any],
    *,
    model: str = "ssrnet",
    samples: tuple[str, ...] | None = None,
    tolerances: Mapping[str, float] | None = None,
    colours: str | None = None,
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
    if colours is not None:
        index["color_order"] = colours
    return files | {"golden.json": (json.dumps(index, sort_keys=True, indent=2) + "\n").encode()}


def write_pack(
    folder: Path,
    weights_sha256: str,
    images: Mapping[str, Any],
    table: Any,
    outputs: Mapping[str, Any],
    tolerances: Mapping[str, float] | None = None,
    colours: str | None = None,
) -> Path:
    """Writes a pack, with the index for programs in C; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = pack_files(
        weights_sha256, images, table, outputs, tolerances=tolerances, colours=colours
    )
    for name, content in files.items():
        (folder / name).write_bytes(content)
    samples, height, width, _ = np.shape(next(iter(images.values())))
    lines = ["agecompact-golden 1", "model ssrnet", f"samples {samples}"]
    lines += [f"height {height}", f"width {width}"]
    lines += [] if colours is None else [f"colors {colours}"]
    lines += [f"input {name} {name}.u8" for name in images]
    lines += ["table table.f32", *(f"output {name} {name}.f32" for name in outputs), "end"]
    (folder / "golden.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_build_pack(
    build: Build,
    images: Mapping[str, Any],
    table: Any,
    tolerances: Mapping[str, float] | None = None,
    folder: Path | None = None,
    colours: str | None = None,
) -> Path:
    """Writes a pack with PyTorch's outputs for a build of SSR-Net; returns its folder."""
    tensors = {
        name: table[np.arange(3), pixels].transpose(0, 3, 1, 2) for name, pixels in images.items()
    }
    outputs = pytorch.FLOAT32.open_session(str(build.weights), 1).infer(tensors)
    return write_pack(
        folder or build.folder / golden.FOLDER,
        build.manifest.weights_sha256,
        images,
        table,
        {name: values[:, 0] for name, values in outputs.items()},
        tolerances,
        colours,
    )


def write_picture_pack(build: Build, samples: int, colours: str | None) -> Path:
    """Writes a pack of random pixels of given colours, with the build's own table."""
    contract = build.manifest.contract
    shape = (samples, contract.height, contract.width, contract.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    named = dict.fromkeys(contract.input_names, images)
    return write_build_pack(build, named, contract.table()[0].T, colours=colours)


def write_noise_pack(
    build: Build, samples: int, tolerances: Mapping[str, float] | None = None
) -> Path:
    """Writes a pack of random pixels for a build of SSR-Net."""
    contract = build.manifest.contract
    shape = (samples, contract.height, contract.width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    table = np.tile(np.arange(256, dtype=np.float32) / 255, (3, 1))
    return write_build_pack(build, dict.fromkeys(contract.input_names, images), table, tolerances)
