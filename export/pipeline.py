"""Runs the converters of one model, each in a process of its own, and writes the manifest."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.artifacts import manifest
from agecompact.errors import AgecompactError, BackendMissingError, ConversionError, UsageError
from agecompact.files import atomic_path, make_folder, output_errors, sha256_of, size_of
from agecompact.runtimes import registry as runtimes
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.weights import checkpoints
from export.job import InputKind, Job
from export.targets import STAGES, Stage, Target

_LOG_LINES = 5
# A converter that fails with less than this left on the disk failed for that.
_FULL_BYTES = 1 << 16

Report = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """One model to export.

    Attributes:
        weights: The weights file.
        targets: What to make; what a target is converted from stands before it.
        out: The build root; artefacts go to `out/<model>/`.
        dynamic_batch: Leave the batch axis of the ONNX file open.
        input_kind: Kind of a Core ML package's inputs.
        keep_going: Where a conversion fails, note it in the manifest and make the others.
    """

    weights: Path
    targets: tuple[Target, ...]
    out: Path
    dynamic_batch: bool = False
    input_kind: InputKind = "tensor"
    keep_going: bool = False


def export(request: Request, report: Report = lambda _: None) -> manifest.Manifest:
    """Exports one model.

    Everything is made in a scratch folder inside `out`; `out/<model>/` appears, or is replaced, as
    a whole once all of it is made.

    Args:
        request: What to make.
        report: Told, in a few words, of each stage as it begins.

    Returns:
        The manifest, as written.

    Raises:
        UsageError: The weights cannot be read, or something else stands in `out/<model>/`.
        BackendMissingError: A converter's extra is not installed.
        ConversionError: A converter failed, unless told to keep going; says which, and why.
        OutputError: `out` cannot be written to or is full.
    """
    # Imports torch, which a misspelt format should not have to wait for.
    from agecompact.models import complexity

    weights = checkpoints.read(request.weights)
    measured = complexity.measure(weights.network(), weights.contract)
    make_folder(request.out)
    _refuse_foreign(request.out / weights.model_id)
    with output_errors(request.out):
        scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=request.out)).resolve()
    try:
        with output_errors(request.out):
            copied = scratch / f"{weights.model_id}.safetensors"
            shutil.copyfile(request.weights, copied)
            if weights.card:
                # The artefacts state the terms of the weights, which only the card knows.
                shutil.copyfile(
                    checkpoints.card_path(request.weights), checkpoints.card_path(copied)
                )
            entries, not_made = _run_stages(request, copied, scratch, report)
            written = manifest.Manifest(
                model=weights.model_id,
                weights=copied.name,
                weights_sha256=weights.sha256,
                contract=weights.contract,
                parameters=measured.parameters,
                folded_parameters=measured.folded_parameters,
                macs=measured.macs,
                artifacts=tuple(entries),
                not_made=tuple(not_made),
            )
            _publish(written, scratch, request.out / weights.model_id)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return written


def _run_stages(
    request: Request, weights: Path, scratch: Path, report: Report
) -> tuple[list[manifest.Entry], list[manifest.NotMade]]:
    entries: list[manifest.Entry] = []
    not_made: list[manifest.NotMade] = []
    made: dict[str, Path] = {}
    for stage in STAGES.values():
        wanted = [t for t in request.targets if t.format == stage.format]
        if not wanted:
            continue
        precisions = tuple(t.precision for t in wanted)
        if stage.needs and stage.needs not in made:
            reason = f"it is converted from {stage.needs}, which was not made"
            not_made += [_not_made(t, weights.stem, reason) for t in wanted]
            continue
        report(f"{weights.stem}: {stage.format} {', '.join(precisions)}")
        folder = scratch / stage.format
        folder.mkdir()
        job = Job(
            weights=weights,
            precisions=precisions,
            folder=folder,
            source=made[stage.needs] if stage.needs else None,
            dynamic_batch=request.dynamic_batch and stage.format == "onnx",
            input_kind=request.input_kind if stage.format == "coreml" else "tensor",
        )
        started = time.monotonic()
        try:
            artifacts = _convert(stage, job, scratch)
            for artifact in artifacts:
                _reject_unreadable(folder / artifact["file"])
        except ConversionError as error:
            if not request.keep_going:
                raise
            reason = f"{error.what}: {error.why}"
            not_made += [_not_made(t, weights.stem, reason) for t in wanted]
            continue
        seconds = round(time.monotonic() - started, 1)
        for artifact in artifacts:
            path = folder / artifact["file"]
            made.setdefault(stage.format, path)
            entries.append(
                manifest.Entry(
                    sha256=sha256_of(path), bytes=size_of(path), conversion_s=seconds, **artifact
                )
            )
    return entries, not_made


def _not_made(target: Target, model_id: str, reason: str) -> manifest.NotMade:
    return manifest.NotMade(target.file_name(model_id), target.format, target.precision, reason)


def _convert(stage: Stage, job: Job, scratch: Path) -> list[dict[str, Any]]:
    """One converter in its own process; the reply's artefacts."""
    request, reply = scratch / "request.json", scratch / "reply.json"
    reply.unlink(missing_ok=True)
    request.write_text(json.dumps(job.to_json()), encoding="utf-8")
    where = f"converting '{job.weights.stem}' to {stage.format} failed"
    with (scratch / "log.txt").open("w+", errors="replace") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "export.worker", stage.format, request, reply],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=job.folder,
            env=_environment(),
        )
        try:
            code = process.wait(stage.timeout_s)
        except subprocess.TimeoutExpired:
            raise ConversionError(where, why=f"no end after {stage.timeout_s:g} s") from None
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        last = [line.strip() for line in log.read().splitlines() if line.strip()][-_LOG_LINES:]
    if code != 0 and shutil.disk_usage(scratch).free < _FULL_BYTES:
        # Its log, on the same disk, may not have held the reason.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if code != 0 or not reply.is_file():
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise ConversionError(where, why="\n     ".join([f"its process ended with {how}:", *last]))
    answer: dict[str, Any] = json.loads(reply.read_text(encoding="utf-8"))
    if "error" in answer:
        raise _as_error(where, answer["error"])
    artifacts: list[dict[str, Any]] = answer["artifacts"]
    return artifacts


