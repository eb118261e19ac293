"""Cached chips equal decoded ones bit for bit; damage is found, reported and repaired."""

import errno
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.data import batches, cache, utkface
from agecompact.data.batches import Chips
from agecompact.data.face import Face, Label
from agecompact.data.survey import survey
from agecompact.errors import OutputError
from agecompact.faces.framing import Framing
from tests.agecompact.data import synthetic
from tests.agecompact.data.synthetic import picture


@pytest.fixture
def faces(tmp_path: Path) -> tuple[Face, ...]:
    files = {f"{20 + i}_0_0_{i}.jpg": i for i in range(6)}
    folder = synthetic.utkface(tmp_path / "data", {**files, "50_0_0_big.jpg": picture(9, 320)})
    return survey(utkface.read(folder), "age").faces


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _assert_same(left: Chips, right: Chips) -> None:
    assert left.faces == right.faces
    assert left.unreadable == right.unreadable
    for one, other in zip(left.images, right.images, strict=True):
        assert one.dtype == np.uint8
        assert one.shape == (200, 200, 3)
        assert np.array_equal(one, other)


def _shards(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def test_the_cache_changes_nothing(
    faces: tuple[Face, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = batches.load(faces)
    for _ in range(2):
        _assert_same(batches.load(faces, folder), plain)
    assert capsys.readouterr().err == ""
    assert _shards(folder) == [".json", ".npy"]


def test_nothing_is_decoded_twice(
    faces: tuple[Face, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = batches.load(faces)
    batches.load(faces[:4], folder)
    decoded: list[str] = []
    read = cache.read_chip
    monkeypatch.setattr(
        cache, "read_chip", lambda path, *how: decoded.append(path.name) or read(path, *how)
    )
    _assert_same(batches.load(faces[2:5], folder), batches.load(faces[2:5]))
    decoded.clear()
    _assert_same(batches.load(faces[::-1], folder), batches.load(faces[::-1]))
    assert faces[5].name in decoded
    decoded.clear()
    assert len(batches.load(faces, folder)) == len(plain)
    assert decoded == []
    assert _shards(folder) == [".json"] * 3 + [".npy"] * 3


def test_framings_are_kept_apart(faces: tuple[Face, ...], folder: Path) -> None:
    cut = tuple(replace(face, framing=Framing("border", 20)) for face in faces)
    for chosen in (faces, cut, faces, cut):
        _assert_same(batches.load(chosen, folder), batches.load(chosen))


def test_files_without_a_chip_are_counted(faces: tuple[Face, ...], folder: Path) -> None:
    faces[1].path.write_bytes(b"no image")
    faces[2].path.unlink()
    plain = batches.load(faces)
    assert (len(plain), plain.unreadable) == (5, 2)
    for _ in range(2):
        _assert_same(batches.load(faces, folder), plain)


def test_a_file_without_a_chip_is_not_opened_twice(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = tmp_path / "flat.jpg", synthetic.jpeg(np.full((90, 90, 3), 99, np.uint8))
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    flat = Face("flat.jpg", path, sha256, Label(30), Framing("detect"))
    assert batches.load([flat], folder).unreadable == 1
    monkeypatch.setattr(cache, "read_chip", None)
    assert batches.load([flat], folder).unreadable == 1


def test_a_file_that_changed_since_the_survey_does_no_harm(
    faces: tuple[Face, ...], folder: Path
) -> None:
    plain = batches.load(faces)
    before = faces[0].path.read_bytes()
    for content in (b"no image", synthetic.jpeg(picture(77))):
        faces[0].path.write_bytes(content)
        _assert_same(batches.load(faces, folder), batches.load(faces))
    faces[0].path.write_bytes(before)
    _assert_same(batches.load(faces, folder), plain)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def _forget_row(path: Path) -> None:
    index = json.loads(path.read_text())
    index["rows"].pop()
    path.write_text(json.dumps(index))


def _change_rows(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        index = json.loads(path.read_text())
        change(index["rows"])
        path.write_text(json.dumps(index))

    return damage


def _swap_hashes(rows: list[dict[str, Any]]) -> None:
    rows[0]["sha256"], rows[1]["sha256"] = rows[1]["sha256"], rows[0]["sha256"]


_DAMAGES: list[tuple[str, Callable[[Path], object]]] = [
    (".npy", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    (".npy", _flip),
    (".npy", lambda path: path.write_bytes(b"")),
    (".npy", lambda path: path.write_bytes(b"no array")),
    (".npy", Path.unlink),
    (".json", lambda path: path.write_text("{}")),
    (".json", _forget_row),
    # Each would give a face another chip, or none.
    (".json", _change_rows(_swap_hashes)),
    (".json", _change_rows(list.reverse)),
    (".json", _change_rows(lambda rows: rows[0].update(has_chip=False))),
]


@pytest.mark.parametrize(("suffix", "damage"), _DAMAGES)
def test_a_damaged_shard_is_reported_and_made_again(
    suffix: str,
    damage: Callable[[Path], object],
    faces: tuple[Face, ...],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = batches.load(faces)
    batches.load(faces, folder)
    damage(next(folder.glob(f"*{suffix}")))
    _assert_same(batches.load(faces, folder), plain)
    assert capsys.readouterr().err.count("are damaged, decoding again") == 1
    _assert_same(batches.load(faces, folder), plain)
    assert capsys.readouterr().err == ""


def test_a_shard_without_an_index_is_ignored(
    faces: tuple[Face, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batches.load(faces, folder)
    next(folder.glob("*.json")).unlink()
    _assert_same(batches.load(faces, folder), batches.load(faces))
    assert capsys.readouterr().err == ""


def test_a_full_disk_names_the_option_and_leaves_nothing(
    faces: tuple[Face, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(OutputError, match="No space left") as failed:
        batches.load(faces, folder)
    assert "--cache" in failed.value.fix
    assert list(folder.iterdir()) == []


def test_a_cache_that_cannot_be_made_names_the_option(
    faces: tuple[Face, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as failed:
        batches.load(faces, tmp_path / "file" / "cache")
    assert "--cache" in failed.value.fix
