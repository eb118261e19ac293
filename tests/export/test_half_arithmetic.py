"""Files that allow half-precision arithmetic: the entry, the weights, and what a core does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agecompact.artifacts.manifest import Build
from agecompact.errors import BackendMissingError
from export.flatbuffer import pack
from export.half_arithmetic import allow_half
from export.int8.graph import Graph
from export.passes.centring import centre_inputs
from tests.export.int8.models import answers, faces_of, float_file
from tests.golden_pack import write_noise_pack
from tests.support import BuildOf, CopyBuild

pytest.importorskip("ai_edge_litert", reason="needs 'tflite'")


def _made(build: Build) -> bytes:
    graph = Graph.parse(float_file(build))
    centre_inputs(graph, build.manifest.contract.table()[0])
    allow_half(graph)
    return pack(graph.model)


def _entries(content: bytes) -> dict[str, bytes]:
    model = Graph.parse(content).model
    return {e.name.decode(): bytes(model.buffers[e.buffer].data) for e in model.metadata or ()}


def test_it_says_so_and_keeps_other_metadata(build_of: BuildOf) -> None:
    build = build_of("c3ae-plain")
    before, after = _entries(float_file(build)), _entries(_made(build))
    assert after.pop("reduced_precision_support") == b"fp16accfp16"
    assert "reduced_precision_support" not in before
    assert after.keys() == before.keys()
    assert after["agecompact"] == before["agecompact"]


def test_its_weights_are_float16_and_its_answers_those_of_the_network(build_of: BuildOf) -> None:
    build = build_of("c3ae-plain")
    content = _made(build)
    assert len(content) < 0.6 * len(float_file(build))
    faces = faces_of(build.manifest.contract, 4)
    right = answers(float_file(build), faces)
    np.testing.assert_allclose(answers(content, faces), right, atol=0.05)


@pytest.mark.slow
def test_a_core_with_half_precision_takes_half_of_the_instructions(
    copy_build: CopyBuild, tmp_path: Path
) -> None:
    from android_bench.emulated import bundle, counts, cpus, emulator
    from android_bench.emulated.emulator import EmulationSettings

    try:
        arm = bundle.load()
    except BackendMissingError as error:
        pytest.skip(str(error))
    build = copy_build("c3ae-plain", "float32.tflite")
    pack_folder = write_noise_pack(build, 1)
    files = {"float": float_file(build), "half": _made(build)}
    found = {}
    for cpu in ("cortex-a76", "cortex-a53"):
        for name, content in files.items():
            path = tmp_path / f"{name}.tflite"
            path.write_bytes(content)
            settings = EmulationSettings(samples=1)
            done = emulator.run(arm, cpus.named(cpu), path, pack_folder, settings)
            found[cpu, name] = counts.steady(done.counts, 2, 2).total
    assert found["cortex-a76", "half"] < 0.53 * found["cortex-a76", "float"]
    # It has no half-precision arithmetic, and computes in float32.
    assert found["cortex-a53", "half"] > 0.98 * found["cortex-a53", "float"]
