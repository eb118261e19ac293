"""A runtime may refuse, die or hang; each is an answer, told apart from the others."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from agecompact.formats import Runtime
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from parity_tests import runner
from tests.support import BuildOf, CopyBuild, verdicts_on

# Enough for a busy machine to start Python.
PATIENCE_S = 5

DIES = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
HANGS = "import time; time.sleep(600)"
RAISES = "raise RuntimeError('the kernel is not there')"


def stand_in(folder: Path, action: str) -> str:
    """A package of ONNX Runtime's name that acts up when a session is opened."""
    folder.mkdir()
    lines = ["class SessionOptions: pass", "def InferenceSession(*_, **__):", f"    {action}"]
    (folder / "onnxruntime.py").write_text("\n".join(lines) + "\n")
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


@pytest.fixture
def artifact(build_of: BuildOf) -> Path:
    return build_of("ssrnet").folder / "ssrnet_float32.onnx"


def test_samples_come_back_by_name_in_order(artifact: Path) -> None:
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
        (DIES, "crash", "SIGSEGV"),
        (HANGS, "timeout", "no answer within"),
        (RAISES, "load", "kernel"),
    ],
)
def test_a_runtime_that_acts_up_is_told_from_one_that_works(
    action: str,
    kind: str,
    reason: str,
    artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", stand_in(tmp_path / "stand-in", action))
    process = RuntimeProcess(artifact, timeout_s=PATIENCE_S)
    with process, pytest.raises(RuntimeFailure, match=reason) as failure:
        process.open()
    assert failure.value.kind == kind
    assert process._process.poll() is not None, "the worker outlives its context"


@pytest.mark.parametrize(("action", "kind"), [(DIES, "crash"), (HANGS, "timeout")])
def test_parity_fails_it_with_its_kind(
    action: str,
    kind: str,
    copy_build: CopyBuild,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def impatient(path: Path, runtime: Runtime, **_: object) -> RuntimeProcess:
        patience_s = PATIENCE_S if path.suffix == ".onnx" else 120
        return RuntimeProcess(path, runtime, timeout_s=patience_s)

    monkeypatch.setenv("PYTHONPATH", stand_in(tmp_path / "stand-in", action))
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
        # It survives its caller's mistake.
        assert process.infer({"face": face})["age"].shape == (1, 1, 1)


def test_tflite_binds_by_name_whatever_the_order(build_of: BuildOf) -> None:
    pytest.importorskip("ai_edge_litert")
    random = np.random.default_rng(0)
    names = ("outer", "middle", "inner")
    crops = {n: random.uniform(0, 255, (1, 1, 64, 64, 3)).astype(np.float32) for n in names}
    with RuntimeProcess(build_of("c3ae").folder / "c3ae_float32.tflite") as process:
        process.open()
        answers = [
            process.infer({name: crops[name] for name in order})["age"].item()
            for order in (names, names[::-1])
        ]
        mixed = process.infer(dict(zip(names, reversed(crops.values()), strict=True)))["age"]
    assert answers[0] == answers[1]
    assert abs(mixed.item() - answers[0]) > 0.1


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_an_artifact_tells_how_many_images_a_call_takes(suffix: str, build_of: BuildOf) -> None:
    if suffix == ".tflite":
        pytest.importorskip("ai_edge_litert")
    folder = build_of("ssrnet").folder
    with RuntimeProcess(folder / f"ssrnet_float32{suffix}") as process:
        assert process.open().fixed_batch == 1
    with RuntimeProcess(build_of("ssrnet").weights) as process:
        assert process.open().fixed_batch is None


def test_batches_are_staged_while_another_runs(artifact: Path) -> None:
    random = np.random.default_rng(0)
    batches = [random.uniform(0, 255, (4, 1, 3, 64, 64)).astype(np.float32) for _ in range(3)]
    with RuntimeProcess(artifact) as process:
        process.open()
        # An input may be named as no file can be.
        assert process.stage({"../face": batches[0]}).to_json().keys() == {"../face"}
        staged = [process.stage({"face": batch}) for batch in batches]
        ran = [process.run(one) for one in staged]
        for batch, one in zip(batches, ran, strict=True):
            assert one.model_ms > 0
            np.testing.assert_array_equal(one.outputs["age"], process.infer({"face": batch})["age"])
        assert not any(path.exists() for one in staged for path in one.files.values())


def test_a_failure_tells_what_mends_it(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", stand_in(tmp_path / "stand-in", "pass"))
    (tmp_path / "stand-in" / "onnxruntime.py").write_text("import a_package_that_is_not_there\n")
    with RuntimeProcess(artifact) as process, pytest.raises(RuntimeFailure) as failure:
        process.open()
    assert failure.value.kind == "missing"
    assert failure.value.fix.startswith("pip install")