def _as_error(where: str, error: dict[str, Any]) -> AgecompactError:
    missing = error["exit_code"] == BackendMissingError.exit_code
    kind = BackendMissingError if missing else ConversionError
    why = ": ".join(part for part in (error["what"], error["why"]) if part)
    return kind(where, why=why, fix=error["fix"])


def _environment() -> dict[str, str]:
    """The converters' environment: one of its own programs on PATH, quiet, off any GPU."""
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        # onnx2tf runs onnxsim as a program and, where PATH lacks it, silently does without.
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        # Dictionaries and sets in the same order every time: the same bytes every time.
        "PYTHONHASHSEED": "0",
    }


def _reject_unreadable(path: Path) -> None:
    """Refuses a file that does not say what it is, or that its runtime refuses or dies of."""
    try:
        runtimes.read_metadata(path)
    except AgecompactError as error:
        raise ConversionError(
            f"the converter made a file that cannot be read back: {path.name}", why=str(error)
        ) from None
    try:
        with RuntimeProcess(path) as process:
            process.open()
    except RuntimeFailure as failure:
        # Off a Mac no Core ML opens a package; what it answers, parity tells.
        if failure.kind != "missing":
            raise ConversionError(
                f"the converter made a file that does not open: {path.name}", why=str(failure)
            ) from None


def _publish(written: manifest.Manifest, scratch: Path, folder: Path) -> None:
    """Puts the finished build in its place with one rename, over an older build if there is one."""
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (scratch / written.weights).rename(temporary / written.weights)
        for entry in written.artifacts:
            (scratch / entry.format / entry.file).rename(temporary / entry.file)
        manifest.write(temporary, written)


def _refuse_foreign(folder: Path) -> None:
    """A build replaces a build, never a folder of something else."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / manifest.FILE_NAME).is_file():
        raise UsageError(
            f"{folder} is in the way",
            why=f"it holds files but no {manifest.FILE_NAME}, so it is no build to replace",
            fix="move it, or choose another place with --out",
        )
