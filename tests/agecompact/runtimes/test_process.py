"""A runtime may fail, crash or hang; each is a failed result of its own kind."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from agecompact.formats import RUNTIMES, Runtime
from agecompact.runtimes import process
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.reading import read_metadata
from parity_tests import runner
from tests.support import BuildOf, CopyBuild, verdicts_on

# Enough for a busy machine to start Python.
TIMEOUT_S = 5

CRASHES = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
HANGS = "import time; time.sleep(600)"
RAISES = "raise RuntimeError('the kernel is missing')"


@pytest.fixture
def replace_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes workers import other code under the name of ONNX Runtime."""

    def replace(code: str) -> None:
        folder = tmp_path / "fake"
        folder.mkdir()
        (folder / "onnxruntime.py").write_text(code)
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        monkeypatch.setenv("PYTHONPATH", path)

    return replace


def when_opening(action: str) -> str:
    """Code that runs an action when a session is opened."""
    return f"class SessionOptions: pass\ndef InferenceSession(*_, **__):\n    {action}\n"


@pytest.fixture
def artifact(build_of: BuildOf) -> Path:
    return build_of("ssrnet").folder / "ssrnet_float32.onnx"


def test_samples_are_run_in_order_and_outputs_named(artifact: Path) -> None:
    random = np.random.default_rng(0)
    faces = random.uniform(0, 255, (5, 1, 3, 64, 64)).astype(np.float32)
    with RuntimeProcess(artifact) as process:
        opened = process.open()
        together = process.infer({"face": faces})["age"]
        last = process.infer({"face": faces[4:]})["age"]
        assert process.prepare({"face": faces[:1]}) > 0
        assert len(process.time(3)) == 3
        memory = process.memory()
    assert opened.version.startswith("onnxruntime ")
    assert together.shape == (5, 1, 1)
    np.testing.assert_array_equal(together[4:], last)
    assert 0 < memory.rss_before_load_bytes <= memory.peak_rss_bytes


@pytest.mark.parametrize(
    ("action", "kind", "reason"),
    [
        (CRASHES, "crash", "SIGSEGV"),
        (HANGS, "timeout", "no answer within"),
        (RAISES, "load", "kernel"),
    ],
)
def test_a_failing_runtime_is_a_failure_with_its_kind(
    action: str,
    kind: str,
    reason: str,
    artifact: Path,
    replace_onnxruntime: Callable[[str], None],
) -> None:
    replace_onnxruntime(when_opening(action))
    process = RuntimeProcess(artifact, timeout_s=TIMEOUT_S)
    with process, pytest.raises(RuntimeFailure, match=reason) as failure:
        process.open()
    assert failure.value.kind == kind
    assert process._channel._process.poll() is not None, "the worker still runs"


