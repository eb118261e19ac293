"""The runner in C, compiled for this machine: its outputs and its errors."""

import os
import subprocess

import numpy as np
import pytest

from agecompact.artifacts import golden
from agecompact.errors import BackendMissingError
from agecompact.runtimes.reading import read_metadata
from android_bench.failure import MeasurementFailure
from android_bench.native import sources
from android_bench.native.output import parse

from .conftest import SAMPLES, random_chips

DUMPER = """
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include "golden.h"
static Golden golden;
int main(int count, char **words) {
  (void)count;
  const char *problem = golden_read(words[1], &golden);
  if (problem != NULL) return puts(problem), 1;
  size_t floats = golden_input_values(&golden);
  float *tensor = malloc(floats * sizeof *tensor);
  for (size_t sample = 0; sample < golden.samples; ++sample)
    for (size_t input = 0; input < golden.num_inputs; ++input) {
      golden_fill(&golden, input, sample, words[2][0] == 'C', tensor);
      fwrite(tensor, sizeof *tensor, floats, stdout);
    }
  return 0;
}
"""


@pytest.fixture
def run(runner, library, artifact, pack):
    def call(**changes):
        options = {"library": library, "model": artifact, "golden": pack, **changes}
        words = [
            str(word)
            for name, value in options.items()
            if value is not None
            for word in (f"--{name}", value)
        ]
        done = subprocess.run([runner, *words], capture_output=True, text=True, check=False)
        return parse(done.stdout, done.returncode)

    return call


def replace_in(path, part, instead):
    text = path.read_text()
    assert part in text
    path.write_text(text.replace(part, instead))


def kind_of(run, **changes):
    with pytest.raises(MeasurementFailure) as failure:
        run(**changes)
    return failure.value.kind


def test_its_outputs_are_pytorchs(run, pack):
    output = run(warmup=1, runs=3, threads=2)
    assert len(output.samples_ns) == 3
    assert output.threads == 2
    assert output.model == "ssrnet"
    assert output.fully_accelerated is True
    assert output.peak_rss_bytes > 1 << 20
    (values,) = output.outputs.values()
    (expected,) = golden.read(pack).outputs.values()
    assert len(values) == SAMPLES
    assert np.abs(np.array(values) - expected).max() < 1e-4
    assert np.ptp(values) > 0.1, "all samples have the same output: the pack proves nothing"


def test_a_file_of_pictures_gets_them(run, pack, picture_artifact):
    (values,) = run(model=picture_artifact).outputs.values()
    (expected,) = golden.read(pack).outputs.values()
    assert np.abs(np.array(values) - expected).max() < 1e-4


def test_pictures_have_the_colours_that_the_pack_says(run, own_pack, picture_artifact):
    replace_in(own_pack / "golden.txt", "colors BGR", "colors RGB")
    (values,) = run(model=picture_artifact, golden=own_pack).outputs.values()
    (expected,) = golden.read(own_pack).outputs.values()
    assert np.abs(np.array(values) - expected).max() > 1e-2
    replace_in(own_pack / "golden.txt", "colors RGB\n", "")
    assert kind_of(run, model=picture_artifact, golden=own_pack) == "mismatch"
    assert run(golden=own_pack).outputs, "tensors need no colours"


def test_it_replays_the_requested_number_of_samples(run):
    (values,) = run(samples=2).outputs.values()
    assert len(values) == 2


