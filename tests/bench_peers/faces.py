"""The faces: those that tools are calibrated with, and those that errors are measured on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agecompact.contract import Image
from agecompact.data.face import Face, spread
from agecompact.data.splits import BIN_YEARS, SEED, rank
from agecompact.errors import UsageError
from agecompact.faces.files import images_in, read_chip
from agecompact.faces.framing import WHOLE
from agecompact.files import atomic_path

# As many as `export --calibration` reads.
CALIBRATION = 400


@dataclass(frozen=True)
class Faces:
    """Face chips to measure on.

    Attributes:
        chips: uint8 HWC BGR.
        ages: Their labels, `(N,)` years; None if they have none.
        digest: Hash of the pictures and labels.
    """

    chips: tuple[Image, ...]
    ages: npt.NDArray[np.float64] | None
    digest: str

    def first(self, count: int) -> Faces:
        """At most `count` of them, evenly spread."""
        places = spread(range(len(self.chips)), count)
        return Faces(
            tuple(self.chips[place] for place in places),
            None if self.ages is None else self.ages[list(places)],
            self.digest,
        )


def over_ages(faces: Sequence[Face], count: int = CALIBRATION) -> tuple[Face, ...]:
    """Faces chosen evenly over the ages: one of each bin of five years in turn.

    Args:
        faces: Those to choose from; their order does not matter.
        count: How many to choose.
    """
    bins: dict[int, list[Face]] = defaultdict(list)
    for face in sorted(faces, key=lambda face: rank(face.sha256, SEED)):
        bins[face.label.age // BIN_YEARS].append(face)
    turns = zip_longest(*(bins[age] for age in sorted(bins)))
    return tuple(face for turn in turns for face in turn if face is not None)[:count]


def calibration_folder(faces: Sequence[Face], parent: Path) -> Path:
    """A folder with the chips of faces, made anew only for other faces.

    Raises:
        OutputError: It cannot be written.
    """
    import cv2

    key = hashlib.sha256("\n".join(face.sha256 for face in faces).encode()).hexdigest()[:12]
    folder = parent / f"calibration-{key}"
    if not folder.is_dir():
        with atomic_path(folder) as scratch:
            scratch.mkdir()
            for number, face in enumerate(faces):
                chip = read_chip(face.path, face.framing).chip
                if chip is not None:
                    cv2.imwrite(str(scratch / f"{number:04}.png"), chip)
    return folder


def labelled(faces: Sequence[Face], count: int) -> Faces:
    """Faces of a data set, evenly spread over it."""
    chosen = spread(faces, count)
    read = [(face, read_chip(face.path, face.framing).chip) for face in chosen]
    kept = [(face, chip) for face, chip in read if chip is not None]
    ages = np.array([face.label.age for face, _ in kept], np.float64)
    return _made([chip for _, chip in kept], ages, "no face of the test part can be read")


def unlabelled(folder: Path, count: int) -> Faces:
    """The face chips of a folder, evenly spread over it.

    Raises:
        UsageError: It has none.
    """
    read = (read_chip(path, WHOLE).chip for path in spread(images_in(folder, "--images"), count))
    return _made([chip for chip in read if chip is not None], None, f"no face chip in {folder}")


def _made(chips: Sequence[Image], ages: npt.NDArray[np.float64] | None, failure: str) -> Faces:
    if not chips:
        raise UsageError(failure, fix="name a folder of square pictures of faces with --images")
    digest = hashlib.sha256(b"" if ages is None else ages.tobytes())
    for chip in chips:
        digest.update(chip.tobytes())
    return Faces(tuple(chips), ages, digest.hexdigest())