@pytest.mark.parametrize(
    ("action", "kind"),
    [(CRASHES, "crash"), pytest.param(HANGS, "timeout", marks=pytest.mark.slow)],
)
def test_parity_reports_the_kind_of_failure(
    action: str,
    kind: str,
    copy_build: CopyBuild,
    replace_onnxruntime: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def impatient(path: Path, runtime: Runtime, **_: object) -> RuntimeProcess:
        timeout_s = TIMEOUT_S if path.suffix == ".onnx" else 120
        return RuntimeProcess(path, runtime, timeout_s=timeout_s)

    replace_onnxruntime(when_opening(action))
    monkeypatch.setattr(runner, "RuntimeProcess", impatient)
    (result,) = verdicts_on(copy_build("ssrnet", ".onnx"))
    assert (result.status, result.kind) == ("failed", kind)


def test_a_wrong_input_name_is_a_failed_run(artifact: Path) -> None:
    face = np.zeros((1, 1, 3, 64, 64), np.float32)
    with RuntimeProcess(artifact) as process:
        process.open()
        with pytest.raises(RuntimeFailure) as failure:
            process.infer({"visage": face})
        assert failure.value.kind == "run"
        # The worker still runs.
        assert process.infer({"face": face})["age"].shape == (1, 1, 1)


@pytest.mark.parametrize(("suffix", "runtime"), [(".tflite", "litert"), (".mlpackage", "mil")])
def test_inputs_are_bound_by_name_in_any_order(
    suffix: str, runtime: str, build_of: BuildOf
) -> None:
    pytest.importorskip("coremltools" if runtime == "mil" else "ai_edge_litert")
    path = build_of("c3ae").folder / f"c3ae_float32{suffix}"
    contract = read_metadata(path).contract
    random = np.random.default_rng(0)
    shape = (1, *contract.input_shape)
    crops = {n: random.uniform(0, 255, shape).astype(np.float32) for n in contract.input_names}
    with RuntimeProcess(path, RUNTIMES[runtime]) as process:
        process.open()
        ages = [process.infer(i)["age"].item() for i in (crops, dict(reversed(crops.items())))]
        mixed = process.infer(dict(zip(crops, reversed(crops.values()), strict=True)))["age"]
    assert ages[0] == ages[1]
    assert abs(mixed.item() - ages[0]) > 0.1


def test_inputs_are_in_the_order_of_the_file(build_of: BuildOf) -> None:
    path = build_of("c3ae").folder / "c3ae_float32.onnx"
    model = onnx.load_model(str(path), load_external_data=False)
    with RuntimeProcess(path) as process:
        assert list(process.open().interface.inputs) == [each.name for each in model.graph.input]


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_artifacts_have_a_fixed_batch_and_weights_have_none(suffix: str, build_of: BuildOf) -> None:
    if suffix == ".tflite":
        pytest.importorskip("ai_edge_litert")
    folder = build_of("ssrnet").folder
    with RuntimeProcess(folder / f"ssrnet_float32{suffix}") as process:
        assert process.open().interface.fixed_batch == 1
    with RuntimeProcess(build_of("ssrnet").weights) as process:
        assert process.open().interface.fixed_batch is None


def test_batches_are_staged_while_another_runs(artifact: Path) -> None:
    random = np.random.default_rng(0)
    batches = [random.uniform(0, 255, (4, 1, 3, 64, 64)).astype(np.float32) for _ in range(3)]
    with RuntimeProcess(artifact) as process:
        process.open()
        # The name of an input need not be a valid file name.
        assert process.stage({"../face": batches[0]}).keys() == {"../face"}
        staged = [process.stage({"face": batch}) for batch in batches]
        results = [process.run(one) for one in staged]
        for batch, result in zip(batches, results, strict=True):
            assert result.model_ms > 0
            expected = process.infer({"face": batch})["age"]
            np.testing.assert_array_equal(result.outputs["age"], expected)
        assert not any(path.exists() for one in staged for path in one.values())


def test_a_missing_runtime_has_a_fix(
    artifact: Path, replace_onnxruntime: Callable[[str], None]
) -> None:
    replace_onnxruntime("import a_package_that_is_not_there\n")
    with RuntimeProcess(artifact) as process, pytest.raises(RuntimeFailure) as failure:
        process.open()
    assert failure.value.kind == "missing"
    assert failure.value.fix.startswith("pip install")


class _Garbage:
    """A cycle whose end lets another thread run, wherever Python collects it."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        time.sleep(1e-5)


def test_threads_may_read_arrays_at_the_same_time(tmp_path: Path) -> None:
    """Each header is parsed by Python's `ast`, which threads of CPython 3.11 disturb."""
    path = tmp_path / "arrays.npz"
    names = [str(i) for i in range(20)]
    np.savez(path, **{name: np.zeros((1, 1, 3)) for name in names})

    def read(depth: int) -> int:
        if depth:
            return read(depth - 1)
        for _ in range(3):
            _Garbage()
        return len(process._arrays(path, names))

    before = gc.get_threshold()
    gc.set_threshold(15, 5, 5)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(read, [i % 7 * 5 for i in range(400)]))
    finally:
        gc.set_threshold(*before)
    assert found == [20] * 400
