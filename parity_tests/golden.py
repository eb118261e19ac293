"""Writes a golden pack: inputs and PyTorch's outputs, small enough to ship inside an app.

`golden.json` describes the pack for readers of JSON; `golden.txt` repeats it in lines that a C
program parses with `sscanf`. `agecompact.artifacts.golden` reads the pack.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agecompact.artifacts import golden
from agecompact.artifacts.confined import regular
from agecompact.artifacts.golden import NamedArray, PackIndex, PackTolerance, StoredArray
from agecompact.artifacts.manifest import Build
from agecompact.contract import Contract
from agecompact.files import atomic_path, output_errors
from agecompact.formats import FORMATS
from agecompact.serialization import write_versioned
from parity_tests.compare import Outputs
from parity_tests.inputs import Sample
from parity_tests.reference import Reference
from parity_tests.settings import CheckSettings

# Few inputs that differ much: a face, a dark one, noise that differs between crops, and one colour.
SAMPLES = ("face", "face, dark", "noise 0", "white")

_IMAGES = "{name}.u8"
_TABLE = "table.f32"
_OUTPUTS = "{name}.f32"


def freeze(build: Build, settings: CheckSettings) -> Path:
    """Writes the golden pack of a build beside its artefacts, whole or not at all.

    Args:
        build: The build.
        settings: Contains the gates, which the pack repeats for its readers.

    Returns:
        The pack's folder.

    Raises:
        UsageError: An input or output has a name that a file cannot have, or the weights are not a
            regular file.
        GateError: PyTorch's outputs are unusable.
        OutputError: The folder cannot be written.
    """
    contract = build.manifest.contract
    # Refuses names that are not file names, before anything is written under them.
    index = _index(build, settings)
    regular(build.weights)
    with Reference.of_build(build, settings) as reference:
        chosen = [[sample.name for sample in reference.samples].index(name) for name in SAMPLES]
        samples = [reference.samples[i] for i in chosen]
        outputs = reference.outputs[chosen]
    folder = build.folder / golden.FOLDER
    with atomic_path(folder) as scratch:
        scratch.mkdir()
        _write_arrays(scratch, contract, samples, outputs)
        write_versioned(scratch / golden.FILE_NAME, index)
        (scratch / "golden.txt").write_text(_lines(build), encoding="utf-8")
    return folder


def discard(build: Build) -> None:
    """Removes the golden pack of a build, so that a run that fails leaves no earlier one.

    Raises:
        OutputError: It cannot be removed.
    """
    folder = build.folder / golden.FOLDER
    with output_errors(folder):
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():
            shutil.rmtree(folder)


def _write_arrays(
    folder: Path, contract: Contract, samples: Sequence[Sample], outputs: Outputs
) -> None:
    for name in contract.input_names:
        images = np.stack([contract.pixels(sample.crops[name]) for sample in samples])
        (folder / _IMAGES.format(name=name)).write_bytes(images.tobytes())
    for file, values in (
        (_TABLE, contract.table()[0].T),
        (_OUTPUTS.format(name=contract.output.name), outputs[:, 0]),
    ):
        (folder / file).write_bytes(np.ascontiguousarray(values, "<f4").tobytes())


def _index(build: Build, settings: CheckSettings) -> PackIndex:
    manifest = build.manifest
    contract = manifest.contract
    count = len(SAMPLES)
    images = (count, contract.height, contract.width, 3)
    output = contract.output
    tolerances = {
        entry.file: settings.tolerances.of(
            unit=output.unit,
            format=entry.format,
            precision=entry.precision,
            runtime=FORMATS[entry.format].runtimes[0].name,
            model=manifest.model,
        )
        for entry in manifest.artifacts
    }
    return PackIndex(
        model=manifest.model,
        weights_sha256=manifest.weights_sha256,
        unit=output.unit,
        samples=SAMPLES,
        inputs=tuple(
            NamedArray(name=name, file=_IMAGES.format(name=name), shape=images, dtype="uint8")
            for name in contract.input_names
        ),
        table=StoredArray(file=_TABLE, shape=(3, 256), dtype="float32"),
        outputs=(
            NamedArray(
                name=output.name,
                file=_OUTPUTS.format(name=output.name),
                shape=(count,),
                dtype="float32",
            ),
        ),
        tolerances={file: PackTolerance(max=gates.max) for file, gates in tolerances.items()},
    )


def _lines(build: Build) -> str:
    contract = build.manifest.contract
    lines = [
        f"agecompact-golden {PackIndex.SCHEMA_VERSION}",
        f"model {build.manifest.model}",
        f"samples {len(SAMPLES)}",
        f"height {contract.height}",
        f"width {contract.width}",
        *(f"input {n} {_IMAGES.format(name=n)}" for n in contract.input_names),
        f"table {_TABLE}",
        f"output {contract.output.name} {_OUTPUTS.format(name=contract.output.name)}",
        "end",
    ]
    return "\n".join(lines) + "\n"
