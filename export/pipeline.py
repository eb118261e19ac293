"""Runs the converters of one model, each in its own process, and writes the manifest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agecompact.artifacts import manifest, preprocessing
from agecompact.children import child
from agecompact.console.common import Stages
from agecompact.errors import (
    BackendMissingError,
    ConversionError,
    MachineError,
    UsageError,
)
from agecompact.faults import fault_in
from agecompact.files import make_folder, output_errors, sha256_of, size_of
from agecompact.formats import EXPORTED, Format, Target
from agecompact.imports import module_command
from agecompact.models import registry
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.scratch import raise_if_full, scratch_folder
from agecompact.serialization import read_versioned, write_versioned
from agecompact.weights import checkpoints
from export import source as sources
from export import targets as selection
from export.job import Conversion, InputKind, Job, Reply
from export.publish import Published, publish

_LOG_LINES = 5
_KILLED = "if it ran out of memory, end other programs, then export again"
_KEEP_GOING = "to make the other formats, add --keep-going"
_SILENT = Stages(start=lambda _: None, done=lambda _: None)


@dataclass(frozen=True)
class Request:
    """One model to export.

    Attributes:
        weights: The weights file.
        targets: What to make, including what a target is converted from.
        out: The build root; artefacts go to `out/<model>/`.
        dynamic_batch: Leave the batch axis of the ONNX file open.
        input_kind: Type of the inputs of formats that can take pictures.
        keep_going: If a conversion fails, record it in the manifest and make the others.
        given: The file that the user named, if the weights are not the released ones: the weights
            file itself, or the state dict that it was made of.
        calibration: Folder of face chips; precisions that are `calibrated` need one.
        without: As in `Job`.
        optional: Names of formats that are left out if the network does not suit them.
    """

    weights: Path
    targets: tuple[Target, ...]
    out: Path
    dynamic_batch: bool = False
    input_kind: InputKind = "tensor"
    keep_going: bool = False
    given: Path | None = None
    calibration: Path | None = None
    without: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()


def export(request: Request, stages: Stages = _SILENT) -> Published:
    """Exports one model.

    All files are made in a scratch folder inside `out`. `out/<model>/` is created, or replaced, in
    one step at the end; `publish` says what it keeps of an older build.

    Args:
        request: What to make.
        stages: Shows the progress, one stage per format.

    Returns:
        The build, as written.

    Raises:
        UsageError: The weights cannot be read, or `out/<model>/` contains other files.
        BackendMissingError: A converter's extra is not installed, or a limit stopped it.
        MachineError: A converter was killed, or ran into a limit of the machine.
        ConversionError: A converter failed, and `keep_going` is not set.
        OutputError: `out` cannot be written to, or the disk is full.
    """
    weights, measured = sources.measured(request.weights)
    make_folder(request.out)
    _refuse_foreign(request.out / weights.model_id)
    with output_errors(request.out), scratch_folder(request.out) as scratch:
        copied = sources.copied(weights, scratch)
        entries, not_made = _run_stages(request, copied, scratch, stages)
        made = manifest.Manifest(
            model=weights.model_id,
            weights=copied.name,
            weights_sha256=weights.sha256,
            source=registry.get(weights.model_id).source,
            terms=weights.terms,
            contract=weights.contract,
            parameters=measured.parameters,
            folded_parameters=measured.folded_parameters,
            macs=measured.macs,
            artifacts=tuple(entries),
            not_made=tuple(not_made),
        )
        released = checkpoints.is_released(weights.model_id) and (
            checkpoints.released_path(weights.model_id) == request.weights
        )
        source = None if released else request.given or request.weights
        return publish(made, scratch, request.out, source)


def adopt(build: manifest.Build, out: Path, given: Path | None) -> Published:
    """Publishes an export of another build root, bit by bit, as if it had been made in `out`.

    Args:
        build: The other build.
        out: The build root; artefacts go to `out/<model>/`.
        given: As in `Request`.

    Returns:
        The build, as written.

    Raises:
        UsageError: `out/<model>/` contains other files.
        ConversionError: An artefact has changed since it was exported.
        OutputError: `out` cannot be written to, or the disk is full.
    """
    made = build.manifest
    make_folder(out)
    _refuse_foreign(out / made.model)
    with output_errors(out), scratch_folder(out) as scratch:
        shutil.copyfile(build.weights, scratch / made.weights)
        for entry in made.artifacts:
            path, copy = build.path(entry), scratch / entry.format / entry.file
            copy.parent.mkdir(exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, copy)
            else:
                shutil.copyfile(path, copy)
            if sha256_of(copy) != entry.sha256:
                raise ConversionError(f"{path} has changed since it was exported")
        return publish(made, scratch, out, given)


def float_tflite(weights: Path) -> bytes:
    """The float32 TFLite file of a network, made in a scratch folder.

    Args:
        weights: The weights file.

    Raises:
        AgecompactError: As `export` raises it.
    """
    with scratch_folder() as scratch:
        wanted = selection.select(("tflite",), ("fp32",))
        made = export(Request(weights, wanted, scratch)).manifest
        (entry,) = (each for each in made.artifacts if each.format == "tflite")
        return (scratch / made.model / entry.file).read_bytes()


def _run_stages(
    request: Request, weights: Path, scratch: Path, stages: Stages
) -> tuple[list[manifest.Entry], list[manifest.NotMade]]:
    entries: list[manifest.Entry] = []
    not_made: list[manifest.NotMade] = []
    made: dict[str, Path] = {}
    shared = scratch / "shared"
    shared.mkdir()
    for format_, targets in jobs(request.targets, request.optional):
        files = {target.file_name(weights.stem): target for target in targets}
        title = f"{weights.stem}: {format_.name} {', '.join(t.precision.name for t in targets)}"
        stages.start(title)
        folder = scratch / format_.name
        folder.mkdir(exist_ok=True)
        started = time.monotonic()
        try:
            job = Job(
                weights=weights,
                precisions=tuple(target.precision.name for target in targets),
                folder=folder,
                source=_source(format_, made),
                dynamic_batch=request.dynamic_batch,
                input_kind=request.input_kind,
                calibration=request.calibration,
                without=request.without,
                shared=shared,
            )
            conversion = _convert(format_, job, scratch)
            versions = {file: _versions_in(folder / file) for file in files}
        except ConversionError as error:
            if format_.name in request.optional:
                stages.done(f"{title}: left out: {error.summary}")
                continue
            if not request.keep_going:
                raise
            not_made += [
                manifest.NotMade(
                    file=file,
                    format=format_.name,
                    precision=target.precision.name,
                    reason=error.summary,
                )
                for file, target in files.items()
            ]
            stages.done(f"{title}: failed")
            continue
        seconds = round(time.monotonic() - started, 1)
        made[format_.name] = folder / next(iter(files))
        entries += [
            manifest.Entry(
                file=file,
                format=format_.name,
                precision=target.precision.name,
                sha256=sha256_of(folder / file),
                bytes=size_of(folder / file),
                converter=conversion.converter,
                versions=versions[file],
                opset=conversion.opset_of(target.precision.name),
                # The calibrated graph is one of a single image.
                batch=1 if target.precision.calibrated else conversion.batch,
                conversion_s=seconds,
                calibration=conversion.calibration if target.precision.calibrated else None,
            )
            for file, target in files.items()
        ]
        stages.done("; ".join([f"{title}: {seconds:g} s", *conversion.notes]))
    return entries, not_made


def jobs(
    chosen: Iterable[Target], optional: Collection[str]
) -> Iterator[tuple[Format, Sequence[Target]]]:
    """What one converter makes in one process, a stage each: all precisions of a format.

    Of a format that not every network suits, each on its own: one may fail where another succeeds.

    Args:
        chosen: What to make.
        optional: As in `Request`.
    """
    chosen = tuple(chosen)
    for format_ in EXPORTED.values():
        targets = [target for target in chosen if target.format == format_]
        if format_.name in optional:
            yield from ((format_, [target]) for target in targets)
        elif targets:
            yield format_, targets


def _source(format_: Format, made: Mapping[str, Path]) -> Path | None:
    """The artefact that a format is converted from; None for the PyTorch network itself."""
    assert format_.converter is not None
    name = format_.converter.source
    if name is not None and name not in made:
        raise ConversionError(f"it is converted from {name}, which was not made")
    return made[name] if name else None


def _convert(format_: Format, job: Job, scratch: Path) -> Conversion:
    """Runs the converter of a format in its own process."""
    assert format_.converter is not None
    timeout_s = format_.converter.timeout_s
    request, reply = scratch / "request.json", scratch / "reply.json"
    reply.unlink(missing_ok=True)
    write_versioned(request, job)
    command = module_command("export.worker", options=("-W", "ignore"))
    what = f"converting '{job.weights.stem}' to {format_.name} failed"
    with (scratch / "log.txt").open("w+", errors="replace") as log:
        with child(
            [*command, format_.name, request, reply],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=job.folder,
            env=_environment(scratch),
        ) as process:
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                why = f"it took longer than {timeout_s:g} s"
                raise ConversionError(what, why=why, fix=_KEEP_GOING) from None
        log.seek(0)
        last = [line.strip() for line in log.read().splitlines() if line.strip()][-_LOG_LINES:]
    if code != 0:
        # The log is on the same disk and may lack the reason.
        raise_if_full(scratch)
        if fault := fault_in("\n".join(last)):
            raise MachineError(what, why=f"{fault.what}: {last[-1]}", fix=fault.fix)
    if code == -signal.SIGKILL:
        raise MachineError(what, why="its process was killed", fix=_KILLED)
    if code != 0 or not reply.is_file():
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        why = "\n     ".join([f"its process ended with {how}:", *last])
        raise ConversionError(what, why=why, fix=_KEEP_GOING)
    result = read_versioned(reply, Reply, what="reply")
    if result.error is not None:
        missing = result.error.exit_code == BackendMissingError.exit_code
        kind = BackendMissingError if missing else ConversionError
        raise kind(what, why=result.error.why, fix=result.error.fix or _KEEP_GOING)
    assert result.conversion is not None
    return result.conversion


def _environment(scratch: Path) -> dict[str, str]:
    """The environment of converters: this Python's programs on PATH, no logs, no GPU."""
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        # Of foreign ONNX files, onnx2tf runs onnxsim as a program; if it is not on PATH, onnx2tf
        # silently skips it.
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")]),
        # What libraries leave there goes with the scratch folder.
        "TMPDIR": str(temporary),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        # The same order of sets, hence the same bytes, every time.
        "PYTHONHASHSEED": "0",
    }


def _versions_in(path: Path) -> Mapping[str, str]:
    """The versions of the tools that made a file, from its metadata.

    Raises:
        ConversionError: It has no metadata, or its runtime cannot open it or crashes.
    """
    versions: Mapping[str, str] = {}
    try:
        with RuntimeProcess(path) as process:
            versions = process.metadata().versions
            process.open()
    except RuntimeFailure as failure:
        # Without macOS there is no Core ML to open a package with; parity checks it otherwise.
        if failure.kind != "missing":
            raise ConversionError(
                f"the converted file cannot be used: {path.name}",
                why=str(failure),
                fix=_KEEP_GOING,
            ) from None
    return versions


def _refuse_foreign(folder: Path) -> None:
    """Rejects a folder that holds something else: a build may only replace a build.

    `agecompact preprocessing` may have measured the weights before there is one.
    """
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if held - {preprocessing.FILE_NAME} and manifest.FILE_NAME not in held:
        raise UsageError(
            f"{folder} is in the way",
            why=f"it contains files but no {manifest.FILE_NAME}, so it is not a build to replace",
            fix="move it, or choose another folder with --out",
        )
