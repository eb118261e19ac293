"""An adb whose device is a folder of this machine, and a build with a golden pack for the runner.

The adb is for what a real one shows badly: states, other versions' words, a device that asks. What
a real adb and a real adbd do is in `test_adb_end_to_end`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.runtimes import pytorch
from android_bench.adb.client import Client
from tests.golden_pack import write_pack

_SAMPLES = 2

_ADB = """#!/bin/sh
here=$(dirname "$0")
[ -f "$here/says" ] && { cat "$here/says" >&2; exit 1; }
[ "$1" = devices ] && { echo 'List of devices attached'; cat "$here/devices"; exit; }
[ "$1" = -s ] && shift 2
case "$1" in
shell) exec sh -c "$2" ;;
push) cp "$2" "$3" ;;
pull) cp "$2" "$3" ;;
get-state) echo device ;;
wait-for-device) exit 0 ;;
esac
"""


class FolderAdb:
    """The adb.

    Args:
        folder: An empty folder for it.
    """

    def __init__(self, folder: Path) -> None:
        self.program = folder / "adb"
        self.program.write_text(_ADB)
        self.program.chmod(0o755)
        self.lists("F00 device model:Folder")
        self.root = folder / "tmp"
        self.root.mkdir()

    def lists(self, *lines: str) -> None:
        """Sets what `adb devices -l` lists."""
        self.program.with_name("devices").write_text("".join(f"{line}\n" for line in lines))

    def says(self, message: str) -> None:
        """Makes every command fail with a message."""
        self.program.with_name("says").write_text(message + "\n")

    def client(self) -> Client:
        """A client of its device."""
        return Client(self.program, "F00")


def write_runner_pack(build: Build, tolerances: dict[str, float] | None = None) -> None:
    """A golden pack of noise, in the form for people's programs and in the runner's."""
    contract = build.manifest.contract
    random = np.random.default_rng(0)
    shape = (_SAMPLES, contract.height, contract.width, 3)
    images = random.integers(0, 256, shape, dtype=np.uint8)
    table = np.tile(np.arange(256, dtype=np.float32) / 255, (3, 1))
    session = pytorch.FLOAT32.open_session(str(build.weights), 1)
    tensors = table[np.arange(3), images].transpose(0, 3, 1, 2)
    answers = session.infer(dict.fromkeys(contract.input_names, tensors))
    folder = build.folder / golden.FOLDER
    output = contract.output.name
    write_pack(
        folder,
        build.manifest.weights_sha256,
        dict.fromkeys(contract.input_names, images),
        table,
        {output: answers[output][:, 0]},
        tolerances,
    )
    lines = ["agecompact-golden 1", f"model {build.manifest.model}", f"samples {_SAMPLES}"]
    lines += [f"height {contract.height}", f"width {contract.width}"]
    lines += [f"input {name} {name}.u8" for name in contract.input_names]
    lines += ["table table.f32", f"output {output} {output}.f32", "end"]
    (folder / "golden.txt").write_text("\n".join(lines) + "\n")
