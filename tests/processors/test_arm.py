"""Runtimes compiled for ARM give PyTorch's ages, and parity notices where only they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import Build
from agecompact.formats import RUNTIMES
from agecompact.runtimes import ncnn_graph
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from tests.processors.test_everywhere import checked, only

pytestmark = pytest.mark.slow

Needs = Callable[[str], None]


def test_half_precision_that_nobody_asked_for_is_found(
    build: Build, needs: Needs, tmp_path: Path
) -> None:
    """Without the layers' masks, ncnn computes in half precision unless an app forbids it."""
    needs("ncnn-arm")
    copy = only(build, tmp_path, "float32.ncnn")
    path = copy.path(copy.manifest.artifacts[0]) / ncnn_graph.GRAPH_FILE
    layers = ncnn_graph.parse(path.read_text())
    unmasked = [
        replace(layer, settings={k: v for k, v in layer.settings.items() if k != "31"})
        for layer in layers
    ]
    assert unmasked != list(layers)
    path.write_text(ncnn_graph.written(unmasked))
    (on_arm,) = checked(copy, "ncnn-arm")
    assert on_arm.kind == "mismatch"
    assert on_arm.max_error is not None
    assert on_arm.max_error > 0.05


@pytest.mark.parametrize("runtime", ["executorch-arm", "litert-arm"])
def test_a_file_that_is_none_is_a_reason(runtime: str, needs: Needs, tmp_path: Path) -> None:
    needs(runtime)
    path = tmp_path / "model"
    path.write_bytes(b"no model at all")
    with (
        RuntimeProcess(path, RUNTIMES[runtime]) as process,
        pytest.raises(RuntimeFailure) as refused,
    ):
        process.open()
    assert refused.value.kind == "load"
    assert str(path) in refused.value.reason


def test_executorch_for_arm_reads_what_executorch_here_reads(build: Build, needs: Needs) -> None:
    needs("executorch-arm")
    (entry,) = [e for e in build.manifest.artifacts if e.file.endswith("float32.pte")]
    path = build.path(entry)
    with (
        RuntimeProcess(path, RUNTIMES["executorch"]) as here,
        RuntimeProcess(path, RUNTIMES["executorch-arm"]) as on_arm,
    ):
        assert on_arm.metadata() == here.metadata()
        assert on_arm.open().interface == here.open().interface
