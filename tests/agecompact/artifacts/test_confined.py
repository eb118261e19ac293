"""A build holds regular files under plain names; anything else is refused before it is opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact import files
from agecompact.artifacts.confined import regular, sha256_of
from agecompact.artifacts.golden import StoredArray
from agecompact.errors import UsageError


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link out": (link_to("/etc/hostname"), "is a link"),
    "a link inside": (link_to("other"), "is a link"),
    "a link to itself": (link_to("file"), "is a link"),
    "a link to a device": (link_to("/dev/zero"), "is a link"),
    "a dangling link": (link_to("gone"), "is a link"),
    "a pipe": (os.mkfifo, "is a pipe"),
    "a socket": (bind, "is a socket"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("inside", [False, True], ids=["file", "inside a package"])
def test_what_is_not_a_regular_file_is_refused(
    case: str, inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").write_text("other")
    package = tmp_path / "a.mlpackage"
    package.mkdir()
    # The path of a socket is short.
    monkeypatch.chdir(tmp_path)
    path = Path("a.mlpackage/file" if inside else "file")
    make, why = HOSTILE[case]
    make(path)
    checked = Path("a.mlpackage") if inside else path
    for check in (regular, sha256_of):
        with pytest.raises(UsageError, match=why) as caught:
            check(checked)
        assert str(path) in caught.value.what
        assert caught.value.fix


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.onnx is missing"):
        regular(tmp_path / "gone.onnx")


def test_files_and_packages_are_hashed_as_the_manifest_hashes_them(tmp_path: Path) -> None:
    package = tmp_path / "a.mlpackage"
    (package / "Data").mkdir(parents=True)
    (package / "Data" / "weight.bin").write_bytes(b"weights")
    assert sha256_of(package) == files.sha256_of(package)
    assert sha256_of(package / "Data" / "weight.bin") == files.sha256_of(
        package / "Data" / "weight.bin"
    )


@given(
    st.text(max_size=300) | st.sampled_from(["..", ".", "", "../a", "/a", "a/b", "a\\b", "a\nb"])
)
def test_a_file_name_stays_in_its_folder(name: str) -> None:
    try:
        accepted = StoredArray(file=name, shape=(1,), dtype="uint8").file
    except UsageError:
        return
    folder = Path("/a/build")
    assert Path(os.path.normpath(folder / accepted)).parent == folder
    assert accepted.isprintable() or not accepted.isascii()
