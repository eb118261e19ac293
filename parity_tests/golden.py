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
from agecompact.contract import Contract, Unit
from agecompact.files import atomic_path, output_errors
from agecompact.formats import FORMATS
from agecompact.serialization import write_versioned
from parity_tests.compare import Outputs
from parity_tests.inputs import Sample
from parity_tests.reference import Reference
from parity_tests.settings import CheckSettings
from parity_tests.spans import SPANS

# Few inputs that differ much: a face, noise that differs between crops, a dark face and one colour.
_ALWAYS = ("face", "noise 0", "face, dark", "white")
# And those with outputs nearest to these shares of their range.
_ENDS = (0.0, 1.0)
_BETWEEN = (1 / 3, 2 / 3)

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
    # Refuses names that are not file names, before anything runs or is written under them.
    _index(build, settings, _ALWAYS)
    regular(build.weights)
    with Reference.of_build(build, settings) as reference:
        chosen = _chosen(reference, contract.output.unit)
        samples = [reference.samples[i] for i in chosen]
        outputs = reference.outputs[chosen]
    folder = build.folder / golden.FOLDER
    with atomic_path(folder) as scratch:
        scratch.mkdir()
        _write_arrays(scratch, contract, samples, outputs)
        index = _index(build, settings, tuple(sample.name for sample in samples))
        write_versioned(scratch / golden.FILE_NAME, index)
        (scratch / "golden.txt").write_text(_lines(build, len(samples)), encoding="utf-8")
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


def _chosen(reference: Reference, unit: Unit) -> list[int]:
    """Places of the pack's inputs among the reference's, the most telling ones first.

    Of the emulated processors, which take seconds for an inference, each runs only a few.
    """
    outputs = reference.outputs[:, 0]
    # Beyond the span, rounding grows with the output, and the pack's gates do not.
    within = np.flatnonzero(np.abs(outputs) <= SPANS[unit].width)
    low, high = outputs[within].min(), outputs[within].max()

    def nearest(share: float) -> int:
        distances = np.abs(outputs[within] - (low + share * (high - low)))
        return int(within[distances.argmin()])

    names = [sample.name for sample in reference.samples]
    face, *others = map(names.index, _ALWAYS)
    places = [face, *map(nearest, _ENDS), *others, *map(nearest, _BETWEEN)]
    # Each once: a network's output may be lowest for a face.
    return list(dict.fromkeys(places))


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


def _index(build: Build, settings: CheckSettings, samples: tuple[str, ...]) -> PackIndex:
    manifest = build.manifest
    contract = manifest.contract
    count = len(samples)
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
        samples=samples,
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


def _lines(build: Build, samples: int) -> str:
    contract = build.manifest.contract
    lines = [
        f"agecompact-golden {PackIndex.SCHEMA_VERSION}",
        f"model {build.manifest.model}",
        f"samples {samples}",
        f"height {contract.height}",
        f"width {contract.width}",
        *(f"input {n} {_IMAGES.format(name=n)}" for n in contract.input_names),
        f"table {_TABLE}",
        f"output {contract.output.name} {_OUTPUTS.format(name=contract.output.name)}",
        "end",
    ]
    return "\n".join(lines) + "\n"
