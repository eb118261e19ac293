"""A survey keeps and drops the right files, and no picture is ever in two parts of a split."""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from agecompact.contract import Image
from agecompact.data import fgnet, fingerprints, labels, megaage, registry, utkface
from agecompact.data.cache import chips
from agecompact.data.fingerprints import Fingerprint, path_in
from agecompact.data.splits import PARTS, split
from agecompact.data.survey import Survey, survey
from agecompact.errors import UsageError
from agecompact.faces import files
from agecompact.faces.files import ChipFile, read_chip
from agecompact.faces.framing import WHOLE, Framing
from tests.agecompact.data import synthetic
from tests.agecompact.data.synthetic import CHANGES, jpeg, picture
from tests.limited import run_limited

FILES: Mapping[str, bytes | Image | int] = {
    # One file alone, and three copies whose labels agree.
    "20_0_0_alone.jpg": 1,
    **{f"30_0_0_copy{i}.jpg": 2 for i in range(3)},
    # The same bytes with two ages, and with two genders.
    "40_0_0_a.jpg": 3,
    "41_0_0_b.jpg": 3,
    "50_0_0_a.jpg": 4,
    "50_1_0_b.jpg": 4,
    # The same picture, changed, with one age and with two.
    "60_0_0_a.jpg": 20,
    "60_0_0_b.jpg": CHANGES["mirrored"](picture(20)),
    "61_0_0_a.jpg": 30,
    "62_0_0_b.jpg": CHANGES["brighter"](picture(30)),
    "70_0_0_a.jpg": 40,
    "70_1_0_b.jpg": CHANGES["compressed"](picture(40)),
    "80_0_0_a.jpg": 50,
    "80_0_0_b.jpg": CHANGES["smaller"](picture(50)),
    # No gender, not an image, half an image, an empty file, no label.
    "25__0_nogender.jpg": 60,
    "26_0_0_text.jpg": b"no image",
    "26_0_0_half.jpg": jpeg(picture(70))[:2000],
    "26_0_0_empty.jpg": b"",
    "README.txt": b"",
}


