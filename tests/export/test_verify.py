"""`agecompact verify` names files that have changed since the export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agecompact.artifacts.manifest import read_builds
from agecompact.errors import GateError, UsageError
from export.command import verify
from export.verify import check
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


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(verify, [str(folder), *arguments])


def test_a_fresh_build_is_intact(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet")
    done = run(build.folder.parent)
    assert done.exit_code == 0
    assert "5 artefacts, all intact" in done.output


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named(damage: str, copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet")
    file, change = DAMAGE[damage]
    change(build.folder / file)
    done = run(build.folder)
    assert isinstance(done.exception, GateError)
    assert file.partition("/")[0] in done.exception.why


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
    copy_build: CopyBuild,
) -> None:
    build = copy_build("ssrnet")
    path = build.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["weights_sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    faults = check(read_builds(build.folder)[0])
    assert sum("other weights" in fault for fault in faults) == 5


def test_a_manifest_of_another_version_is_rejected(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet")
    path = build.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(UsageError, match="schema version 99"):
        read_builds(build.folder)


def test_an_empty_folder_is_not_a_build(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert isinstance(done.exception, UsageError)
    assert "agecompact export" in done.exception.fix
