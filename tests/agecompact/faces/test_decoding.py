"""Pictures of every format become what a viewer shows; plain ones stay as OpenCV reads them."""

from __future__ import annotations

import io
import itertools
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import PngImagePlugin

from agecompact.contract import Image
from agecompact.faces import colours, headers
from agecompact.faces.decoding import decode
from tests import mutations
from tests.agecompact.data.synthetic import jpeg, picture
from tests.agecompact.faces import made
from tests.agecompact.faces.made import heic, packed, saved

_DATA = os.environ.get("AGECOMPACT_DATA")
# Four colours, so that every turn differs.
_CORNERS = np.zeros((48, 80, 3), np.uint8)
_CORNERS[:24, :40], _CORNERS[:24, 40:] = (200, 30, 30), (30, 200, 30)
_CORNERS[24:, :40], _CORNERS[24:, 40:] = (30, 30, 200), (220, 220, 60)
# What a viewer does for each orientation (Exif 2.32, 4.6.4, tag 274).
_TURNS: dict[int, Callable[[Image], Image]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x, 1),
}


def _linear(x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The curve of sRGB and Display P3 (IEC 61966-2-1)."""
    x = np.asarray(x, np.float64)
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _encoded(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.clip(x, 0, None) ** (1 / 2.4) - 0.055)


# From linear Display P3 to linear sRGB (CSS Color 4, 10.2), RGB.
_P3_TO_SRGB = np.array(
    [
        [1.2249401, -0.2249404, 0.0],
        [-0.0420569, 1.0420571, 0.0],
        [-0.0196376, -0.0786361, 1.0982735],
    ]
)
_P3 = made.profile("Display P3", lambda x: float(_linear(x)))
_GREY = made.profile("Gray, gamma 1.8", lambda x: x**1.8, b"GRAY")


def read(content: bytes) -> Image:
    image = decode(content)
    assert image is not None
    assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
    assert image.flags.c_contiguous
    return image


def off(image: Image, expected: npt.ArrayLike) -> float:
    """The mean difference of two pictures of one size, in levels."""
    assert image.shape == np.shape(expected)
    return float(np.abs(image.astype(np.int16) - np.asarray(expected, np.int16)).mean())


@pytest.fixture
def heif() -> ModuleType:
    return pytest.importorskip("pillow_heif", reason="reads HEIC")


def opencvs(content: bytes) -> Image:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        *[(".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]) for quality in (30, 75, 100)],
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".png", []),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
        (".bmp", []),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_plain_pictures_have_the_bits_that_opencv_reads(
    suffix: str, options: list[int], channels: int
) -> None:
    """Caches and hashes of data sets depend on them."""
    image = picture(4)[:, :, :channels]
    content = cv2.imencode(suffix, image, options)[1].tobytes()
    assert np.array_equal(read(content), opencvs(content))


@pytest.mark.skipif(not _DATA, reason="AGECOMPACT_DATA does not name UTKFace")
def test_the_chips_of_utkface_have_the_bits_that_opencv_reads() -> None:
    for path in itertools.islice(Path(str(_DATA)).rglob("*.jpg"), 0, 4000, 20):
        content = path.read_bytes()
        assert np.array_equal(read(content), opencvs(content)), path


@pytest.mark.parametrize("orientation", _TURNS)
@pytest.mark.parametrize(
    "kind", ["JPEG", "JPEG, Display P3", "PNG", "WEBP", "TIFF", "AVIF", "PNG with alpha", "HEIC"]
)
def test_a_picture_is_turned_once(kind: str, orientation: int, request) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    if kind == "HEIC":
        content = heic(_CORNERS, request.getfixturevalue("heif"), exif=exif.tobytes())
    elif kind == "PNG with alpha":
        opaque = np.dstack([_CORNERS, np.full((48, 80), 255, np.uint8)])
        content = saved(opaque, "PNG", exif=exif)
    elif kind == "JPEG, Display P3":
        content = saved(_CORNERS, "JPEG", exif=exif, icc_profile=_P3)
        # The colours become stronger, and keep their corners.
        assert np.corrcoef(read(content).ravel(), _TURNS[orientation](_CORNERS).ravel())[0, 1] > 0.9
        return
    else:
        content = saved(_CORNERS, kind, exif=exif)
    assert off(read(content), _TURNS[orientation](_CORNERS)) < 5


@pytest.mark.parametrize("format", ["AVIF", "HEIC"])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_boxes_of_a_turned_picture(format: str, turns: int, axis: int | None, request) -> None:
    image = cv2.resize(_CORNERS, (160, 128), interpolation=cv2.INTER_NEAREST)
    heif = request.getfixturevalue("heif") if format == "HEIC" else None
    content = heic(image, heif) if heif else made.avif(image)
    boxes = [made.quarter_turns(turns)] + ([made.mirrored(axis)] if axis is not None else [])
    content = made.with_properties(content, *boxes)
    expected = np.rot90(image, turns)
    if axis is not None:
        expected = expected[::-1] if axis == 0 else expected[:, ::-1]
    assert headers.size(content) == (160, 128)
    assert off(read(content), expected) < 5


def test_the_orientation_in_an_editors_text_is_no_turn() -> None:
    text = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", text)
    alpha = np.dstack([_CORNERS, np.full((48, 80), 255, np.uint8)])
    for content in (
        saved(_CORNERS, "PNG", pnginfo=info),
        saved(alpha, "PNG", pnginfo=info),
        saved(alpha, "WEBP", xmp=text.encode(), lossless=True),
        saved(_CORNERS, "AVIF", xmp=text.encode()),
    ):
        assert b"tiff:Orientation" in content
        assert off(read(content), _CORNERS) < 5


def test_damaged_metadata_do_not_hide_a_picture() -> None:
    alpha = np.dstack([_CORNERS, np.full((48, 80), 255, np.uint8)])
    for exif in (b"Exif\0\0no TIFF at all", b"Exif\0\0II*\0\xff\xff\xff\xff"):
        for kind in ("PNG", "WEBP"):
            assert off(read(saved(alpha, kind, exif=exif)), _CORNERS) < 5


def _grey_alpha(image: Image, alpha: npt.NDArray[np.uint8]) -> bytes:
    layers = np.dstack([image[:, :, 0], alpha])
    return packed(Pillow.fromarray(layers, "LA"), "PNG")


@given(level=st.integers(0, 255), alpha=st.integers(0, 255))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_shows_white(kind: str, level: int, alpha: int) -> None:
    layers = np.full((8, 8, 4), (level, 255 - level, 7, alpha), np.uint8)
    layers[0] = (10, 20, 30, 255)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    image = read(saved(layers, kind, **options))
    expected = (layers[..., :3] * (alpha / 255) + 255 * (1 - alpha / 255))[1:]
    assert np.abs(image[1:] - expected).max() <= 1
    assert (image[0] == (10, 20, 30)).all()


def test_other_kinds_of_transparency_show_white() -> None:
    grey = np.full((8, 8, 3), 60, np.uint8)
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:, :4] = 255
    expected = np.where(alpha[..., None] == 255, grey, 255)
    assert off(read(_grey_alpha(grey, alpha)), expected) == 0
    # One transparent entry of a palette.
    indexed = Pillow.fromarray((alpha == 0).astype(np.uint8), "P")
    indexed.putpalette([60, 60, 60, 0, 0, 0])
    for kind in ("PNG", "GIF"):
        assert off(read(packed(indexed, kind, transparency=1)), expected) == 0
    # One transparent colour.
    marked = Pillow.fromarray(np.where(alpha[..., None] == 255, grey, np.uint8(9)))
    assert off(read(packed(marked, "PNG", transparency=(9, 9, 9))), expected) == 0


def test_an_opaque_alpha_channel_changes_no_bit() -> None:
    opaque = np.dstack([picture(5), np.full((200, 200), 255, np.uint8)])
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        assert np.array_equal(read(saved(opaque, kind, **options)), picture(5))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_scaled(suffix: str, channels: int) -> None:
    ramp = np.linspace(0, 65535, 64 * 256).astype(np.uint16).reshape(64, 256)
    layers = np.dstack([ramp, ramp[::-1], 65535 - ramp, np.full_like(ramp, 65535)])
    image = read(cv2.imencode(suffix, layers[:, :, :channels].squeeze())[1].tobytes())
    expected = layers[:, :, [0, 0, 0] if channels == 1 else [0, 1, 2]] / 257
    assert np.abs(image - expected).max() <= 1


def test_palettes_and_bilevel_pictures() -> None:
    few = Pillow.fromarray(_CORNERS[:, :, ::-1].copy()).quantize(8)
    for kind in ("PNG", "GIF", "TIFF"):
        assert off(read(packed(few, kind)), _CORNERS) == 0
    black = Pillow.new("1", (8, 8), 1)
    black.putpixel((2, 3), 0)
    for kind in ("PNG", "TIFF", "GIF"):
        image = read(packed(black, kind))
        assert (image.sum(), *image[3, 2]) == (63 * 3 * 255, 0, 0, 0)


@pytest.mark.parametrize("bits", ["I", "F"])
def test_a_tiff_of_measurements_is_not_a_photo(bits: str) -> None:
    values = np.zeros((8, 8), np.int32 if bits == "I" else np.float32)
    assert decode(packed(Pillow.fromarray(values), "TIFF")) is None


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_compressed_tiff(compression: str) -> None:
    content = saved(_CORNERS, "TIFF", compression=compression)
    assert off(read(content), _CORNERS) < 5


def _entry(tag: int, kind: int, value: int) -> bytes:
    return struct.pack(">HHIHxx" if kind == 3 else ">HHII", tag, kind, 1, value)


def test_the_thumbnail_in_front_of_a_raw_photo_is_not_the_photo() -> None:
    """DNG, NEF and ARW are TIFF files that begin with a small picture."""
    shape = [(256, 3, 4), (257, 3, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (278, 3, 4)]
    for subfile, is_read in ((0, True), (1, False)):
        tags = sorted([(254, 4, subfile), *shape, (273, 4, 8), (279, 4, 16)])
        directory = struct.pack(">H", len(tags)) + b"".join(_entry(*t) for t in tags) + bytes(4)
        content = b"MM\0*" + struct.pack(">I", 24) + bytes([77]) * 16 + directory
        assert (decode(content) is not None) == is_read


def _ycc(bgr: Image) -> Image:
    """BT.601 of the full range, as JFIF has it."""
    b, g, r = np.moveaxis(bgr.astype(float), 2, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.dstack([y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402]).round().astype(np.uint8)


@pytest.mark.parametrize("marked", [True, False])
def test_cmyk_jpeg(marked: bool) -> None:
    """Inks are stored inverted; browsers expect that without Adobe's marker as well."""
    inks = np.dstack([255 - _CORNERS[:, :, ::-1], np.zeros((48, 80), np.uint8)])
    content = packed(Pillow.fromarray(inks, "CMYK"), "JPEG", quality=95, subsampling=0)
    at = content.index(b"Adobe")
    content = content if marked else content[: at - 4] + content[at + 12 :]
    assert off(read(content), _CORNERS) < 5


def test_ycck_jpeg() -> None:
    """Adobe stores the luma and chroma of the inks, as if they were red, green and blue."""
    inks = np.dstack([255 - _ycc(255 - _CORNERS), np.zeros((48, 80), np.uint8)])
    content = packed(Pillow.fromarray(inks, "CMYK"), "JPEG", quality=95, subsampling=0)
    at = content.index(b"Adobe") + 11
    content = content[:at] + b"\2" + content[at + 1 :]
    assert off(read(content), _CORNERS) < 5
    assert off(opencvs(content), _CORNERS) < 5


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_shows_its_first_frame(kind: str) -> None:
    first = Pillow.fromarray(_CORNERS[:, :, ::-1].copy())
    others = [Pillow.new("RGB", first.size, color) for color in ("red", "blue")]
    content = packed(first, kind, save_all=True, append_images=others)
    assert off(read(content), _CORNERS) < 5


_BROKEN = {
    "JPEG": lambda image: jpeg(image),
    "PNG": lambda image: saved(image, "PNG"),
    "PNG with alpha": lambda image: saved(np.dstack([image, image[:, :, 0]]), "PNG"),
    "WebP": lambda image: saved(image, "WEBP"),
    "WebP with alpha": lambda image: saved(np.dstack([image, image[:, :, 0]]), "WEBP"),
    "GIF": lambda image: saved(image, "GIF"),
    "BMP": lambda image: saved(image, "BMP"),
    "AVIF": made.avif,
    "CMYK": lambda image: packed(
        Pillow.fromarray(np.dstack([image, image[:, :, 0]]), "CMYK"), "JPEG"
    ),
    **{
        f"TIFF, {compression}": lambda image, c=compression: saved(image, "TIFF", compression=c)
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg")
    },
}


@pytest.mark.parametrize("name", _BROKEN)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_not_an_image(name: str, share: float) -> None:
    content = _BROKEN[name](picture(1))
    assert decode(content) is not None
    assert decode(content[: int(len(content) * share)]) is None


def test_a_truncated_heic_is_not_an_image(heif: ModuleType) -> None:
    content = heic(picture(1), heif)
    assert decode(content) is not None
    for share in (0.01, 0.5, 0.99):
        assert decode(content[: int(len(content) * share)]) is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_colours_of_display_p3_become_srgb(kind: str, options: dict[str, object]) -> None:
    image = cv2.convertScaleAbs(picture(6), alpha=0.5, beta=60)
    rgb = _encoded(_linear(image[:, :, ::-1] / 255) @ _P3_TO_SRGB.T) * 255
    expected = np.clip(rgb, 0, 255)[:, :, ::-1]
    plain = saved(image, kind, **options)
    tagged = saved(image, kind, icc_profile=_P3, **options)
    assert off(read(tagged), expected) < 1
    assert off(read(plain), expected) > 3


def test_colours_of_a_heic_become_srgb(heif: ModuleType) -> None:
    image = np.full((64, 64, 3), (60, 80, 200), np.uint8)
    rgb = _encoded(_linear(image[:, :, ::-1] / 255) @ _P3_TO_SRGB.T) * 255
    tagged = Pillow.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    tagged.info["icc_profile"] = _P3
    stream = io.BytesIO()
    heif.from_pillow(tagged).save(stream, quality=100)
    assert off(read(stream.getvalue()), rgb[:, :, ::-1]) < 2


def test_a_profile_of_srgb_changes_no_bit() -> None:
    named = made.profile("sRGB IEC61966-2.1", lambda x: float(_linear(x)))
    for kind in ("JPEG", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        plain = saved(picture(7), kind, **options)
        tagged = saved(picture(7), kind, icc_profile=named, **options)
        assert named in tagged or kind == "PNG"
        assert np.array_equal(read(tagged), opencvs(plain))


def test_a_profile_that_does_not_fit_changes_no_bit() -> None:
    plain = read(saved(picture(7), "JPEG"))
    for bad in (b"not a profile", _P3[:200], _GREY):
        assert np.array_equal(read(saved(picture(7), "JPEG", icc_profile=bad)), plain)


def test_no_profile_breaks_the_decoder() -> None:
    grey, colour = Pillow.new("L", (2, 2)), Pillow.new("RGB", (2, 2))
    for image, valid in ((colour, _P3), (grey, _GREY)):
        for profile in mutations.binary_mutants(valid, 2000):
            assert colours.to_srgb(image, profile).mode == "RGB"
            assert colours.is_srgb(profile) in (True, False)


def test_a_grey_picture_has_a_profile_too() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (32, 1))
    expected = np.repeat(_encoded((ramp / 255.0) ** 1.8)[..., None] * 255, 3, axis=2)
    for kind, options in (("PNG", {}), ("JPEG", {"quality": 100})):
        image = read(packed(Pillow.fromarray(ramp), kind, icc_profile=_GREY, **options))
        assert off(image, expected) < 1.5
