"""Freezes a golden pack: inputs and PyTorch's answers, small enough to travel with an app.

`golden.json` is for readers of JSON, `golden.txt` says the same in lines that a C program takes
apart with `sscanf`, and `boundaries.json` tells what PyTorch's blocks wrote, for a runner that can
see inside. `agecompact.artifacts.golden` reads the pack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.contract import Contract
from agecompact.files import atomic_path, pretty_json
from agecompact.formats import FORMATS
from agecompact.runtimes.base import Trace
from parity_tests.inputs import Sample
from parity_tests.plan import Plan
from parity_tests.reference import Reference

BOUNDARIES = "boundaries.json"

# A face, its dark twin, noise that tells crops apart, and an edge: what differs most, in little.
SAMPLES = ("face", "face, dark", "noise 0", "white")

_IMAGES = "{name}.u8"
_TABLE = "table.f32"
_ANSWERS = "{name}.f32"
_BLOCKS = "boundaries.f32"
# Of each block so many values at most, evenly spaced: enough to see that it went wrong.
_MOST_VALUES = 256


@dataclass(frozen=True)
class Boundary:
    """What a block of the network wrote on the first sample.

    Attributes:
        block: Path of its module.
        shape: Of the whole tensor, NCHW.
        stride: Every so manieth value of the flattened tensor is kept.
        values: Those, float32.
    """

    block: str
    shape: tuple[int, ...]
    stride: int
    values: npt.NDArray[np.float32]


def freeze(build: Build, plan: Plan) -> Path:
    """Writes the golden pack of a build beside its artefacts, whole or not at all.

    Args:
        build: The build.
        plan: Says the gates, which the pack tells its readers.

    Returns:
        The pack's folder.

    Raises:
        GateError: PyTorch gives no usable answer.
        OutputError: The folder cannot be written.
    """
    contract = build.manifest.contract
    with Reference.of_build(build, plan) as reference:
        known = {sample.name: sample for sample in reference.samples}
        samples = [known[name] for name in SAMPLES]
        answers = reference.side.answers(samples)
        trace = reference.side.trace(samples[0])
    folder = build.folder / golden.FOLDER
    with atomic_path(folder) as scratch:
        scratch.mkdir()
        _write_arrays(scratch, contract, samples, answers[:, 0])
        (scratch / golden.FILE_NAME).write_text(
            pretty_json(_index(build, samples, plan)), encoding="utf-8"
        )
        (scratch / "golden.txt").write_text(_lines(build, len(samples)), encoding="utf-8")
        _write_boundaries(scratch, boundaries(trace))
    return folder


def boundaries(trace: Trace) -> tuple[Boundary, ...]:
    """The last thing that each block wrote; a block is a module, or a child of a list of them."""
    last: dict[str, npt.NDArray[np.float32]] = {}
    for step in trace:
        if step.scope and step.value.dtype.kind == "f":
            block = ".".join(step.scope.split(".")[:2])
            # Taken out and put back: in the order in which blocks end.
            last.pop(block, None)
            last[block] = step.value.astype(np.float32)
    kept = []
    for block, value in last.items():
        stride = max(1, -(-value.size // _MOST_VALUES))
        kept.append(Boundary(block, value.shape, stride, value.reshape(-1)[::stride]))
    return tuple(kept)


def _write_arrays(
    folder: Path, contract: Contract, samples: Sequence[Sample], answers: npt.NDArray[np.float64]
) -> None:
    for name in contract.input_names:
        images = np.stack([contract.pixels(sample.crops[name]) for sample in samples])
        (folder / _IMAGES.format(name=name)).write_bytes(images.tobytes())
    table = contract.table()[0].T
    (folder / _TABLE).write_bytes(np.ascontiguousarray(table, "<f4").tobytes())
    told = np.ascontiguousarray(answers, "<f4")
    (folder / _ANSWERS.format(name=contract.output.name)).write_bytes(told.tobytes())


def _index(build: Build, samples: Sequence[Sample], plan: Plan) -> dict[str, Any]:
    manifest = build.manifest
    contract = manifest.contract
    count = len(samples)
    images = (count, contract.height, contract.width, 3)
    output = contract.output
    return {
        "schema_version": golden.SCHEMA_VERSION,
        "model": manifest.model,
        "weights_sha256": manifest.weights_sha256,
        "unit": output.unit,
        "samples": [sample.name for sample in samples],
        "inputs": [
            {"name": n, "file": _IMAGES.format(name=n), "shape": images, "dtype": "uint8"}
            for n in contract.input_names
        ],
        "table": {"file": _TABLE, "shape": (3, 256), "dtype": "float32"},
        "outputs": [
            {
                "name": output.name,
                "file": _ANSWERS.format(name=output.name),
                "shape": (count,),
                "dtype": "float32",
            }
        ],
        "tolerances": {
            entry.file: {
                "max": plan.tolerances.of(
                    unit=output.unit,
                    format=entry.format,
                    precision=entry.precision,
                    runtime=FORMATS[entry.format].runtimes[0].name,
                    model=manifest.model,
                ).max
            }
            for entry in manifest.artifacts
        },
    }


def _lines(build: Build, count: int) -> str:
    contract = build.manifest.contract
    lines = [
        f"agecompact-golden {golden.SCHEMA_VERSION}",
        f"model {build.manifest.model}",
        f"samples {count}",
        f"height {contract.height}",
        f"width {contract.width}",
        *(f"input {n} {_IMAGES.format(name=n)}" for n in contract.input_names),
        f"table {_TABLE}",
        f"output {contract.output.name} {_ANSWERS.format(name=contract.output.name)}",
        "end",
    ]
    return "\n".join(lines) + "\n"


def _write_boundaries(folder: Path, blocks: Sequence[Boundary]) -> None:
    told = [
        {"block": b.block, "shape": b.shape, "stride": b.stride, "count": b.values.size}
        for b in blocks
    ]
    content = {"schema_version": 1, "sample": SAMPLES[0], "file": _BLOCKS, "boundaries": told}
    (folder / BOUNDARIES).write_text(pretty_json(content), encoding="utf-8")
    values = np.concatenate([b.values for b in blocks]).astype("<f4")
    (folder / _BLOCKS).write_bytes(values.tobytes())
