"""The inputs that artefacts are compared on: faces, noise and edges, as images before any contract.

Comparing from images on, each side through its own contract, is what makes a swapped channel order or
a wrong scale in an artefact's contract show up as years.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agecompact.contract import Contract, Image

# The head and shoulders of `skimage.data.astronaut()`, NASA's public-domain portrait: its face box
# as OpenCV's cascade finds it, x, y and side in pixels.
_FACE_X, _FACE_Y, _FACE_SIDE = 168, 70, 110
_CHIP_SIDE = 200
_NOISE_SAMPLES = 8


@dataclass(frozen=True)
class Sample:
    """One input.

    Attributes:
        name: Says what it shows, for reports.
        crops: By input name, uint8 HWC BGR images, not resized.
        group: `face`, `noise` or `edge`.
    """

    name: str
    crops: dict[str, Image]
    group: str


def standard(contract: Contract) -> tuple[Sample, ...]:
    """The standard set for a contract, the same on every machine.

    Faces and edges are chips that the contract crops. Noise fills each crop differently, which tells
    the crops of a three-crop network apart.
    """
    samples = [Sample(n, contract.crop(chip), "face") for n, chip in _faces()]
    samples += [Sample(n, contract.crop(chip), "edge") for n, chip in _edges()]
    random = np.random.default_rng(20_180_713)
    for i in range(_NOISE_SAMPLES):
        # Coarse noise survives resizing; white noise of a large image would average to grey.
        crops = {
            name: random.integers(0, 256, (contract.height, contract.width, 3), dtype=np.uint8)
            for name in contract.input_names
        }
        samples.append(Sample(f"noise {i}", crops, "noise"))
    return tuple(samples)


def portrait() -> Image:
    """The portrait, uint8 HWC BGR, 512 x 512."""
    from skimage.data import astronaut

    rgb: Image = astronaut()
    return np.ascontiguousarray(rgb[:, :, ::-1])


def _faces() -> Iterator[tuple[str, Image]]:
    import cv2

    picture = portrait()

    def chip(scale: float, shift_x: float = 0.0, shift_y: float = 0.0) -> Image:
        side = _FACE_SIDE * scale
        left = _FACE_X + _FACE_SIDE * (0.5 + shift_x) - side / 2
        top = _FACE_Y + _FACE_SIDE * (0.5 + shift_y) - side / 2
        box = picture[round(top) : round(top + side), round(left) : round(left + side)]
        return np.asarray(cv2.resize(box, (_CHIP_SIDE, _CHIP_SIDE)), np.uint8)

    face = chip(1.5)
    yield "face", face
    yield "face, tight", chip(1.1)
    yield "face, wide", chip(2.0)
    yield "face, left", chip(1.5, shift_x=-0.15)
    yield "face, low", chip(1.5, shift_y=0.15)
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