def _survey(folder: Path, target: str = "age", **options: object) -> Survey:
    return survey(utkface.read(folder), target, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.utkface(tmp_path_factory.mktemp("utkface"), FILES)


def test_by_age(folder: Path) -> None:
    found = _survey(folder)
    assert [face.name for face in found.faces] == [
        "20_0_0_alone.jpg",
        "25__0_nogender.jpg",
        "30_0_0_copy0.jpg",
        "50_0_0_a.jpg",
        "60_0_0_a.jpg",
        "70_0_0_a.jpg",
        "80_0_0_a.jpg",
    ]
    assert found.dropped == {
        "rejected: the name tells no age": ("README.txt",),
        "unlabelled": (),
        "unreadable": ("26_0_0_empty.jpg", "26_0_0_half.jpg", "26_0_0_text.jpg"),
        "faceless": (),
        "not_square": (),
        "duplicates": ("30_0_0_copy1.jpg", "30_0_0_copy2.jpg", "50_1_0_b.jpg"),
        "near_duplicates": ("60_0_0_b.jpg", "70_1_0_b.jpg", "80_0_0_b.jpg"),
        "conflicting": ("40_0_0_a.jpg", "41_0_0_b.jpg"),
        "near_conflicting": ("61_0_0_a.jpg", "62_0_0_b.jpg"),
    }
    assert found.conflicts == (("40_0_0_a.jpg", "41_0_0_b.jpg"),)
    assert found.counts["entries"] == len(FILES)


def test_by_gender(folder: Path) -> None:
    found = _survey(folder, "gender")
    assert found.dropped["unlabelled"] == ("25__0_nogender.jpg",)
    assert found.conflicts == (("50_0_0_a.jpg", "50_1_0_b.jpg"),)
    assert found.near_conflicts == (("70_0_0_a.jpg", "70_1_0_b.jpg"),)
    assert "40_0_0_a.jpg" in {face.name for face in found.faces}
    assert found.counts["entries"] == len(FILES)


def test_each_file_is_one_step(folder: Path) -> None:
    steps: list[None] = []
    _survey(folder, step=lambda: steps.append(None))
    assert len(steps) == len(FILES) - 1


def test_a_data_set_without_usable_faces_is_refused(tmp_path: Path) -> None:
    synthetic.utkface(tmp_path, {"20_0_0_a.jpg": b"", "30_0_0_a.jpg": 1, "31_0_0_a.jpg": 1})
    with pytest.raises(UsageError, match="3 labelled files, 1 of them not images"):
        _survey(tmp_path)


def test_what_was_unreadable_is_read_again(tmp_path: Path) -> None:
    """An earlier version, or one without a package, could not read its format."""
    path = tmp_path / "face.png"
    synthetic.write(path, 1)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    known = {sha256: Fingerprint("unreadable", sha256)}
    assert fingerprints.take(path, WHOLE, known).state == "read"
    known = {sha256: Fingerprint("faceless", sha256)}
    assert fingerprints.take(path, WHOLE, known) is known[sha256]


def test_a_labelled_folder_is_unreadable_not_fatal(tmp_path: Path) -> None:
    synthetic.utkface(tmp_path, {"30_0_0_a.jpg": 1})
    (tmp_path / "20_0_0_folder.jpg").mkdir()
    assert _survey(tmp_path).dropped["unreadable"] == ("20_0_0_folder.jpg",)


_COPIES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 3), st.sampled_from(["bytes", *CHANGES])),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(copies=_COPIES)
def test_a_picture_is_never_in_two_parts(
    copies: list[tuple[int, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    changes = {"bytes": lambda image: image, **CHANGES}
    names = [f"{30 + years}_0_0_{i}.jpg" for i, (_, years, _) in enumerate(copies)]
    files = {
        name: changes[change](picture(seed))
        for name, (seed, _, change) in zip(names, copies, strict=True)
    }
    folder = synthetic.utkface(tmp_path_factory.mktemp("copies"), files)
    seeds = {name: seed for name, (seed, _, _) in zip(names, copies, strict=True)}
    agreed = {
        seed
        for seed in seeds.values()
        if len({years for other, years, _ in copies if other == seed}) == 1
    }
    # Files with the same bytes and two ages are dropped before the search for near duplicates, so
    # one changed copy of them may stay.
    try:
        kept = _survey(folder).faces
    except UsageError:
        kept = ()
    parts = split(kept)
    together = [seeds[face.name] for part in PARTS for face in parts.part(part)]
    assert len(together) == len(set(together))
    assert agreed <= set(together)


def test_pictures_without_a_face_are_counted(tmp_path: Path) -> None:
    photo = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    synthetic.fgnet(
        tmp_path, {"001A30.JPG": photo, "002A40.JPG": np.full((90, 90, 3), 99, np.uint8)}
    )
    found = survey(fgnet.read(tmp_path), "age")
    assert [face.name for face in found.faces] == ["001A30.JPG"]
    assert found.faces[0].framing.kind == "detect"
    assert found.dropped["faceless"] == ("002A40.JPG",)
    assert found.counts["entries"] == 2


def test_one_picture_in_both_published_parts_stays_in_the_test_part(tmp_path: Path) -> None:
    train = [(f"{i}.jpg", "30", i) for i in range(10)]
    synthetic.megaage(tmp_path, {"train": train, "test": [("a.jpg", "30", 5), ("b.jpg", "9", 6)]})
    found = survey(megaage.read(tmp_path), "age")
    parts = registry.get("megaage").protocol(None).folds(found.faces, 1)["single"]
    assert [face.name for face in parts.test] == ["test/a.jpg"]
    kept = {face.name for face in (*parts.train, *parts.val)}
    assert kept == {f"train/{i}.jpg" for i in range(10) if i not in (5, 6)}
    assert found.conflicts == (("test/b.jpg", "train/6.jpg"),)


def test_people_of_a_small_album_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(registry.get("morph2"), framing=WHOLE)
    monkeypatch.setitem(registry.DATASETS, "morph2", spec)
    rows = [
        synthetic.morph_row(f"{person:06}", number, "MF"[person % 2], 20 + person)
        for person in range(12)
        for number in range(3)
    ]
    listing = registry.read("morph2", synthetic.morph2(tmp_path, rows))
    parts = spec.protocol("subject-disjoint").folds(survey(listing, "age").faces, 3)["single"]
    people = [{face.label.subject for face in parts.part(part)} for part in PARTS]
    assert sum(map(len, people)) == len(set.union(*people)) == 12


# Own tables, and pictures that are no chips.


def _table(folder: Path, *rows: str, columns: str = "path,age") -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def test_a_picture_that_is_not_square_is_never_squashed(tmp_path: Path) -> None:
    data = synthetic.utkface(
        tmp_path / "data", {"20_0_0_a.jpg": 1, "30_0_0_b.jpg": picture(2)[:, :150]}
    )
    cache = tmp_path / "cache"
    found = _survey(data, cache=cache)
    assert [face.name for face in found.faces] == ["20_0_0_a.jpg"]
    assert found.dropped["not_square"] == ("30_0_0_b.jpg",)
    # An older version kept the fingerprint of the squashed picture.
    path = path_in(cache, "utkface", WHOLE)
    old = fingerprints.read(path, print)
    fingerprints.write(path, [replace(each, state="read") for each in old.values()])
    assert _survey(data, cache=cache) == found


def test_only_oblong_pictures_are_an_error_that_names_the_option(tmp_path: Path) -> None:
    synthetic.utkface(tmp_path, {"30_0_0_b.jpg": picture(2)[:, :150]})
    with pytest.raises(UsageError, match="1 not square") as refused:
        _survey(tmp_path)
    assert "--framing detect" in refused.value.fix


def test_boxes_and_whole_pictures_in_one_table(tmp_path: Path) -> None:
    group = np.hstack([picture(5), picture(6), picture(7)])
    # PNG, so that the cut-out pixels are those of the pictures.
    (tmp_path / "group.png").write_bytes(cv2.imencode(".png", group)[1].tobytes())
    synthetic.write(tmp_path / "chip.jpg", 8)
    synthetic.write(tmp_path / "oblong.jpg", picture(9)[:, :150])
    table = _table(
        tmp_path,
        *('group.png,30,"0,0,200,200"', 'group.png,60,"200,0,200,200"'),
        *('group.png,40,"900,0,200,200"', "chip.jpg,50,", "oblong.jpg,20,"),
        columns="path,age,box",
    )
    cache = tmp_path / "cache"
    found = survey(labels.read_csv(table), "age", framing=WHOLE, cache=cache)
    assert [(face.name, face.label.age) for face in found.faces] == [
        ("chip.jpg", 50),
        ("group.png#0,0,200,200", 30),
        ("group.png#200,0,200,200", 60),
    ]
    assert found.dropped["faceless"] == ("group.png#900,0,200,200",)
    assert found.dropped["not_square"] == ("oblong.jpg",)
    for face, seed in zip(found.faces[1:], (5, 6), strict=True):
        chip = read_chip(face.path, face.framing)
        assert np.array_equal(chip.chip, picture(seed))
        assert chip.sha256 == face.sha256
    assert len({face.sha256 for face in found.faces}) == 3
    again = survey(labels.read_csv(table), "age", framing=WHOLE, cache=cache)
    assert again == found


def test_another_box_is_not_found_in_the_cache(tmp_path: Path) -> None:
    synthetic.write(tmp_path / "a.jpg", 1)
    cache, found = tmp_path / "cache", []
    for box in ("0,0,100,100", "50,50,100,100"):
        table = _table(tmp_path, f'a.jpg,30,"{box}"', columns="path,age,box")
        found.append(survey(labels.read_csv(table), "age", cache=cache).faces[0])
    assert found[0].sha256 != found[1].sha256
    cached = chips(found, cache / "chips")
    assert not np.array_equal(cached[0], cached[1])
    for face, chip in zip(found, cached, strict=True):
        assert np.array_equal(chip, read_chip(face.path, face.framing).chip)


@pytest.mark.parametrize("first", ["train", "test"])
def test_of_copies_in_two_parts_the_one_in_the_test_part_is_kept(
    first: str, tmp_path: Path
) -> None:
    for name, content in (
        *(("a.jpg", 1), ("b.jpg", 1)),
        *(("c.jpg", 2), ("d.jpg", CHANGES["mirrored"](picture(2)))),
    ):
        synthetic.write(tmp_path / name, content)
    parts = ("train", "test") if first == "train" else ("test", "train")
    rows = [f"{name}.jpg,30,{part}" for name, part in zip("abcd", parts * 2, strict=True)]
    table = _table(tmp_path, *rows, columns="path,age,split")
    found = survey(labels.read_csv(table), "age", framing=WHOLE)
    assert [face.label.part for face in found.faces] == ["test", "test"]
    assert len(found.dropped["duplicates"]) == len(found.dropped["near_duplicates"]) == 1
    names = [face.name for face in found.faces]
    assert names == sorted(names)


# The cache between surveys.


def _lines(folder: Path, cache: Path) -> list[str]:
    lines: list[str] = []
    assert _survey(folder, cache=cache, say=lines.append) == _survey(folder)
    return lines


def test_a_second_survey_decodes_no_picture_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _survey(folder, cache=tmp_path)

    def chip_in(content: bytes, framing: Framing) -> ChipFile:
        file = files.chip_in(content, framing)
        # Only what could not be read is tried again.
        assert file.state == "unreadable"
        return file

    monkeypatch.setattr(fingerprints, "chip_in", chip_in)
    assert _survey(folder, cache=tmp_path) == first
    # A survey by gender uses fewer files, and drops none of the others from the cache.
    _survey(folder, "gender", cache=tmp_path)
    assert _survey(folder, cache=tmp_path) == first


def test_a_picture_of_the_same_size_and_time_is_another_one(tmp_path: Path) -> None:
    folder = synthetic.utkface(tmp_path / "data", {"20_0_0_a.jpg": 1, "30_0_0_a.jpg": 2})
    cache, changed = tmp_path / "cache", folder / "20_0_0_a.jpg"
    old, status = jpeg(picture(1)), changed.stat()
    before = _survey(folder, cache=cache)
    new = jpeg(picture(3))
    # A JPEG may be followed by other bytes.
    changed.write_bytes(
        new + bytes(len(old) - len(new)) if len(new) < len(old) else new[: len(old)]
    )
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert changed.stat().st_size == status.st_size
    after = _survey(folder, cache=cache)
    assert after == _survey(folder)
    assert after.faces[0].sha256 != before.faces[0].sha256


def test_a_compressed_cache_is_not_unpacked(folder: Path, tmp_path: Path) -> None:
    path = path_in(tmp_path, "utkface", WHOLE)
    path.parent.mkdir(exist_ok=True)
    rows = 200_000
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("states.npy", "w") as stream:
            np.save(stream, np.zeros(rows, np.uint8))
        with archive.open("sha256.npy", "w") as stream:
            np.save(stream, np.zeros(rows, "S64"))
        with archive.open("thumbnails.npy", "w") as stream:
            header = {"descr": "<f4", "fortran_order": False, "shape": (rows, 1024)}
            np.lib.format.write_array_header_1_0(stream, header)
            for _ in range(rows // 1000):
                stream.write(bytes(4096 * 1000))
    assert path.stat().st_size < 2_000_000
    done = run_limited("data", "check", "--data", folder, "--cache", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "'states' is compressed" in done.stdout + done.stderr


@pytest.mark.parametrize("shape", [(2**40, 1024), (1, 1024), (2, 512)])
def test_an_array_is_as_large_as_its_data(
    shape: tuple[int, ...], folder: Path, tmp_path: Path
) -> None:
    path = path_in(tmp_path, "utkface", WHOLE)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in (("states", np.zeros(2, np.uint8)), ("sha256", np.zeros(2, "S64"))):
            with archive.open(f"{name}.npy", "w") as stream:
                np.save(stream, array)
        with archive.open("thumbnails.npy", "w") as stream:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            stream.write(bytes(2 * 4096))
    assert "'thumbnails' does not fit its header" in _lines(folder, tmp_path)[0]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    folder = synthetic.utkface(tmp_path / "data", {"20_0_0_a.jpg": 1, "30_0_0_a.jpg": 2})
    cache = tmp_path / "cache"
    _survey(folder, cache=cache)
    (folder / "20_0_0_a.jpg").unlink()
    synthetic.write(folder / "40_0_0_a.jpg", 1)
    synthetic.write(folder / "30_0_0_a.jpg", 3)
    assert _survey(folder, cache=cache) == _survey(folder)
    names = [face.name for face in _survey(folder, cache=cache).faces]
    assert names == ["30_0_0_a.jpg", "40_0_0_a.jpg"]


@pytest.mark.parametrize("damage", [b"", b"no archive", "half", "flipped"])
def test_damaged_fingerprints_are_taken_again(
    damage: bytes | str, folder: Path, tmp_path: Path
) -> None:
    path = path_in(tmp_path, "utkface", WHOLE)
    assert _lines(folder, tmp_path) == []
    content = bytearray(path.read_bytes())
    if damage == "half":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        content = bytearray(damage)
    path.write_bytes(content)
    assert "are damaged, decoding all files again" in _lines(folder, tmp_path)[0]
    assert _lines(folder, tmp_path) == []
