"""JPEG files whose middle is damaged: OpenCV decodes them, and libjpeg complains."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from agecompact.data import utkface
from agecompact.data.survey import survey
from agecompact.errors import UsageError
from agecompact.faces.complaints import Complaints
from agecompact.faces.decoding import decode
from agecompact.faces.files import read_image
from tests.agecompact.data.synthetic import jpeg, picture
from tests.agecompact.faces import made
from tests.agecompact.faces.made import packed, saved


def zeroed(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(64) + content[middle + 64 :]


def shortened(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + content[middle + 200 :]


DAMAGES = [zeroed, shortened]


@pytest.mark.parametrize("damage", DAMAGES)
def test_opencv_decodes_a_damaged_file_and_libjpeg_complains(damage, capfd) -> None:
    whole = jpeg(picture(1))
    with Complaints() as complaints:
        assert decode(whole) is not None
        assert complaints.damage() == ""
        before = complaints.size
        assert decode(damage(whole)) is not None
        assert complaints.damage(before).startswith("Corrupt JPEG data: ")
        assert complaints.damage(complaints.size) == ""
    assert capfd.readouterr().err == ""


_WIDE = made.profile("wide", lambda x: x**2)


def _of_inks() -> bytes:
    inks = np.dstack([picture(1), picture(2)[:, :, 0]])
    return packed(Pillow.fromarray(inks, "CMYK"), "JPEG")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "make",
    [
        lambda: jpeg(picture(1)),
        lambda: saved(picture(1), "JPEG", quality=100, icc_profile=_WIDE),
        _of_inks,
    ],
    ids=["photo", "with a profile", "CMYK"],
)
def test_a_damaged_photo_is_refused(
    damage: Callable[[bytes], bytes], make: Callable[[], bytes], tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(make())
    assert read_image(photo).shape == (200, 200, 3)
    photo.write_bytes(damage(photo.read_bytes()))
    with pytest.raises(UsageError, match="is damaged") as refused:
        read_image(photo)
    assert "copy or download it again" in refused.value.fix


def test_a_survey_drops_the_damaged_files_and_no_others(tmp_path: Path) -> None:
    """Threads decode at once, so that a complaint may be about one of several files."""
    damaged = set()
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in range(60):
        content = jpeg(picture(i))
        name = f"{20 + i}_0_0_{i:02}.jpg"
        if i % 7 == 3:
            content = DAMAGES[i % 2](content)
            with Complaints() as alone:
                decode(content)
                # libjpeg notices 19 of 20 such damages.
                damaged |= {name} if alone.damage() else set()
        (folder / name).write_bytes(content)
    assert len(damaged) >= 4
    for _ in range(2):
        found = survey(utkface.read(folder), "age", cache=tmp_path / "cache")
        assert set(found.dropped["unreadable"]) == damaged
        assert len(found.faces) == 60 - len(damaged)


def test_what_is_not_about_damage_reaches_standard_error(capfd, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", os.fdopen(os.dup(2), "w"))
    with Complaints() as complaints:
        print("from Python", file=sys.stderr, flush=True)
        os.write(2, b"libpng warning: iCCP: known incorrect sRGB profile\n")
        os.write(2, b"Corrupt JPEG data: premature end of data segment\n")
        os.write(2, b"Warning: unknown JFIF revision number 3.01\n")
        assert complaints.damage() == "Corrupt JPEG data: premature end of data segment"
    printed = capfd.readouterr().err
    assert "from Python" in printed
    assert "libpng warning" in printed
    assert "JFIF revision" in printed
    assert "Corrupt" not in printed


def test_what_pillow_says_about_metadata_does_not(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    layers = np.dstack([picture(1), picture(1)[:, :, 0]])
    photo.write_bytes(saved(layers, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(photo).shape == (200, 200, 3)
        with pytest.raises(UserWarning, match="EXIF"), Pillow.open(photo) as opened:
            opened.getexif()


def test_pythons_standard_error_is_not_the_file() -> None:
    program = (
        "import sys; from agecompact.faces.complaints import Complaints\n"
        "with Complaints() as complaints:\n"
        "    print('progress', file=sys.stderr)\n"
        "    assert complaints.size == 0\n"
        "print('after', file=sys.stderr)\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "progress\nafter\n")


def test_every_thread_is_heard() -> None:
    bad = zeroed(jpeg(picture(2)))
    with Complaints() as complaints, ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [bad] * 8))
        assert complaints.size >= 8 * len("Corrupt JPEG data: ")
