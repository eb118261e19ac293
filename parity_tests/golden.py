"""Writes a golden pack: inputs and PyTorch's outputs, small enough to ship inside an app.

`golden.json` describes the pack for readers of JSON; `golden.txt` repeats it in lines that a C
program parses with `sscanf`. `agecompact.artifacts.golden` reads the pack.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agecompact.artifacts import golden
from agecompact.artifacts.confined import regular
from agecompact.artifacts.golden import NamedArray, OutputArray, PackIndex, StoredArray
from agecompact.artifacts.manifest import Build, Entry
from agecompact.contract import Contract
from agecompact.files import atomic_path, output_errors
from agecompact.formats import FORMATS
from agecompact.precisions import PRECISIONS
from agecompact.serialization import write_versioned
from parity_tests.inputs import Sample
from parity_tests.reference import Reference
from parity_tests.settings import CheckSettings

# Few inputs that differ much: a face, noise that differs between crops, a dark face and one colour.
_ALWAYS = ("face", "noise 0", "face, dark", "white")
# And those with outputs nearest to these shares of their range.
_ENDS = (0.0, 1.0)
_BETWEEN = (1 / 3, 2 / 3)

_IMAGES = "{name}.u8"
_TABLE = "table.f32"
_OUTPUTS = "{name}.f32"


def freeze(build: Build, settings: CheckSettings, faces: Sequence[Sample] = ()) -> Path:
    """Writes the golden pack of a build beside its artefacts, whole or not at all.

    Args:
        build: The build.
        settings: Contains the gates, which the pack repeats for its readers.
        faces: Inputs that replace all but the first one. Calibrated files then have the gates of
            faces; those of a pack with other pictures are wide.

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
    widths = {output.name: 1.0 for output in contract.outputs}
    _index(build, settings, _ALWAYS, widths, of_faces=bool(faces))
    regular(build.weights)
    with Reference.of_build(build, settings) as reference:
        chosen = _chosen(reference)
        samples = [reference.samples[i] for i in chosen]
        samples = [samples[0], *faces] if faces else samples
        values = reference.runner.values(samples)
        widths = {part.output.name: part.width for part in reference.parts}
    folder = build.folder / golden.FOLDER
    with atomic_path(folder) as scratch:
        scratch.mkdir()
        _write_arrays(scratch, contract, samples, values)
        names = tuple(sample.name for sample in samples)
        index = _index(build, settings, names, widths, of_faces=bool(faces))
        write_versioned(scratch / golden.FILE_NAME, index)
        lines = _lines(build, len(samples), plain=index.is_plain)
        (scratch / "golden.txt").write_text(lines, encoding="utf-8")
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


def _chosen(reference: Reference) -> list[int]:
    """Places of the pack's inputs among the reference's, the most telling ones first.

    They reach the ends of the first output. Of the emulated processors, which take seconds for an
    inference, each runs only a few.
    """
    first = reference.parts[0]
    outputs = first.of(reference.outputs)[:, 0]
    # Beyond the span, rounding grows with the output, and the pack's gates do not.
    within = np.flatnonzero(first.spans[0].scale(outputs) <= 1.0)
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
    folder: Path,
    contract: Contract,
    samples: Sequence[Sample],
    values: Mapping[str, npt.NDArray[np.float64]],
) -> None:
    for name in contract.input_names:
        images = np.stack([contract.pixels(sample.crops[name]) for sample in samples])
        (folder / _IMAGES.format(name=name)).write_bytes(images.tobytes())
    arrays = {_OUTPUTS.format(name=name): each for name, each in values.items()}
    for file, array in {_TABLE: contract.table()[0].T, **arrays}.items():
        (folder / file).write_bytes(np.ascontiguousarray(array, "<f4").tobytes())


def _index(
    build: Build,
    settings: CheckSettings,
    samples: tuple[str, ...],
    widths: Mapping[str, float],
    *,
    of_faces: bool,
) -> PackIndex:
    """The index; `widths` are those of the spans of the outputs, by name."""
    manifest = build.manifest
    contract = manifest.contract
    count = len(samples)
    images = (count, contract.height, contract.width, contract.channels)

    def limit(entry: Entry, width: float) -> float:
        gates = settings.tolerances.of(
            width=width,
            format=entry.format,
            precision=entry.precision,
            runtime=FORMATS[entry.format].runtimes[0].name,
            model=manifest.model,
        )
        # A pack that is not of faces holds both ends of the range, where a calibration promises
        # little.
        wide = PRECISIONS[entry.precision].calibrated and not of_faces
        return gates.searched if wide else gates.max

    return PackIndex(
        model=manifest.model,
        weights_sha256=manifest.weights_sha256,
        samples=samples,
        inputs=tuple(
            NamedArray(name=name, file=_IMAGES.format(name=name), shape=images, dtype="uint8")
            for name in contract.input_names
        ),
        table=StoredArray(file=_TABLE, shape=(contract.channels, 256), dtype="float32"),
        outputs=tuple(
            OutputArray(
                output=output,
                file=_OUTPUTS.format(name=output.name),
                shape=(count, output.size),
                dtype="float32",
            )
            for output in contract.outputs
        ),
        tolerances={
            entry.file: {name: limit(entry, width) for name, width in widths.items()}
            for entry in manifest.artifacts
        },
        color_order=contract.color_order,
    )


def _lines(build: Build, samples: int, *, plain: bool) -> str:
    contract = build.manifest.contract
    outputs = [(o.name, _OUTPUTS.format(name=o.name), o.size) for o in contract.outputs]
    lines = [
        f"agecompact-golden {1 if plain else PackIndex.SCHEMA_VERSION}",
        f"model {build.manifest.model}",
        f"samples {samples}",
        f"height {contract.height}",
        f"width {contract.width}",
        *(() if plain else (f"channels {contract.channels}",)),
        f"colors {contract.color_order}",
        *(f"input {n} {_IMAGES.format(name=n)}" for n in contract.input_names),
        f"table {_TABLE}",
        *(f"output {name} {file}{'' if plain else f' {size}'}" for name, file, size in outputs),
        "end",
    ]
    return "\n".join(lines) + "\n"