def test_it_runs_on_the_requested_cores(run):
    core = min(os.sched_getaffinity(0))
    assert run(cores=f"{1 << core:x}").cores == 1 << core
    assert kind_of(run, cores="8000000000000000") == "cores"


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_tensors_are_those_of_the_contract(compiler, pack, artifact, tmp_path, layout):
    (tmp_path / "dump.c").write_text(DUMPER)
    command = [compiler, "-std=c11", "-g", "-fsanitize=address,undefined", f"-I{sources.FOLDER}"]
    command += ["dump.c", str(sources.FOLDER / "golden.c"), "-o", "dump"]
    subprocess.run(command, cwd=tmp_path, check=True)
    # The pack's memory is kept until the process ends, which is not a leak.
    done = subprocess.run(
        [tmp_path / "dump", pack, layout[1]],
        env={"ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        check=True,
    )
    tensors = np.frombuffer(done.stdout, "<f4")
    contract = read_metadata(artifact).contract
    assert contract.layout == "NHWC"
    axes = (0, 3, 1, 2) if layout == "NCHW" else (0, 1, 2, 3)
    expected = [
        np.transpose(tensor, axes).ravel()
        for chip in random_chips()
        for tensor in contract.apply(chip).values()
    ]
    np.testing.assert_array_equal(tensors, np.concatenate(expected))
    np.testing.assert_array_equal(
        golden.read(pack).tensors("NHWC")["face"][:, 0],
        np.concatenate([contract.apply(chip)["face"] for chip in random_chips()]),
    )


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("agecompact-golden 1", "agecompact-golden 3"),
        ("end\n", ""),
        ("end\n", "unknown 1\nend\n"),
        ("samples 3", "samples 4"),
        ("samples 3", "samples 0"),
        ("samples 3", "samples -3"),
        ("samples 3", "samples 99999999999999999999"),
        ("samples 3\n", ""),
        ("height 64", "height 63"),
        ("height 64", "height"),
        ("colors BGR", "colors YUV"),
        ("table table.f32", "table face.u8"),
        ("table table.f32", "table ../golden/table.f32"),
        ("table table.f32", "table missing"),
        ("input face face.u8", "input face"),
        ("input face face.u8\n", ""),
        ("output age age.f32\n", ""),
        ("output age age.f32", "output age age.f32 2"),
        ("output age age.f32", "output age age.f32 0"),
        ("input face", "channels 1\ninput face"),
        ("input face", "channels 4\ninput face"),
        ("input face face.u8\n", "input face face.u8\n" * 17),
    ],
)
def test_a_damaged_pack_is_refused(run, own_pack, part, instead):
    replace_in(own_pack / "golden.txt", part, instead)
    assert kind_of(run, golden=own_pack) == "golden"


def test_a_pack_with_another_input_does_not_match(run, own_pack):
    replace_in(own_pack / "golden.txt", "input face ", "input eyes ")
    assert kind_of(run, golden=own_pack) == "mismatch"


def test_a_pack_of_another_size_does_not_match(run, own_pack):
    # The same pixels, as twice as many samples of half the height.
    replace_in(own_pack / "golden.txt", "height 64", "height 32")
    replace_in(own_pack / "golden.txt", "samples 3", "samples 6")
    outputs = own_pack / "age.f32"
    outputs.write_bytes(outputs.read_bytes() * 2)
    assert kind_of(run, golden=own_pack) == "mismatch"


def test_a_missing_or_broken_file_has_its_kind_of_failure(run, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no FlatBuffer" * 100)
    assert kind_of(run, golden=tmp_path) == "golden"
    assert kind_of(run, model=tmp_path / "none.tflite") == "model"
    assert kind_of(run, model=broken) == "model"
    assert kind_of(run, library=tmp_path / "none.so") == "library"
    assert kind_of(run, library="libm.so.6") == "library"
    assert kind_of(run, signature="other") == "mismatch"


@pytest.mark.parametrize(
    "changes",
    [
        {"runs": 0},
        {"runs": "two"},
        {"runs": -1},
        {"threads": 0},
        {"threads": 65},
        {"layout": "HWC"},
        {"accelerator": "tpu"},
        {"cores": "zz"},
        {"unknown": 1},
        {"model": None},
    ],
)
def test_a_wrong_option_is_refused(run, changes):
    assert kind_of(run, **changes) == "usage"


def test_without_a_compiler_the_fix_installs_one(tmp_path):
    with pytest.raises(BackendMissingError, match="no-such-gcc") as missing:
        sources.compile_runner("no-such-gcc", tmp_path / "runner")
    assert "apt-get install" in missing.value.fix
    assert missing.value.exit_code == 3
