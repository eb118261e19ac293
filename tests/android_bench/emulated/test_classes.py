"""The classifier of instructions, on words that GNU as assembled."""

import shutil
import subprocess
from pathlib import Path

import pytest

from android_bench.native import sources

CLASSES = ("load", "store", "mac", "simd", "branch", "other")
# The word, its class, its multiply-accumulates, and the source.
TABLE = [
    line.split(maxsplit=3)
    for line in (Path(__file__).parent / "instructions.txt").read_text().splitlines()
]

PRINTER = """
#include <stdio.h>
#include "aarch64.h"
int main(void) {
  unsigned word;
  while (scanf("%x", &word) == 1) {
    A64Work work = a64_classify(word);
    printf("%d %u\\n", work.kind, work.macs);
  }
  return 0;
}
"""


@pytest.fixture(scope="module")
def classify(compiler, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    (folder / "printer.c").write_text(PRINTER)
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{sources.FOLDER}"]
    command += ["-fsanitize=undefined", "-fno-sanitize-recover"]
    subprocess.run([*command, "printer.c", "-o", "printer"], cwd=folder, check=True)

    def run(words):
        done = subprocess.run(
            [folder / "printer"], input="\n".join(words), capture_output=True, text=True, check=True
        )
        return [
            (CLASSES[int(kind)], int(macs))
            for kind, macs in (line.split() for line in done.stdout.splitlines())
        ]

    return run


def test_every_instruction_has_its_class(classify):
    found = classify([word for word, *_ in TABLE])
    wrong = [
        (text, result, (kind, int(macs)))
        for result, (_, kind, macs, text) in zip(found, TABLE, strict=True)
        if result != (kind, int(macs))
    ]
    assert not wrong
    assert {kind for _, kind, _, _ in TABLE} == set(CLASSES)


def test_any_word_has_a_class_and_only_class_mac_has_macs(classify):
    words = [f"{(i * 2654435761) & 0xFFFFFFFF:08x}" for i in range(100_000)]
    found = classify(words)
    assert len(found) == len(words)
    assert all((kind == "mac") == (macs > 0) for kind, macs in found)
    assert max(macs for _, macs in found) == 32


def test_the_table_matches_the_assembler(tmp_path):
    assembler = shutil.which("aarch64-linux-gnu-as")
    objcopy = shutil.which("aarch64-linux-gnu-objcopy")
    if assembler is None or objcopy is None:
        pytest.skip("no assembler for ARM here")
    lines = [".arch armv8.6-a+crypto+fp16fml+bf16+i8mm", *(text for *_, text in TABLE)]
    (tmp_path / "a.s").write_text("\n".join(lines) + "\n")
    subprocess.run([assembler, "a.s", "-o", "a.o"], cwd=tmp_path, check=True)
    subprocess.run([objcopy, "-O", "binary", "a.o", "a.bin"], cwd=tmp_path, check=True)
    code = (tmp_path / "a.bin").read_bytes()
    words = [
        f"{int.from_bytes(code[i : i + 4], 'little'):08x}" for i in range(0, 4 * len(TABLE), 4)
    ]
    assert words == [word for word, *_ in TABLE]
