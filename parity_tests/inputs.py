"""The inputs that artefacts are compared on: faces, noise and edges, as images before any contract.

Each model preprocesses the images by its own contract. So a swapped channel order or a wrong scale
in an artefact's contract shows up as an error in years.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from agecompact.contract import Contract, Image
from agecompact.faces import cutting
from agecompact.faces.cascade import HAAR_GEOMETRY
from agecompact.faces.detection import FaceBox
from agecompact.faces.files import read_image

# The face that OpenCV's cascade detects in the portrait: a constant, so that the inputs do not
# depend on the version of OpenCV.
_FACE = FaceBox(175, 64, 100, 100)
_CHIP_SIDE = 200
_NOISE_SAMPLES = 8
# Cells along a side. Convolutions average finer ones away, as they do noise.
_MOSAICS = (3,) * 6 + (4,) * 6 + (8,) * 4


@dataclass(frozen=True)
class Sample:
    """One input.

    Attributes:
        name: What it shows, for reports.
        crops: Images by input name, uint8 HWC BGR, not resized.
        kind: A face, or anything else.
    """

    name: str
    crops: dict[str, Image]
    kind: Literal["face", "other"] = "other"


def standard(contract: Contract) -> tuple[Sample, ...]:
    """The standard set for a contract, the same on every machine.

    Faces and edges are chips that the contract crops. Noise differs from crop to crop, so that
    swapped crops of a three-crop network change the output.
    """
    samples = views(contract)
    samples += [Sample(name, contract.crop(chip)) for name, chip in _edges()]
    random = np.random.default_rng(20_180_713)
    for i in range(_NOISE_SAMPLES):
        # At the model's size: resizing would average the noise of a larger image to grey.
        crops = {
            name: random.integers(0, 256, (contract.height, contract.width, 3), dtype=np.uint8)
            for name in contract.input_names
        }
        samples.append(Sample(f"noise {i}", crops))
    return tuple(samples)


def fixed(contract: Contract, images: Sequence[Path] = ()) -> tuple[Sample, ...]:
    """The inputs of every check: the standard set, extremes, and a user's images.

    Args:
        contract: Crops the images.
        images: The user's image files, each a face chip.

    Raises:
        UsageError: An image cannot be read.
    """
    samples = [Sample(name, contract.crop(chip)) for name, chip in _extremes()]
    samples += pictures(contract, images)
    return (*standard(contract), *samples)


def views(contract: Contract) -> list[Sample]:
    """The face that agecompact brings, first as it is, then in other views."""
    return [Sample(name, contract.crop(chip), "face") for name, chip in _faces()]


def pictures(contract: Contract, images: Sequence[Path]) -> list[Sample]:
    """Face chips of a user.

    Args:
        contract: Crops the images.
        images: Image files, each a face chip.

    Raises:
        UsageError: One cannot be read.
    """
    return [Sample(path.name, contract.crop(read_image(path)), "face") for path in images]


def mosaics(contract: Contract) -> tuple[Sample, ...]:
    """Cells of random colours, other ones in each crop.

    They cause greater activations inside a network than faces and noise do, so they show a layer
    that is clipped where no other input reaches.
    """
    random = np.random.default_rng(20_180_715)
    return tuple(
        Sample(
            f"mosaic {i}",
            {
                name: mosaic(contract.height, contract.width, cells, random)
                for name in contract.input_names
            },
        )
        for i, cells in enumerate(_MOSAICS)
    )


def mosaic(height: int, width: int, cells: int, random: np.random.Generator) -> Image:
    """A mosaic of `cells` by `cells` random colours, uint8 HWC BGR."""
    rows, columns = (np.arange(size) * cells // size for size in (height, width))
    colors = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return colors[rows][:, columns]


def portrait() -> Image:
    """`skimage.data.astronaut()`, NASA's public-domain portrait, uint8 HWC BGR, 512 x 512."""
    from skimage.data import astronaut

    rgb: Image = astronaut()
    return np.ascontiguousarray(rgb[:, :, ::-1])


def _faces() -> Iterator[tuple[str, Image]]:
    import cv2

    picture = portrait()

    def chip(scale: float = 1.0, shift_x: float = 0.0, shift_y: float = 0.0) -> Image:
        side = round(_FACE.width * scale)
        x = round(_FACE.x + _FACE.width * (0.5 + shift_x) - side / 2)
        y = round(_FACE.y + _FACE.height * (0.5 + shift_y) - side / 2)
        cut = cutting.around(picture, FaceBox(x, y, side, side), HAAR_GEOMETRY)
        return np.asarray(cv2.resize(cut, (_CHIP_SIDE, _CHIP_SIDE)), np.uint8)

    face = chip()
    yield "face", face
    yield "face, tight", chip(0.75)
    yield "face, wide", chip(1.4)
    yield "face, left", chip(shift_x=-0.15)
    yield "face, low", chip(shift_y=0.15)
    yield "face, mirrored", np.ascontiguousarray(face[:, ::-1])
    yield "face, dark", np.asarray(face * 0.4, np.uint8)
    yield "face, bright", np.asarray(np.minimum(face * 1.6, 255), np.uint8)
    yield "face, blurred", np.asarray(cv2.GaussianBlur(face, (0, 0), 4), np.uint8)
    yield "face, grey", np.repeat(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[:, :, None], 3, axis=2)
    turn = cv2.getRotationMatrix2D((_CHIP_SIDE / 2, _CHIP_SIDE / 2), 15, 1.0)
    yield "face, turned", np.asarray(cv2.warpAffine(face, turn, (_CHIP_SIDE, _CHIP_SIDE)), np.uint8)
    yield "face, upside down", np.ascontiguousarray(face[::-1])


def _edges() -> Iterator[tuple[str, Image]]:
    for name, bgr in (
        ("black", (0, 0, 0)),
        ("white", (255, 255, 255)),
        ("grey", (128, 128, 128)),
        ("blue", (255, 0, 0)),
        ("red", (0, 0, 255)),
    ):
        yield name, np.full((_CHIP_SIDE, _CHIP_SIDE, 3), bgr, np.uint8)
    ramp = np.linspace(0, 255, _CHIP_SIDE).astype(np.uint8)
    yield "ramp", np.repeat(np.tile(ramp, (_CHIP_SIDE, 1))[:, :, None], 3, axis=2)


def _extremes() -> Iterator[tuple[str, Image]]:
    """Images that cause greater activations than any face does."""
    side = _CHIP_SIDE
    rows, columns = np.indices((side, side))
    for name, cell in (("pixel", 1), ("coarse", side // 8)):
        chequer = ((rows // cell + columns // cell) % 2 * 255).astype(np.uint8)
        yield f"chequer, {name}", np.repeat(chequer[:, :, None], 3, axis=2)
    random = np.random.default_rng(20_180_714)
    yield "salt and pepper", (random.integers(0, 2, (side, side, 3)) * 255).astype(np.uint8)
    spot = np.zeros((side, side, 3), np.uint8)
    spot[side // 2 - 8 : side // 2 + 8, side // 2 - 8 : side // 2 + 8] = 255
    yield "spot", spot
