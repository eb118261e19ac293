"""An artefact's answers for the golden images: the right ones, and those of the usual mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agecompact.artifacts import manifest
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract, Output
from agecompact.evaluation.mistakes import Inputs
from agecompact.evaluation.prediction import output_of
from agecompact.formats import RUNTIMES, Format, format_of
from agecompact.integrate.faults import faults_of
from agecompact.integrate.images import GoldenImage, golden_images
from agecompact.precisions import PRECISIONS
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.registry import stand_in

# By image, and then by output.
Answers = Mapping[str, Mapping[str, tuple[float, ...]]]

# Tolerances, as fractions of the range of an answer. Kernels differ between processors, and those
# that compute in halves or in integers differ more.
_FINE, _COARSE = 5e-4, 5e-3
_RANGES = {"years": 100.0, "degrees": 100.0, "score": 1.0}
# A class is the same or another one.
_OTHER_CLASS = 0.5
# A mistake that moves no answer by this many tolerances cannot be told from the right answers.
_VISIBLE = 2.0


@dataclass(frozen=True)
class Golden:
    """What a golden test needs.

    Attributes:
        metadata: The artefact's.
        images: The pictures.
        answers: The artefact's answers, with the contract's preprocessing.
        reference: PyTorch's answers; None if the artefact lies in no build with its weights.
        tolerances: By output, how far an app's answers may be from the artefact's, in its unit.
        faults: The artefact's answers by mistake.
        unseen: Mistakes that these images do not show.
    """

    metadata: ArtifactMetadata
    images: tuple[GoldenImage, ...]
    answers: Answers
    reference: Answers | None
    tolerances: Mapping[str, float]
    faults: Mapping[str, Answers]
    unseen: tuple[str, ...]

    @property
    def contract(self) -> Contract:
        """The artefact's contract."""
        return self.metadata.contract


def golden_of(path: Path) -> Golden:
    """Runs an artefact on the golden images, right and with every mistake.

    Args:
        path: The artefact.

    Raises:
        UsageError: The file cannot be used, or has no contract.
        BackendMissingError: Its runtime is not installed.
    """
    format_ = format_of(path)
    try:
        with RuntimeProcess(path, stand_in(format_)) as process:
            metadata = process.metadata()
            contract = metadata.contract
            images = golden_images(contract)
            chips = [image.chip for image in images]
            faults = faults_of(contract)
            process.open()
            right, *wrong = (
                _answers(process, contract, images, [apply(chip) for chip in chips])
                for apply in (contract.apply, *(fault.apply for fault in faults))
            )
    except RuntimeFailure as failure:
        raise failure.as_error(path) from None
    tolerances = {o.name: _tolerance(o, right, metadata, format_) for o in contract.outputs}
    by_name = {fault.name: answers for fault, answers in zip(faults, wrong, strict=True)}
    seen = {name: a for name, a in by_name.items() if _is_visible(a, right, tolerances)}
    return Golden(
        metadata,
        images,
        right,
        _reference(path, images),
        tolerances,
        seen,
        tuple(name for name in by_name if name not in seen),
    )


def greatest_difference(a: Answers, b: Answers, output: str) -> float:
    """How far two sets of answers are apart in one output."""
    return max(
        abs(x - y) for image in a for x, y in zip(a[image][output], b[image][output], strict=True)
    )


def _answers(
    process: RuntimeProcess,
    contract: Contract,
    images: Sequence[GoldenImage],
    inputs: Sequence[Inputs],
) -> Answers:
    stacked = {name: np.stack([each[name] for each in inputs]) for name in contract.input_names}
    found = process.infer(stacked)
    values = {o.name: o.answers(output_of(found, o, len(images))) for o in contract.outputs}
    return {
        image.name: {name: tuple(map(float, rows[place])) for name, rows in values.items()}
        for place, image in enumerate(images)
    }


def _tolerance(
    output: Output, answers: Answers, metadata: ArtifactMetadata, format_: Format
) -> float:
    if output.reading.kind == "argmax":
        return _OTHER_CLASS
    precision = PRECISIONS[metadata.precision]
    # Core ML computes in halves unless the package is in float32.
    fine = precision.name == "float32" or (
        precision.arithmetic == "float32" and format_.name != "coreml"
    )
    greatest = max(abs(v) for each in answers.values() for v in each[output.name])
    return (_FINE if fine else _COARSE) * _RANGES.get(output.unit, max(greatest, 1.0))


def _is_visible(wrong: Answers, right: Answers, tolerances: Mapping[str, float]) -> bool:
    return any(
        greatest_difference(wrong, right, name) > _VISIBLE * tolerance
        for name, tolerance in tolerances.items()
    )


def _reference(path: Path, images: Sequence[GoldenImage]) -> Answers | None:
    """PyTorch's answers, if the artefact lies in a build."""
    if not (path.parent / manifest.FILE_NAME).is_file():
        return None
    build = manifest.read(path.parent)
    if path.name not in {entry.file for entry in build.manifest.artifacts}:
        return None
    contract = build.manifest.contract
    try:
        with RuntimeProcess(build.weights, RUNTIMES["pytorch"]) as process:
            process.open()
            return _answers(
                process, contract, images, [contract.apply(image.chip) for image in images]
            )
    except RuntimeFailure as failure:
        raise failure.as_error(build.weights) from None
