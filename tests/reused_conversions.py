"""Conversions that are made once per run, for one test after another.

Many tests export the same weights, and each format takes ten seconds. Here a conversion of the same
input in the same environment as an earlier one is a copy of what that one made.
"""

from __future__ import annotations

import fcntl
import hashlib
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agecompact.files import sha256_of
from agecompact.formats import Format
from agecompact.models import registry
from agecompact.weights import checkpoints
from export import pipeline
from export.job import Conversion, Job

# What differs from test to test, and no converter reads.
_IGNORED = frozenset({"PYTEST_CURRENT_TEST", "TMPDIR"})
# What onnx2tf made of the ONNX file of an export, for every format that is converted from it.
_COMMON = "onnx2tf.tflite"

_real = pipeline._convert


@contextmanager
def reused(folder: Path) -> Iterator[None]:
    """Lets exports in this process reuse conversions of this run, for the block.

    Args:
        folder: Where the workers of this run keep them.
    """
    folder.mkdir(exist_ok=True)

    def convert(format_: Format, job: Job, scratch: Path) -> Conversion:
        # The code of other networks may change.
        if job.weights.stem not in registry.MODELS or any(job.folder.iterdir()):
            return _real(format_, job, scratch)
        inputs = _inputs(job, scratch)
        asked = (format_.name, job.precisions, job.input_kind, job.without, _hash(job.calibration))
        kept = folder / _digest(*inputs, *asked)
        with _lock(kept):
            if not kept.exists():
                return _made(format_, job, scratch, kept, folder / f"{_digest(*inputs)}.tflite")
        shutil.copytree(kept / "made", job.folder, dirs_exist_ok=True)
        if job.shared is not None:
            shutil.copytree(kept / "shared", job.shared, dirs_exist_ok=True)
        conversion: Conversion = pickle.loads((kept / "conversion").read_bytes())
        return conversion

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_convert", convert)
        yield


@contextmanager
def made_again() -> Iterator[None]:
    """Converts everything, for a test that compares two conversions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_convert", _real)
        yield


def _made(format_: Format, job: Job, scratch: Path, kept: Path, common: Path) -> Conversion:
    """Converts, and keeps what was made if nothing failed."""
    if job.shared is not None and common.exists():
        shutil.copy(common, job.shared / _COMMON)
    conversion = _real(format_, job, scratch)
    new = kept.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(job.folder, new / "made")
    (new / "shared").mkdir()
    if job.shared is not None:
        shutil.copytree(job.shared, new / "shared", dirs_exist_ok=True)
        if (job.shared / _COMMON).exists() and not common.exists():
            # One step: another worker may look for it.
            copy = Path(shutil.copy(job.shared / _COMMON, new.with_suffix(".tflite")))
            copy.rename(common)
    (new / "conversion").write_bytes(pickle.dumps(conversion))
    new.rename(kept)
    return conversion


def _inputs(job: Job, scratch: Path) -> tuple[object, ...]:
    """The network, files by content, and the environment."""
    environment = pipeline._environment(scratch)
    return (
        job.weights.name,
        *map(_hash, (job.weights, checkpoints.card_path(job.weights), job.source)),
        job.dynamic_batch,
        sorted((k, v) for k, v in environment.items() if k not in _IGNORED),
    )


def _hash(path: Path | None) -> str | None:
    return sha256_of(path) if path is not None and path.exists() else None


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
