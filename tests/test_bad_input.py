"""Bad input and bad luck through the command line: what, why, fix; nothing half-written."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from agecompact.files import sha256_of
from tests.support import Agecompact, CopyBuild, random_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights") / "ssrnet.safetensors", "ssrnet")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def assert_refused(
    done: subprocess.CompletedProcess[str], code: int, *parts: str, out: Path | None = None
) -> None:
    """It failed as users are told, and left nothing behind."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
    if out is not None and out.is_dir():
        assert list(out.iterdir()) == []


class _Bomb:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def as_text(path: Path, _: Path) -> None:
    path.write_text("these are no weights\n")


def as_truncated(path: Path, good: Path) -> None:
    path.write_bytes(good.read_bytes()[:-1000])


def as_empty(path: Path, _: Path) -> None:
    path.touch()


def as_pickle(path: Path, _: Path) -> None:
    path.write_bytes(pickle.dumps(_Bomb(path.with_name("exploded"))))


def as_torch_save(path: Path, _: Path) -> None:
    torch.save({"w": torch.zeros(3)}, path)


@pytest.mark.parametrize("make", [as_text, as_truncated, as_empty, as_pickle, as_torch_save])
def test_what_is_no_safetensors_file_is_refused(
    make: Callable[[Path, Path], None],
    weights: Path,
    tmp_path: Path,
    out: Path,
    agecompact: Agecompact,
) -> None:
    bad = tmp_path / "bad.safetensors"
    make(bad, weights)
    done = agecompact("export", "--weights", bad, "--out", out)
    assert_refused(done, 2, f"{bad} is no safetensors file", "why: ", "fix: ", out=out)
    assert not (tmp_path / "exploded").exists()


def test_nan_weights_are_refused(
    weights: Path, tmp_path: Path, out: Path, agecompact: Agecompact
) -> None:
    bad = tmp_path / "nan.safetensors"
    with safe_open(weights, framework="pt") as stream:
        state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        metadata = stream.metadata()
    name = next(iter(state))
    state[name].view(-1)[0] = float("nan")
    save_file(state, bad, metadata)
    done = agecompact("export", "--weights", bad, "--out", out)
    assert_refused(done, 2, "is broken", f"'{name}' holds NaN", out=out)


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["ssrnt"], "unknown model 'ssrnt'", "did you mean 'ssrnet'?"),
        (["ssrnet", "--format", "onxx"], "unknown format 'onxx'", "did you mean 'onnx'?"),
        (["ssrnet", "--precision", "fp61"], "unknown precision 'fp61'", "did you mean 'fp16'?"),
        ([], "no model named", "agecompact export ssrnet"),
    ],
)
def test_an_unknown_name_gets_the_nearest(
    arguments: list[str], what: str, fix: str, out: Path, agecompact: Agecompact
) -> None:
    done = agecompact("export", *arguments, "--out", out)
    assert_refused(done, 2, what, "why: known: ", f"fix: {fix}", out=out)


def test_a_format_without_the_precision_says_what_it_knows(
    out: Path, agecompact: Agecompact
) -> None:
    done = agecompact("export", "ssrnet", "--format", "onnx", "--precision", "fp16", "--out", out)
    assert_refused(done, 2, "onnx is not exported in float16", "float32", out=out)


def test_weights_of_another_model_are_refused(
    weights: Path, out: Path, agecompact: Agecompact
) -> None:
    done = agecompact("export", "c3ae", "--weights", weights, "--out", out)
    assert_refused(done, 2, "'ssrnet', not of 'c3ae'", out=out)


def test_weights_that_are_not_there_are_named(out: Path, agecompact: Agecompact) -> None:
    done = agecompact("export", "--weights", "/nowhere/w.safetensors", "--out", out)
    assert_refused(done, 2, "/nowhere/w.safetensors", out=out)


def test_a_folder_of_something_else_is_not_replaced(
    weights: Path, out: Path, agecompact: Agecompact
) -> None:
    mine = out / "ssrnet" / "thesis.tex"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    done = agecompact("export", "--weights", weights, "--out", out)
    assert_refused(done, 2, "is in the way", "fix: ")
    assert mine.read_text() == "years of work"
    assert list(out.iterdir()) == [mine.parent]


def test_a_folder_below_a_file_cannot_be_made(
    weights: Path, tmp_path: Path, agecompact: Agecompact
) -> None:
    (tmp_path / "file").touch()
    done = agecompact("export", "--weights", weights, "--out", tmp_path / "file" / "out")
    assert_refused(done, 3, "cannot write", "why: ", "--out")


