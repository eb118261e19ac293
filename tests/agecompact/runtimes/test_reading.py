"""Damaged and hostile files are typed failures, and cost neither this process nor other files."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from agecompact.artifacts.metadata import MetadataError
from agecompact.errors import AgecompactError, UsageError
from agecompact.formats import RUNTIMES
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.reading import Reader
from tests import hostile
from tests.support import BuildOf

MEMORY_BYTES = 1_000_000_000
MUTATIONS = 40
AT_ONCE_S = 10.0
FILES = (
    "ssrnet.safetensors",
    "ssrnet_float32.onnx",
    "ssrnet_float16.tflite",
    "ssrnet_float32.mlpackage/Data/com.apple.CoreML/model.mlmodel",
)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (hostile.with_metadata(b"\xff\xfe{}"), "can't decode byte 0xff"),
        (hostile.with_metadata(None), "its buffer is empty"),
        (hostile.with_metadata(b"[" * 100_000), "recursion"),
        (hostile.with_metadata(b"9" * 5000), "digits"),
        (hostile.with_metadata(b"{}"), "schema version None"),
        (hostile.metadata_out_of_range, "in buffer 1073741824 of"),
    ],
    ids=["not UTF-8", "empty", "deep", "a long number", "no fields", "out of range"],
)
def test_broken_metadata_in_a_tflite_file_is_named(
    change: hostile.Change, why: str, build_of: BuildOf, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert")
    good = build_of("ssrnet").folder / "ssrnet_float32.tflite"
    path = tmp_path / "a.tflite"
    shutil.copyfile(good, path)
    hostile.edit_tflite(path, change)
    with Reader() as reader:
        with pytest.raises(MetadataError) as caught:
            reader.metadata(path)
        assert why in caught.value.why
        assert str(path) in caught.value.what
        # The rest of the file is whole.
        assert reader.describe(path)["signatures"] == ["serving_default"]
        assert reader.metadata(good).model == "ssrnet"


def test_metadata_in_an_onnx_file_that_is_not_text_is_named(
    build_of: BuildOf, tmp_path: Path
) -> None:
    model = onnx.load_model(str(build_of("ssrnet").folder / "ssrnet_float32.onnx"))
    (entry,) = (each for each in model.metadata_props if each.key == "agecompact")
    entry.value = "\0" * len(entry.value)
    content = model.SerializeToString().replace(entry.value.encode(), b"\xff" * len(entry.value))
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with Reader() as reader, pytest.raises(MetadataError, match="cannot be read"):
        reader.metadata(path)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content with one kind of damage: cut, flipped, overwritten or with a part left out."""
    damaged = bytearray(content)
    at = chance.randrange(len(content))
    match chance.randrange(4):
        case 0:
            del damaged[at:]
        case 1:
            for _ in range(chance.choice([1, 3, 20])):
                damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        case 2:
            damaged[at : at + 4] = chance.choice([b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f"])
        case 3:
            del damaged[at : at + chance.randrange(1, 2000)]
    return bytes(damaged)


@pytest.mark.parametrize("file", FILES)
def test_any_damage_is_a_typed_failure(file: str, build_of: BuildOf, tmp_path: Path) -> None:
    pytest.importorskip("coremltools" if "mlpackage" in file else "ai_edge_litert")
    name, _, inside = file.partition("/")
    source = build_of("ssrnet").folder / name
    path = tmp_path / name
    shutil.copytree(source, path) if inside else shutil.copyfile(source, path)
    content = (source / inside if inside else source).read_bytes()
    chance = random.Random(file)
    failures = []
    with Reader() as reader:
        for _ in range(MUTATIONS):
            (path / inside if inside else path).write_bytes(mutated(content, chance))
            for read in (reader.metadata, reader.describe):
                try:
                    read(path)
                except AgecompactError as error:
                    failures.append(str(error))
    # Most damage is noticed.
    assert len(failures) >= MUTATIONS // 2
    assert all(str(path) in failure for failure in failures)


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".mlpackage"])
def test_running_a_damaged_file_is_a_typed_failure(
    suffix: str, build_of: BuildOf, tmp_path: Path
) -> None:
    pytest.importorskip("coremltools" if suffix == ".mlpackage" else "ai_edge_litert")
    source = build_of("ssrnet").folder / f"ssrnet_float32{suffix}"
    path = tmp_path / source.name
    inside = "Data/com.apple.CoreML/model.mlmodel" if source.is_dir() else ""
    shutil.copytree(source, path) if inside else shutil.copyfile(source, path)
    content = (source / inside if inside else source).read_bytes()
    runtime = RUNTIMES["mil"] if inside else None
    chance = random.Random(suffix)
    failures = []
    for _ in range(4):
        (path / inside if inside else path).write_bytes(mutated(content, chance))
        try:
            with RuntimeProcess(path, runtime, timeout_s=30, memory_bytes=MEMORY_BYTES) as process:
                inputs = process.open().interface.inputs
                shapes = {name: [1, *(side or 1 for side in p.shape)] for name, p in inputs.items()}
                faces = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
                process.infer(faces)
                process.trace(faces)
        except RuntimeFailure as failure:
            failures.append(failure.kind)
    assert failures


def test_a_signature_out_of_range_is_a_typed_failure(build_of: BuildOf, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "a.tflite"
    shutil.copyfile(build_of("ssrnet").folder / "ssrnet_float32.tflite", path)
    hostile.edit_tflite(path, hostile.signature_out_of_range)
    with RuntimeProcess(path) as process, pytest.raises(RuntimeFailure) as failure:
        process.open()
    assert failure.value.kind in ("load", "crash")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_file_that_takes_too_much_memory_fails(build_of: BuildOf, tmp_path: Path) -> None:
    source = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    path = hostile.huge_onnx(source, tmp_path / "huge.onnx")
    face = {"face": np.zeros((1, 1, 3, 64, 64), np.float32)}
    with RuntimeProcess(path, memory_bytes=MEMORY_BYTES) as process:
        process.open()
        with pytest.raises(RuntimeFailure) as failure:
            process.infer(face)
    assert failure.value.kind in ("run", "crash")


@pytest.mark.parametrize("kind", ["pipe", "device", "loop"])
def test_what_is_not_a_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    started = time.monotonic()
    with Reader() as reader, pytest.raises(UsageError, match=r"a\.onnx"):
        reader.metadata(path)
    assert time.monotonic() - started < AT_ONCE_S


def test_a_file_that_ends_the_process_costs_only_its_own_reading(build_of: BuildOf) -> None:
    path = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    with Reader() as reader:
        assert reader.metadata(path).model == "ssrnet"
        assert reader._channel is not None
        reader._channel.kill()
        with pytest.raises(UsageError, match="cannot run") as caught:
            reader.metadata(path)
        assert "SIGKILL" in caught.value.why
        assert reader.metadata(path).model == "ssrnet"
