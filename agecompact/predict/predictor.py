"""Ages of the faces in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agecompact.contract import Contract, Image
from agecompact.faces.detection import Detector, FaceBox, detector
from agecompact.faces.files import read_image
from agecompact.predict.answers import Answers, answers_of
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.registry import artifact_format, stand_in


@dataclass(frozen=True)
class Face:
    """A face, and what the models say of it.

    Attributes:
        box: Where it is in the picture; None if the picture is a ready chip.
        score: How sure the detector is, 0 to 1; None if it does not say.
        answers: What the models say.
    """

    box: FaceBox | None
    score: float | None
    answers: Answers

    @property
    def age_years(self) -> float | None:
        """The age; None if no model answers it."""
        return self.answers.age_years

    @property
    def gender_score(self) -> float | None:
        """0 female to 1 male; None if no model answers it."""
        return self.answers.gender_score


class Predictor:
    """Finds faces and predicts their ages. A context manager around a process for each model.

    Args:
        models: Model files: exported artefacts, or weights files.
        finder: Finds the faces; None for the best detector that is installed.

    Every method that runs a model raises `UsageError` if the file cannot be used, and
    `BackendMissingError` if its runtime is not installed.
    """

    def __init__(self, models: Sequence[Path], finder: Detector | None = None) -> None:
        self._paths = tuple(models)
        self._finder = finder
        self._stack = ExitStack()
        self._models: list[_Model] = []

    def start(self) -> Predictor:
        """Starts the processes and loads the models."""
        with ExitStack() as stack:
            # All processes start at once.
            started = [stack.enter_context(_Model(path)) for path in self._paths]
            for model in started:
                model.open()
            self._models = started
            self._stack = stack.pop_all()
        return self

    def close(self) -> None:
        """Ends the processes."""
        self._models = []
        self._stack.close()

    def __enter__(self) -> Predictor:
        return self if self._models else self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def predict(self, picture: Image | Path | str) -> tuple[Face, ...]:
        """The faces in a picture, the largest first; none if it shows none.

        Args:
            picture: An image file; or pixels, uint8 HWC, in BGR as `cv2.imread` gives them.

        Raises:
            UsageError: The file is not an image.
        """
        image = picture if isinstance(picture, np.ndarray) else read_image(Path(picture))
        finder = self._finder = self._finder or detector()
        found = finder.find(image)
        chips = [finder.chip(image, each) for each in found]
        pairs = zip(found, self._answers(chips), strict=True)
        return tuple(Face(each.box, each.score, answers) for each, answers in pairs)

    def predict_chip(self, chip: Image | Path | str) -> Face:
        """What the models say of a picture that is a face chip, framed as UTKFace's are.

        Args:
            chip: As `predict` takes it.

        Raises:
            UsageError: The file is not an image.
        """
        image = chip if isinstance(chip, np.ndarray) else read_image(Path(chip))
        return Face(None, None, self._answers([image])[0])

    def _answers(self, chips: Sequence[Image]) -> list[Answers]:
        found = [Answers()] * len(chips)
        for model in self._models:
            found = [a.with_answers(b) for a, b in zip(found, model.answers(chips), strict=True)]
        return found


class _Model:
    """A model file in a process of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = RuntimeProcess(path, stand_in(artifact_format(path)))
        self._contract: Contract | None = None

    def __enter__(self) -> _Model:
        self._process.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.__exit__(*error)

    def open(self) -> None:
        """Loads the file."""
        try:
            self._contract = self._process.metadata().contract
            self._process.open()
        except RuntimeFailure as failure:
            raise failure.as_error(self._path) from None

    def answers(self, chips: Sequence[Image]) -> list[Answers]:
        assert self._contract is not None
        if not chips:
            return []
        inputs = {name: x[:, np.newaxis] for name, x in self._contract.batch(chips).items()}
        try:
            outputs = self._process.infer(inputs)
        except RuntimeFailure as failure:
            raise failure.as_error(self._path) from None
        return [
            answers_of({name: x[i] for name, x in outputs.items()}, self._contract)
            for i in range(len(chips))
        ]
