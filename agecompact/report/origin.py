"""What the artefacts were made from and by: contracts, hashes and versions."""

from __future__ import annotations

from collections.abc import Iterator

from agecompact.artifacts.manifest import Build, Manifest
from agecompact.contract import Contract, Crop
from agecompact.outputs import Output
from agecompact.report.document import Cell, Grid, Section, known_grid
from agecompact.report.evidence import Artifact, Evidence
from agecompact.tables import Column

_FILES = (
    Column("artefact", "name"),
    Column("made by"),
    Column("versions"),
    Column("ops", "number"),
    Column("batch", "name"),
    Column("calibrated with"),
    Column("checked by"),
    Column("SHA-256"),
)


def origin(evidence: Evidence) -> Section:
    """The contract of each model, and the origin of each file."""
    made = known_grid("Files", _FILES, map(_file_cells, evidence.artifacts))
    return Section(
        "origin",
        "Contracts, hashes and versions",
        ("An app must prepare its pictures as the contract says.",),
        (*map(_contract_grid, evidence.builds), made),
    )


def _contract_grid(build: Build) -> Grid:
    manifest = build.manifest
    rows = tuple((Cell(name), Cell(text)) for name, text in _facts(manifest) if text)
    columns = (Column("fact", "name"), Column("value"))
    return Grid(f"Contract and weights of {manifest.model}", columns, rows, sortable=False)


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    contract = manifest.contract
    yield "inputs", "; ".join(map(_crop, contract.crops))
    yield "size", f"{contract.width} x {contract.height} pixels, {contract.color_order}"
    yield "tensor", f"{contract.dtype}, {contract.layout} {contract.input_shape} in PyTorch"
    yield "values", _values(contract)
    yield "resized by", contract.interpolation
    yield "outputs", "; ".join(map(_output, contract.outputs))
    yield "parameters", f"{manifest.parameters:,}; {manifest.folded_parameters:,} after folding"
    yield "multiply-accumulates", f"{manifest.macs:,} for one face"
    yield "source", manifest.source
    yield "terms", manifest.terms
    yield "weights", manifest.weights
    yield "SHA-256 of the weights", manifest.weights_sha256


def _crop(crop: Crop) -> str:
    box = (crop.left, crop.top, crop.right, crop.bottom)
    if box == (0.0, 0.0, 1.0, 1.0):
        return f"{crop.name}, the whole chip"
    left, top, right, bottom = (f"{edge:.3g}" for edge in box)
    return f"{crop.name}, the chip from ({left}, {top}) to ({right}, {bottom})"


def _values(contract: Contract) -> str:
    low, high = contract.value_range
    text = f"0 to 255 become {low:g} to {high:g}"
    if any(contract.mean) or any(each != 1.0 for each in contract.std):
        mean, std = (", ".join(f"{v:g}" for v in each) for each in (contract.mean, contract.std))
        text += f"; less the mean ({mean}), divided by ({std})"
    return text if contract.quantization is None else f"{text}; {contract.quantization}"


def _output(output: Output) -> str:
    bounds = [f"{each:g}" for each in (output.minimum, output.maximum) if each is not None]
    span = f", {' to '.join(bounds)}" if len(bounds) == 2 else ""
    return f"{output.name}, in {output.unit}{span}"


def _file_cells(artifact: Artifact) -> tuple[Cell, ...]:
    entry = artifact.entry
    used = entry.calibration
    runtimes = dict.fromkeys(
        f"{r.label} ({r.runtime_version})" for r in artifact.results if r.runtime_version
    )
    changed = ""
    if artifact.sha256 != entry.sha256:
        changed = "; the file has changed since" if artifact.sha256 else "; the file cannot be read"
    calibrated = ""
    if used is not None:
        epochs = f", {used.qat_epochs} passes of training" if used.qat_epochs else ""
        calibrated = f"{used.faces} faces ({used.faces_sha256[:12]}){epochs}"
    return (
        Cell(artifact.file),
        Cell(entry.converter),
        Cell(", ".join(f"{name} {version}" for name, version in sorted(entry.versions.items()))),
        Cell("" if entry.opset is None else str(entry.opset)),
        Cell("any" if entry.batch is None else str(entry.batch)),
        Cell(calibrated),
        Cell(", ".join(runtimes)),
        Cell(f"{entry.sha256}{changed}"),
    )
