"""`agecompact verify` names files that have changed since the export."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agecompact.artifacts.manifest import read_builds
from agecompact.errors import GateError, UsageError
from agecompact.runtimes.reading import Reader
from export.command import verify
from export.verify import check
from parity_tests.golden import freeze
from parity_tests.settings import CheckSettings
from tests import hostile
from tests.support import Agecompact, CopyBuild


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def swap_with_float16(path: Path) -> None:
    other = path.with_name(path.name.replace("float32", "float16"))
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "byte-in-onnx": ("ssrnet_float32.onnx", flip_last_byte),
    "byte-in-tflite": ("ssrnet_float16.tflite", flip_last_byte),
    "byte-in-weights": ("ssrnet.safetensors", flip_last_byte),
    "byte-in-package": (
        "ssrnet_float32.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
        flip_last_byte,
    ),
    "missing": ("ssrnet_float32.tflite", Path.unlink),
    "weights-missing": ("ssrnet.safetensors", Path.unlink),
    "swapped": ("ssrnet_float32.tflite", swap_with_float16),
    "swapped-package": ("ssrnet_float32.mlpackage", swap_with_float16),
}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """One process for all tests, as for all builds of a folder."""
    with Reader() as opened:
        yield opened


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(verify, [str(folder), *arguments])


def test_a_fresh_build_is_intact(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet")
    done = run(build.folder.parent)
    assert done.exit_code == 0
    assert "5 artefacts, all intact" in done.output


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named(damage: str, copy_build: CopyBuild, reader: Reader) -> None:
    build = copy_build("ssrnet")
    file, change = DAMAGE[damage]
    change(build.folder / file)
    faults = check(build.folder, reader)
    assert any(file.partition("/")[0] in fault for fault in faults)


def linked(path: Path) -> None:
    aside = path.parent.parent / f"{path.name}.aside"
    path.rename(aside)
    path.symlink_to(aside)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def other_contract(path: Path) -> None:
    edit_manifest(path.parent, lambda content: content["contract"].update(mean=[1.0, 2.0, 3.0]))


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# All of them leave the hashes that the manifest names as they are.
HIDDEN: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a link to the same content": ("ssrnet_float32.onnx", linked, "is a link"),
    "linked weights": ("ssrnet.safetensors", linked, "is a link"),
    "a linked file in a package": (
        "ssrnet_float32.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
        linked,
        "is a link",
    ),
    "a pipe": ("ssrnet_float16.tflite", piped, "is a pipe"),
    "another contract": ("manifest.json", other_contract, "another contract"),
    "an undeclared file": ("ssrnet_float32.pb", Path.touch, "is not part of the build"),
    "an undeclared folder": ("extra", Path.mkdir, "is not part of the build"),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_what_a_hash_does_not_show_is_a_fault(
    case: str, copy_build: CopyBuild, reader: Reader
) -> None:
    build = copy_build("ssrnet")
    file, change, reason = HIDDEN[case]
    change(build.folder / file)
    faults = check(build.folder, reader)
    assert any(reason in fault for fault in faults), faults


def test_a_changed_contract_is_a_fault_of_every_file(copy_build: CopyBuild, reader: Reader) -> None:
    build = copy_build("ssrnet")
    other_contract(build.folder / "manifest.json")
    faults = check(build.folder, reader)
    assert len(faults) == 1 + 5
    assert all("another contract" in fault for fault in faults)


def test_a_build_without_artefacts_is_not_intact(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", ".none")
    for path in build.folder.glob("ssrnet_*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = run(build.folder)
    assert isinstance(done.exception, GateError)
    assert "has no artefact" in done.exception.why


def test_what_later_stages_write_is_part_of_the_build(
    copy_build: CopyBuild, reader: Reader
) -> None:
    build = copy_build("ssrnet")
    freeze(build, CheckSettings())
    for name in ("parity.json", "parity.xml", "latency.json"):
        (build.folder / name).touch()
    assert check(build.folder, reader) == []
    extra = build.folder / "golden" / "extra.u8"
    extra.touch()
    assert check(build.folder, reader) == [f"{extra} is not part of the build"]


def test_one_bad_artefact_does_not_hide_the_others(copy_build: CopyBuild, reader: Reader) -> None:
    pytest.importorskip("ai_edge_litert")
    build = copy_build("ssrnet")
    tflite, onnx = (build.folder / f"ssrnet_float32.{kind}" for kind in ("tflite", "onnx"))
    hostile.edit_tflite(tflite, hostile.with_metadata(b"\xff"))
    flip_last_byte(onnx)
    faults = "\n".join(check(build.folder, reader))
    for expected in (f"{tflite} has agecompact metadata", f"{onnx} has changed"):
        assert expected in faults


def test_the_command_exits_1_and_lists_the_faults(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet")
    damaged = build.folder / "ssrnet_float32.onnx"
    flip_last_byte(damaged)
    done = agecompact("verify", build.folder, "--json", "-")
    assert done.returncode == 1
    assert damaged.name in done.stderr
    assert "Traceback" not in done.stderr
    (fault,) = json.loads(done.stdout)["faults"]["ssrnet"][:1]
    assert damaged.name in fault


def test_artefacts_of_other_weights_are_named_though_their_hash_matches(
    copy_build: CopyBuild, reader: Reader
) -> None:
    build = copy_build("ssrnet")
    edit_manifest(build.folder, lambda content: content.update(weights_sha256="0" * 64))
    faults = check(build.folder, reader)
    assert sum("has weights_sha256" in fault for fault in faults) == 5


def test_a_manifest_of_another_version_is_rejected(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet")
    path = build.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(UsageError, match="schema version 99"):
        read_builds(build.folder)


def test_an_unreadable_manifest_does_not_hide_the_other_models(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet")
    other = build.folder.with_name("another")
    other.mkdir()
    (other / "manifest.json").write_text("{")
    flip_last_byte(build.folder / "ssrnet_float32.onnx")
    done = run(build.folder.parent)
    assert isinstance(done.exception, GateError)
    first, *others = done.exception.why.splitlines()
    assert f"{other / 'manifest.json'}" in first
    assert any("ssrnet_float32.onnx has changed" in line for line in others)


def test_an_empty_folder_is_not_a_build(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert isinstance(done.exception, UsageError)
    assert "agecompact export" in done.exception.fix
