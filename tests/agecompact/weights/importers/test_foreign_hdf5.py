"""HDF5 files that name other files, or declare more than they hold, are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.errors import ExitCode, UsageError
from agecompact.weights.importers import keras_hdf5
from tests.limited import run_limited

h5py = pytest.importorskip("h5py", reason="needs the 'train' extra")

_KERNEL = "conv1/conv1/kernel:0"


def external_link(file: Any, other: Path) -> None:
    file["conv2"] = h5py.ExternalLink(str(other), "/conv1")


def soft_link(file: Any, other: Path) -> None:  # noqa: ARG001
    file["conv2/conv2/kernel:0"] = h5py.SoftLink(f"/{_KERNEL}")


def external_storage(file: Any, other: Path) -> None:
    file.create_dataset("conv2/c/kernel:0", (4,), "f4", external=[(str(other), 0, 16)])


def virtual_dataset(file: Any, other: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(other), _KERNEL, (4,))
    file.create_virtual_dataset("conv2/c/kernel:0", layout)


def external_root(file: Any, other: Path) -> None:
    file["model_weights"] = h5py.ExternalLink(str(other), "/")


@pytest.mark.parametrize(
    "add", [external_link, soft_link, external_storage, virtual_dataset, external_root]
)
def test_data_in_another_file_is_refused(add: Callable[[Any, Path], None], tmp_path: Path) -> None:
    path, other = tmp_path / "weights.h5", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file[_KERNEL] = np.ones(4, np.float32)
    with h5py.File(path, "w") as file:
        file[_KERNEL] = np.ones(4, np.float32)
    assert [layer.name for layer in keras_hdf5.read(path).found.layers] == ["conv1"]
    with h5py.File(path, "a") as file:
        add(file, other)
    with pytest.raises(UsageError, match="is not self-contained") as caught:
        keras_hdf5.read(path)
    assert "in another file" in caught.value.why


@pytest.mark.parametrize(
    "declared",
    [
        {"shape": (2**31,), "chunks": (2**20,)},
        # One element, whose chunk has four gigabytes when it is unpacked.
        {"shape": (1,), "maxshape": (None,), "chunks": (2**30 - 1,)},
    ],
)
def test_a_small_file_cannot_declare_gigabytes(declared: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(_KERNEL, dtype="f4", compression="gzip", **declared)
    assert path.stat().st_size < 10_000
    done = run_limited("weights", "import", path, "--model", "c3ae", "--out", tmp_path / "w")
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert "declare more than" in done.stderr


def test_a_file_cannot_hold_any_number_of_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        for i in range(3):
            file[f"conv{i}/conv{i}/kernel:0"] = np.ones(4, np.float32)
    monkeypatch.setattr(keras_hdf5, "_MOST_ARRAYS", 3)
    keras_hdf5.extract(str(path), str(tmp_path / "arrays.npz"))
    monkeypatch.setattr(keras_hdf5, "_MOST_ARRAYS", 2)
    with pytest.raises(UsageError, match="is too large") as caught:
        keras_hdf5.extract(str(path), str(tmp_path / "arrays.npz"))
    assert "more than 2 arrays" in caught.value.why


def test_a_crash_of_the_parser_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "h5py.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[4]}")
    with pytest.raises(UsageError, match="cannot read") as caught:
        keras_hdf5.read(path)
    assert "SIGSEGV" in caught.value.why
