"""Wrong pictures of a face, as careless apps make them: pure functions from chip to chip.

Chips are uint8 HWC BGR. Where a frame reaches beyond the chip, its edge pixels repeat, as
`agecompact.faces` does at the edge of a photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from agecompact.contract import Contract, Image

# An image and the width and height to resize it to.
Resize = Callable[[Image, int, int], Image]


def tighter(chip: Image, share: float) -> Image:
    """Frames the face too tight: the sides of the frame are shorter by a share."""
    height, width = chip.shape[:2]
    rows, columns = round(height * share / 2), round(width * share / 2)
    return chip[rows : height - rows, columns : width - columns]


def wider(chip: Image, share: float) -> Image:
    """Frames the face too wide: the sides of the frame are longer by a share."""
    import cv2

    height, width = chip.shape[:2]
    rows, columns = round(height * share / 2), round(width * share / 2)
    made = cv2.copyMakeBorder(chip, rows, rows, columns, columns, cv2.BORDER_REPLICATE)
    return np.asarray(made, np.uint8)


def moved(chip: Image, right: float = 0.0, down: float = 0.0) -> Image:
    """Moves the frame by shares of its sides, so that the face moves the other way."""
    height, width = chip.shape[:2]
    rows = np.clip(np.arange(height) + round(height * down), 0, height - 1)
    columns = np.clip(np.arange(width) + round(width * right), 0, width - 1)
    return np.ascontiguousarray(chip[rows[:, np.newaxis], columns])


def turned(chip: Image, degrees: float) -> Image:
    """Turns the picture anticlockwise around its centre."""
    import cv2

    height, width = chip.shape[:2]
    # OpenCV counts from the centre of the first pixel.
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    made = cv2.warpAffine(
        chip, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(made, np.uint8)


def lying(chip: Image) -> Image:
    """Turns the picture by a quarter, as a camera that is held upright stores it."""
    return np.ascontiguousarray(np.rot90(chip))


def as_jpeg(chip: Image, quality: int) -> Image:
    """Encodes and decodes the picture as JPEG of a quality, 0 to 100."""
    import cv2

    _, content = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def grey(chip: Image) -> Image:
    """Takes the colours away; three equal channels are left."""
    import cv2

    return np.asarray(
        cv2.cvtColor(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8
    )


def in_video_range(chip: Image) -> Image:
    """Squeezes the levels to 16..235, as in YUV from a camera that was not expanded."""
    levels = np.rint(16 + np.arange(256) * (235 - 16) / 255).astype(np.uint8)
    return levels[chip]


def _by_opencv(name: str) -> Resize:
    def resize(image: Image, width: int, height: int) -> Image:
        import cv2

        made = cv2.resize(image, (width, height), interpolation=getattr(cv2, name))
        return np.asarray(made, np.uint8)

    return resize


def _antialiased(image: Image, width: int, height: int) -> Image:
    """Pillow's bilinear filter, which widens as the picture becomes smaller."""
    import PIL.Image

    made = PIL.Image.fromarray(image).resize((width, height), PIL.Image.Resampling.BILINEAR)
    return np.asarray(made, np.uint8)


RESIZES: Mapping[str, Resize] = {
    "area": _by_opencv("INTER_AREA"),
    "linear": _by_opencv("INTER_LINEAR"),
    "linear-antialiased": _antialiased,
    "cubic": _by_opencv("INTER_CUBIC"),
    "nearest": _by_opencv("INTER_NEAREST"),
}


def resized(crops: Mapping[str, Image], contract: Contract, resize: Resize) -> dict[str, Image]:
    """Resizes crops to a contract's size by another filter than its own."""
    return {name: resize(crop, contract.width, contract.height) for name, crop in crops.items()}
