"""Models and precisions by processors: the greatest errors, from parity and from benches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from agecompact.artifacts.parity import Result
from agecompact.bench.record import Record
from agecompact.formats import RUNTIMES
from agecompact.report.document import DASH, Cell, Grid
from agecompact.report.evidence import Artifact
from agecompact.tables import Column, Table

_EMULATED = "ARM CPU, emulated"
# The order of the columns.
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
_USUAL = frozenset({"CPU", "Core ML's reference", _EMULATED})
_TITLE = (
    "Greatest error against PyTorch on each processor, by format, in the unit of the output; for "
    "int8 over faces"
)


def grid(artifacts: Sequence[Artifact]) -> Grid | None:
    """The same for a report."""
    made = table(artifacts)
    if made is None:
        return None
    return Grid(made.title, made.columns, tuple(tuple(map(Cell, row)) for row in made.rows))


def table(artifacts: Sequence[Artifact]) -> Table | None:
    """A row for each model and precision, a column for each processor; None if there are only CPUs.

    Args:
        artifacts: The artefacts, those of a model together.
    """
    rows = list(_rows(artifacts))
    shown = [name for name in _ORDER if any(name in cells for *_, cells in rows)]
    if not set(shown) - _USUAL:
        return None
    return Table(
        columns=(
            Column("model", "name"),
            Column("precision", "name"),
            *(Column(name) for name in shown),
        ),
        rows=tuple(
            (model, precision, *(", ".join(cells.get(name, [DASH])) for name in shown))
            for model, precision, cells in rows
        ),
        title=_TITLE,
    )


def _rows(artifacts: Iterable[Artifact]) -> Iterator[tuple[str, str, Mapping[str, list[str]]]]:
    for model, group in groupby(artifacts, key=lambda each: each.model):
        of_model = list(group)
        for precision in dict.fromkeys(each.entry.precision for each in of_model):
            cells: dict[str, list[str]] = {}
            for artifact in of_model:
                if artifact.entry.precision == precision:
                    for name, text in errors(artifact).items():
                        cells.setdefault(name, []).append(f"{artifact.entry.format} {text}")
            yield model, precision, cells


def errors(artifact: Artifact) -> Mapping[str, str]:
    """The greatest error of an artefact on each processor, or what went wrong there."""
    by_processor: dict[str, list[Result]] = {}
    for result in artifact.results:
        if result.status != "skipped" and result.runtime in RUNTIMES:
            by_processor.setdefault(RUNTIMES[result.runtime].processor, []).append(result)
    found = {name: _worst(results) for name, results in by_processor.items()}
    # What `agecompact bench` replayed, where parity did not run there.
    if _EMULATED not in found and (replayed := _emulated(artifact.records)):
        found[_EMULATED] = replayed
    return found


def _worst(results: Iterable[Result]) -> str:
    failed = [result for result in results if result.status == "failed"]
    if failed:
        return str(failed[0].kind)
    found = [result.max_error for result in results if result.max_error is not None]
    return f"{max(found):.1e}" if found else DASH


def _emulated(records: Iterable[Record]) -> str:
    """The greatest error on emulated cores; empty if none was compared."""
    found = [
        each.output_error.max_error
        for each in records
        if each.instructions and each.output_error and each.output_error.max_error is not None
    ]
    return f"{max(found):.1e}" if found else ""
