"""A build folder for tests of the report, with everything that a report shows, made in no time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agecompact.artifacts import manifest, preprocessing
from agecompact.artifacts.manifest import CalibrationSet, Entry, Manifest, NotMade
from agecompact.artifacts.parity import ParityReport, Quantiles, Result, Tolerance
from agecompact.bench import store
from agecompact.bench.record import Record, Size
from agecompact.formats import EXPORTED, RUNTIMES
from agecompact.models import registry
from agecompact.serialization import write_versioned
from tests import records

MODEL = "ssrnet"
# What shows in a page, in Markdown or on a terminal if it is not escaped.
HOSTILE = "<script>alert('a')</script>&\"|[b](c)`*"
# Of a file, which cannot have a slash.
HOSTILE_NAME = "<script>alert(1)<b>'\"&"
# A mark that no plain text leaves: any script of the page could set it.
HOSTILE_IMAGE = "<img src=x onerror=\"document.title='owned'\">"
GATES = Tolerance(max=0.1, searched=1.0, p99=0.1, mean=0.1, mae=0.02, reason="")
_RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "coreml": "mil"}
_PRECISIONS = ("float32", "float16", "int8")
_BYTES = {"float32": 4000, "float16": 2000, "int8": 1000}
_ERRORS = {"float32": 2e-5, "float16": 1e-2, "int8": 6e-2}


def write(root: Path, model: str = MODEL, *, failing: Sequence[str] = ()) -> Path:
    """Writes a build of three precisions in two formats, with all that was measured of it.

    Args:
        root: The build folder.
        model: Name of the model, which may be hostile.
        failing: Files that fail, and say where their error originates.
    """
    entries = tuple(
        _entry(root / "build", model, format_name, precision)
        for format_name in ("onnx", "tflite")
        for precision in _PRECISIONS
    )
    contract = registry.get(MODEL).contract
    made = Manifest(
        model=model,
        weights="w.safetensors",
        weights_sha256="7" * 64,
        source=HOSTILE_IMAGE,
        terms="none",
        contract=contract,
        parameters=900,
        folded_parameters=900,
        macs=4_000_000,
        artifacts=entries,
    )
    manifest.write(root / "build", made)
    results = tuple(result(made, entry, fails=entry.file in failing) for entry in entries)
    write_versioned(root / "parity.json", ParityReport(not failing, results))
    counted = [
        count(made, entry, core)
        for entry in entries
        if entry.format == "tflite"
        for core in ("cortex-a53", "cortex-a76")
    ]
    (root / "latency.json").write_text(json.dumps(store.to_json(counted)))
    cost = replace(records.PREPROCESSED.costs[0], text=HOSTILE)
    costs = (cost, *records.PREPROCESSED.costs[1:])
    preprocessing.add(root / "build", model, replace(records.PREPROCESSED, costs=costs))
    return root


def add_not_made(root: Path, file: str, reason: str) -> None:
    """Adds a conversion that failed."""
    build = manifest.read(root / "build")
    failed = NotMade(file, "tflite", "int8-weights", reason)
    manifest.write(root / "build", replace(build.manifest, not_made=(failed,)))


def edit_results(root: Path, edit: object) -> None:
    """Changes the results in `parity.json`, as JSON values, in place."""
    path = root / "parity.json"
    content = json.loads(path.read_text())
    edit(content["results"])  # type: ignore[operator]
    path.write_text(json.dumps(content))


def _entry(folder: Path, model: str, format_name: str, precision: str) -> Entry:
    file = f"{model}_{precision}{EXPORTED[format_name].suffix}"
    content = f"{format_name} {precision}".encode().ljust(_BYTES[precision])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    return Entry(
        file=file,
        format=format_name,
        precision=precision,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        converter=HOSTILE,
        versions={"a tool": "1.0"},
        opset=18 if format_name == "onnx" else None,
        batch=1,
        conversion_s=1.0,
        calibration=CalibrationSet(400, "8" * 64) if precision == "int8" else None,
    )


def result(made: Manifest, entry: Entry, *, fails: bool = False) -> Result:
    """A result of parity."""
    error = 4.2 if fails else _ERRORS[entry.precision]
    runtime = _RUNTIMES[entry.format]
    return Result(
        model=made.model,
        artifact=entry.file,
        precision=entry.precision,
        runtime=runtime,
        label=RUNTIMES[runtime].label,
        status="failed" if fails else "passed",
        kind="mismatch" if fails else None,
        reason=f"greatest error {HOSTILE}" if fails else "",
        unit="years",
        tolerance=GATES,
        sha256=entry.sha256,
        runtime_version="a runtime 1.0",
        max_error=error,
        p99_error=error / 2,
        mean_error=error / 5,
        quantiles=Quantiles(error / 20, error / 10, error / 6, error / 4, error / 3),
        samples=30,
        searched_error=2 * error,
        mae_years=0.001,
        artifact_mae_years=5.751,
        reference_mae_years=5.75,
        faces=300,
        localisation={"lines": ["the error originates at", HOSTILE]} if fails else None,
    )


def count(made: Manifest, entry: Entry, core: str) -> Record:
    """A count of instructions, half as many in int8."""
    like = records.EMULATED
    total = (4_000_000 if core == "cortex-a53" else 3_000_000) // (
        2 if entry.precision == "int8" else 1
    )
    assert like.instructions is not None
    weights = entry.bytes - 300
    size = Size(
        weights_bytes=weights,
        graph_bytes=200,
        metadata_bytes=100,
        deflated_bytes=weights,
        bound_bytes=weights,
    )
    artifact = replace(
        records.ARTIFACT,
        model=made.model,
        file=entry.file,
        format=entry.format,
        precision=entry.precision,
        sha256=entry.sha256,
        file_bytes=entry.bytes,
        size=size,
    )
    emulator = f"qemu-aarch64 7.2 -cpu {core}"
    return replace(
        like,
        artifact=artifact,
        machine=replace(like.machine, cpu=core, emulator=emulator),
        instructions=replace(like.instructions, total=total, totals=(total, total)),
    )


def write_evaluation(path: Path, root: Path, file: str) -> Path:
    """Writes what `evaluate --json` would about an artefact."""
    entry = next(e for e in manifest.read(root / "build").manifest.artifacts if e.file == file)
    decades = {"0": (2.0, 1.5, 2.5), "10": (8.0, 7.0, 9.0), "90": (15.0, None, None)}
    record = {
        "schema_version": 1,
        "measured": {"kind": "artifact", "file": file, "sha256": entry.sha256},
        "split": {},
        "warnings": [HOSTILE],
        "evaluation": {
            "dataset": "utkface",
            "part": "test",
            "n": 100,
            "mae_years": 5.75,
            "bias_years": -0.5,
            "decades": {
                start: {"n": 30, "mae_years": value, "bias_years": 0.25}
                for start, (value, _, _) in decades.items()
            },
            "intervals": {
                "mae_years": {"low": 5.5, "high": 6.0},
                "decades": {
                    start: None if low is None else {"low": low, "high": high}
                    for start, (_, low, high) in decades.items()
                },
            },
        },
    }
    path.write_text(json.dumps(record))
    return path