def mounted(folder: Path, options: str) -> tuple[str, ...]:
    """A prefix that runs a command above a small disk of its own, then lists what that holds.

    Skips where this machine makes no mount namespaces.
    """
    folder.mkdir()
    script = (
        f'mount -t tmpfs -o {options} none "$0" || exit 99; "$@"; code=$?; '
        'echo "left: $(ls -A "$0")" >&2; exit $code'
    )
    prefix = ("unshare", "-rm", "sh", "-c", script, str(folder))
    if not shutil.which("unshare") or subprocess.call([*prefix, "true"], stderr=subprocess.DEVNULL):
        pytest.skip("this machine makes no mount namespaces (unshare -rm)")
    return prefix


# The second disk takes the copy of the weights, and fills while the converter writes.
@pytest.mark.parametrize("size", ["64k", "300k"])
def test_a_full_disk_is_told(weights: Path, out: Path, size: str, agecompact: Agecompact) -> None:
    prefix = mounted(out, f"size={size}")
    done = agecompact(
        "export", "--weights", weights, "--format", "onnx", "--out", out, prefix=prefix
    )
    assert_refused(done, 3, "No space left", "fix: free some space")
    assert "left: \n" in done.stderr


def test_a_read_only_disk_is_told(weights: Path, out: Path, agecompact: Agecompact) -> None:
    prefix = mounted(out, "ro")
    done = agecompact("export", "--weights", weights, "--out", out, prefix=prefix)
    assert_refused(done, 3, "cannot write", "--out")


def shadow(folder: Path, module: str, code: str) -> dict[str, str]:
    """An environment in which a module is other than the installed one."""
    folder.mkdir()
    (folder / f"{module}.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize(
    ("format_", "module", "extra"),
    [("tflite", "onnx2tf", "tflite"), ("coreml", "coremltools", "coreml")],
)
def test_a_missing_extra_is_named_with_its_command(
    format_: str,
    module: str,
    extra: str,
    weights: Path,
    tmp_path: Path,
    out: Path,
    agecompact: Agecompact,
) -> None:
    code = f"raise ModuleNotFoundError('no', name='{module}')\n"
    done = agecompact(
        "export",
        "--weights",
        weights,
        "--format",
        format_,
        "--out",
        out,
        env=shadow(tmp_path / "shadow", module, code),
    )
    assert_refused(done, 3, f"'{module}'", f"fix: pip install '.[{extra}]'", out=out)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("raise SystemExit(7)", "exit code 7"),
        ("raise ValueError('no such kernel')", "ValueError: no such kernel"),
    ],
)
def test_a_converter_that_dies_is_told_with_stage_and_format(
    code: str,
    reason: str,
    weights: Path,
    tmp_path: Path,
    agecompact: Agecompact,
    copy_build: CopyBuild,
) -> None:
    before = copy_build("ssrnet")
    untouched = sha256_of(before.folder)
    out = before.folder.parent
    done = agecompact(
        "export",
        "--weights",
        weights,
        "--format",
        "tflite",
        "--out",
        out,
        env=shadow(tmp_path / "shadow", "onnx2tf", code),
    )
    assert done.returncode == 4, done.stderr
    assert "error: converting 'ssrnet' to tflite failed" in done.stderr
    assert reason in done.stderr
    assert list(out.iterdir()) == [before.folder]
    assert sha256_of(before.folder) == untouched, "the older build was harmed"


def interrupt_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


def terminate_alone(process: subprocess.Popen[str]) -> None:
    process.terminate()


@pytest.mark.parametrize("stop", [interrupt_group, terminate_alone])
def test_an_interrupted_export_leaves_nothing(
    stop: Callable[[subprocess.Popen[str]], None], weights: Path, out: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "agecompact", "export"]
    with subprocess.Popen(
        [*command, "--weights", str(weights), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # A session of its own: the signal reaches it and all that it started, and not these tests.
        start_new_session=True,
    ) as process:
        _wait_for(lambda: any(out.glob(".export-*/tflite")), "the TFLite stage to begin")
        time.sleep(1)
        stop(process)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted; nothing was left half-written"
    assert "Traceback" not in errors
    assert list(out.iterdir()) == []
    _wait_for(lambda: not _session(process.pid), "its processes to end")


def _session(leader: int) -> list[int]:
    members = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members


def _wait_for(condition: Callable[[], bool], what: str, patience_s: float = 120) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
