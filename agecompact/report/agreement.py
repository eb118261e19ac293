"""How far the artefacts are from PyTorch, and what that costs on labelled faces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agecompact.artifacts.parity import AGES, Result
from agecompact.report import charts, processors
from agecompact.report.document import Cell, Chart, Part, Section, known_grid, number
from agecompact.report.evidence import Artifact, Evidence
from agecompact.report.missing import command, lacking
from agecompact.tables import Column

_ERRORS = (
    Column("artefact", "name"),
    Column("output", "name"),
    Column("verdict", "name"),
    Column("max", "number"),
    Column("allowed", "number"),
    Column("share", "number"),
    Column("median", "number"),
    Column("mean", "number"),
    Column("p99", "number"),
    Column("searched", "number"),
    Column("unit", "name"),
    Column("inputs", "number"),
    Column("runtime"),
)
_MAES = (
    Column("artefact", "name"),
    Column("output", "name"),
    Column("MAE", "number"),
    Column("PyTorch's", "number"),
    Column("difference", "number"),
    Column("allowed", "number"),
    Column("unit", "name"),
    Column("faces", "number"),
    *(Column(f"flips at {age}", "number") for age in AGES),
    Column("runtime"),
)


def agreement(evidence: Evidence) -> Section:
    """The errors of every check, and how they are distributed."""
    shown = [(a, r) for a in evidence.artifacts for r in a.results if r.max_error is not None]
    text = lacking(
        [a.file for a in evidence.artifacts if not a.results],
        evidence.artifacts,
        command("agecompact parity", evidence.root),
    )
    parts: tuple[Part, ...] = ()
    if shown:
        text = (
            "The absolute difference from PyTorch's answer over fixed inputs; for what is "
            "calibrated with faces, over faces. Share: the greatest error as a share of what its "
            "gate allows. Searched: the greatest error on inputs that a search for bad ones found.",
            *text,
        )
        grid = known_grid(
            "Error against PyTorch, by artefact, runtime and output",
            _ERRORS,
            (_error_cells(a, r) for a, r in shown),
        )
        everywhere = processors.grid(evidence.artifacts)
        parts = (_error_chart(shown), *((everywhere,) if everywhere else ()), grid)
    return Section("agreement", "Agreement with PyTorch", text, parts)


def task(evidence: Evidence) -> Iterable[Part]:
    """The MAEs on labelled faces that parity measured; nothing if it had none."""
    measured = [(a, r) for a in evidence.artifacts for r in a.results if r.faces]
    if measured:
        yield known_grid(
            "MAE on labelled faces: the artefact's, PyTorch's, and the difference",
            _MAES,
            (_task_cells(a, r) for a, r in measured),
        )


def _error_cells(artifact: Artifact, result: Result) -> tuple[Cell, ...]:
    gate = result.tolerance.max if result.tolerance else None
    share = result.max_error / gate if result.max_error is not None and gate else None
    return (
        Cell(artifact.file),
        Cell(result.output),
        Cell(result.verdict),
        number(result.max_error, ".2g"),
        number(gate, "g"),
        # Far beyond its gate, an error is a multiple of it.
        number(share, ".0%") if share is None or share < 10 else number(share, ",.0f", "x"),
        number(result.quantiles.p50 if result.quantiles else None, ".2g"),
        number(result.mean_error, ".2g"),
        number(result.p99_error, ".2g"),
        number(result.searched_error, ".2g"),
        Cell(result.unit),
        number(result.samples or None, "d"),
        Cell(result.label),
    )


def _task_cells(artifact: Artifact, result: Result) -> tuple[Cell, ...]:
    return (
        Cell(artifact.file),
        Cell(result.output),
        number(result.artifact_mae_years, ".4f"),
        number(result.reference_mae_years, ".4f"),
        number(result.mae_change, "+.1e"),
        number(result.tolerance.mae if result.tolerance else None, "g"),
        Cell(result.unit),
        number(result.faces, ",d"),
        *(number(result.flips.get(age), ".2%") for age in AGES),
        Cell(result.label),
    )


def _error_chart(shown: Sequence[tuple[Artifact, Result]]) -> Chart:
    rows = [_row(artifact, result) for artifact, result in shown]
    least = min(shown, key=lambda each: each[1].max_error or 0.0)[1]
    most = max(shown, key=lambda each: each[1].max_error or 0.0)[1]
    return Chart(
        "Errors against PyTorch",
        f"Errors of {len(shown)} checks on a logarithmic scale. The greatest errors go from "
        f"{least.max_error:.2g} {least.unit} in {least.artifact} to {most.max_error:.2g} "
        f"{most.unit} in {most.artifact}. A line goes from the 10th percentile to the greatest "
        "error, its thick part has the middle half, the dot is the median, and the mark across is "
        "what the gate allows. The table below has the figures.",
        charts.ranges(rows, "error against PyTorch"),
    )


def _row(artifact: Artifact, result: Result) -> charts.Row:
    found = result.quantiles
    units = [o.compared_unit for o in artifact.build.manifest.contract.outputs]
    several = len({r.runtime for r in artifact.results if r.max_error is not None}) > 1
    name = " ".join(filter(None, (artifact.short_name, result.output)))
    return {
        "group": f"{artifact.model}, {' and '.join(dict.fromkeys(units))}",
        "name": f"{name}, {result.runtime}" if several else name,
        "low": found.p10 if found else result.mean_error,
        "q1": found.p25 if found else None,
        "median": found.p50 if found else result.mean_error,
        "q3": found.p75 if found else None,
        "high": result.max_error,
        "limit": result.tolerance.max if result.tolerance else None,
    }
