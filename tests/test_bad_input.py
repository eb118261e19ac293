"""Bad input and failures on the command line: what, why, fix, and no partial files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agecompact.files import sha256_of
from tests import invoking
from tests.support import Agecompact, CopyBuild, alive, random_weights, wait_for


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights") / "ssrnet.safetensors", "ssrnet")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def assert_rejected(
    done: subprocess.CompletedProcess[str], code: int, *parts: str, out: Path | None = None
) -> None:
    """It failed with a readable error, and left no files behind."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
    if out is not None and out.is_dir():
        assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("ssrnt", ("unknown model 'ssrnt'", "why: known: ", "fix: did you mean 'ssrnet'?")),
        (
            "ssrnet --format onxx",
            ("unknown format 'onxx'", "why: known: ", "fix: did you mean 'onnx'?"),
        ),
        (
            "ssrnet --precision fp61",
            ("unknown precision 'fp61'", "why: known: ", "fix: did you mean 'fp16'?"),
        ),
        ("", ("no model named", "why: known: ", "fix: agecompact export ssrnet")),
        (
            "ssrnet --format onnx --precision palette8",
            ("onnx is not exported in palette8", "float32", "fix: add --precision fp32"),
        ),
        (
            "c3ae --weights {weights}",
            ("'ssrnet', not of 'c3ae'", "fix: agecompact export ssrnet --weights {weights}"),
        ),
        ("--weights /absent/w.safetensors", ("no weights at /absent/w.safetensors", "fix: ")),
        (
            "ssrnet --format onnx --input image",
            ("only tflite and coreml have image inputs", "fix: leave out --input"),
        ),
    ],
)
def test_bad_arguments_are_rejected_with_a_fix(
    arguments: str, parts: tuple[str, ...], weights: Path, out: Path, agecompact: Agecompact
) -> None:
    done = agecompact("export", *arguments.format(weights=weights).split(), "--out", out)
    assert_rejected(done, 2, *(part.format(weights=weights) for part in parts), out=out)


def test_a_folder_with_other_files_is_not_replaced(
    weights: Path, out: Path, agecompact: Agecompact
) -> None:
    mine = out / "ssrnet" / "thesis.tex"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    done = agecompact("export", "--weights", weights, "--out", out)
    assert_rejected(done, 2, "is in the way", "fix: ")
    assert mine.read_text() == "years of work"
    assert list(out.iterdir()) == [mine.parent]


def test_what_was_measured_before_the_build_stays_in_it(weights: Path, out: Path) -> None:
    record = out / "ssrnet" / "preprocessing.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    one = ("--format", "onnx", "--precision", "fp32")
    invoking.done("export", "--weights", weights, "--out", out, *one)
    assert record.read_text() == "{}"


def test_a_folder_below_a_file_cannot_be_created(
    weights: Path, tmp_path: Path, agecompact: Agecompact
) -> None:
    (tmp_path / "file").touch()
    done = agecompact("export", "--weights", weights, "--out", tmp_path / "file" / "out")
    assert_rejected(done, 3, "cannot write", "why: ", "--out")


def mounted(folder: Path, options: str) -> tuple[str, ...]:
    """A prefix that runs a command with a small disk at a folder, then lists the folder.

    Skips the test where mount namespaces are unavailable.
    """
    folder.mkdir()
    script = (
        f'mount -t tmpfs -o {options} none "$0" || exit 99; "$@"; code=$?; '
        'echo "left: $(ls -A "$0")" >&2; exit $code'
    )
    prefix = ("unshare", "-rm", "sh", "-c", script, str(folder))
    if not shutil.which("unshare") or subprocess.call([*prefix, "true"], stderr=subprocess.DEVNULL):
        pytest.skip("mount namespaces are unavailable (unshare -rm)")
    return prefix


# The larger disk has space for the copy of the weights, and fills while the converter writes.
@pytest.mark.parametrize("size", ["64k", pytest.param("300k", marks=pytest.mark.slow)])
def test_a_full_disk_is_reported(
    weights: Path, out: Path, size: str, agecompact: Agecompact
) -> None:
    prefix = mounted(out, f"size={size}")
    arguments = ("--weights", weights, "--format", "onnx", "--out", out)
    done = agecompact("export", *arguments, prefix=prefix)
    assert_rejected(done, 3, "No space left", "fix: free some space")
    assert "left: \n" in done.stderr


def test_a_read_only_disk_is_reported(weights: Path, out: Path, agecompact: Agecompact) -> None:
    prefix = mounted(out, "ro")
    done = agecompact("export", "--weights", weights, "--out", out, prefix=prefix)
    assert_rejected(done, 3, "cannot write", "--out")


def shadow(folder: Path, module: str, code: str) -> dict[str, str]:
    """An environment in which other code replaces an installed module."""
    folder.mkdir()
    (folder / f"{module}.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize(
    ("format_", "module", "extra"),
    [
        # It is made from an ONNX file, which has to be made first.
        pytest.param("tflite", "onnx2tf", "tflite", marks=pytest.mark.slow),
        ("coreml", "coremltools", "coreml"),
    ],
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
    arguments = ("--weights", weights, "--format", format_, "--out", out)
    done = agecompact("export", *arguments, env=shadow(tmp_path / "shadow", module, code))
    assert_rejected(done, 3, f"'{module}'", f"fix: pip install '.[{extra}]'", out=out)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "SIGABRT"),
        pytest.param("raise SystemExit(7)", "exit code 7", marks=pytest.mark.slow),
        ("raise ValueError('no such kernel')", "ValueError: no such kernel"),
    ],
)
def test_a_crash_of_a_converter_is_reported(
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
    arguments = ("--weights", weights, "--format", "coreml", "--out", out)
    done = agecompact("export", *arguments, env=shadow(tmp_path / "shadow", "coremltools", code))
    assert done.returncode == 4, done.stderr
    assert "error: converting 'ssrnet' to coreml failed" in done.stderr
    assert reason in done.stderr
    assert list(out.iterdir()) == [before.folder]
    assert sha256_of(before.folder) == untouched, "the older build has changed"


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_export_leaves_nothing(
    number: signal.Signals, weights: Path, out: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "agecompact", "export"]
    with subprocess.Popen(
        [*command, "--weights", str(weights), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    ) as process:
        descendants = psutil.Process(process.pid).children
        wait_for(lambda: any(out.glob(".agecompact-*/tflite")), "the TFLite stage to begin")
        time.sleep(1)
        children = descendants(recursive=True)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1] == "interrupted; nothing was left half-written"
    assert "Traceback" not in errors
    assert list(out.iterdir()) == []
    assert len(children) > 1
    wait_for(lambda: not alive(children), "its processes to end", 5)
