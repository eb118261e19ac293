"""Every artefact on every processor: the greatest error of each, from parity and from benches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agecompact.artifacts.parity import Result
from agecompact.bench.record import Record
from agecompact.formats import RUNTIMES
from agecompact.report.evidence import Artifact
from agecompact.tables import Column, Table

_EMULATED = "ARM CPU, emulated"
# The order of the columns: those of one machine's processors, then of its browser.
_ORDER = (
    "CPU",
    _EMULATED,
    "GPU",
    "NPU",
    "Apple's runtime",
    "Core ML's reference",
    "browser, wasm",
    "browser, WebGPU",
)


def table(artifacts: Sequence[Artifact]) -> Table | None:
    """A row for each artefact and a column for each processor; None if the CPU alone ran them."""
    rows = [(artifact, cells(artifact)) for artifact in artifacts]
    shown = [name for name in _ORDER if any(name in found for _, found in rows)]
    if not set(shown) - {"CPU", "Core ML's reference"}:
        return None
    return Table(
        columns=(Column("artefact", "name"), *(Column(name, "number") for name in shown)),
        rows=tuple(
            (artifact.file, *(found.get(name, "-") for name in shown)) for artifact, found in rows
        ),
        title="Greatest error against PyTorch on each processor, in the unit of the output",
        caption="-: a runtime for other files, or one that was not run",
    )


def cells(artifact: Artifact) -> Mapping[str, str]:
    """The greatest error on each processor, or what went wrong there."""
    by_processor: dict[str, list[Result]] = {}
    for result in artifact.results:
        if result.status != "skipped" and result.runtime in RUNTIMES:
            by_processor.setdefault(RUNTIMES[result.runtime].processor, []).append(result)
    found = {name: _worst(results) for name, results in by_processor.items()}
    if counted := _emulated(artifact.records):
        found[_EMULATED] = counted
    return found


def _worst(results: Iterable[Result]) -> str:
    failed = [result for result in results if result.status == "failed"]
    if failed:
        error = failed[0].max_error
        return str(failed[0].kind) if error is None else f"{error:.1e} ({failed[0].kind})"
    errors = [result.max_error for result in results if result.max_error is not None]
    return f"{max(errors):.1e}" if errors else "-"


def _emulated(records: Iterable[Record]) -> str:
    """The greatest error on emulated cores; empty if none was compared."""
    errors = [
        each.output_error.max_error
        for each in records
        if each.instructions and each.output_error and each.output_error.max_error is not None
    ]
    return f"{max(errors):.1e}" if errors else ""
