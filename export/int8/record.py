"""Calibration files: int8 of a network, ready to be written without the faces.

A safetensors file. Rounded weights are `<tensor>.steps`, int8 as the TFLite file has them, and
`<tensor>.greatest`, the greatest absolute weight of each row, float32; other constants are
`<tensor>`, float32; the factors of channels are `<tensor>.factors`. The header holds the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from agecompact.artifacts.manifest import CalibrationSet
from agecompact.checked import Checked, Count, NotNegative, Pattern, Sha256
from agecompact.errors import UsageError
from agecompact.files import atomic_path, canonical_json
from agecompact.filetypes import unreadable
from agecompact.serialization import parse_json, unstructure
from export.int8.calibration import Calibration, applied, rounded_ops
from export.int8.equalise import Factors
from export.int8.graph import Array, Graph
from export.int8.layers import row_axis
from export.int8.plan import Plan
from export.int8.rounding import LEVELS

SUFFIX = ".int8.safetensors"
_KEY = "agecompact.int8"
_STEPS, _GREATEST, _FACTORS = ".steps", ".greatest", ".factors"
AGAIN = "calibrate again: agecompact calibrate MODEL --faces FOLDER"
_TINY = 1e-12
_Index = Annotated[str, Pattern(r"\d+")]


@dataclass(frozen=True)
class Origin(Checked):
    """What a calibration is of, and what it was made with.

    Attributes:
        weights_sha256: Hash of the weights file, or of the ONNX file in its place.
        calibration: The faces.
        span: How far the answers for the faces go, for people.
        deviation: Standard deviation of the first output's answers; None if it has several.
        unit: Its unit.
    """

    weights_sha256: Sha256
    calibration: CalibrationSet
    span: str = ""
    deviation: NotNegative | None = None
    unit: str = ""


@dataclass(frozen=True)
class _Place(Checked):
    tensor: Count
    place: Count


@dataclass(frozen=True)
class _Header(Checked):
    """What the metadata of a calibration file contains.

    Attributes:
        origin: What it is of.
        graph_sha256: Hash of the float graph's ops and shapes.
        body: As in `Plan`.
        stored: As in `Plan`.
        ranges: As in `Calibration`.
        factors: Where the multiplications are.
        note: As in `Calibration`.
        costs: As in `Calibration`.
        spans: As in `Calibration`; empty in files of older versions.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    origin: Origin
    graph_sha256: Sha256
    body: tuple[int, ...]
    stored: tuple[int, ...]
    ranges: Mapping[_Index, tuple[float, float]]
    factors: tuple[_Place, ...]
    note: str
    costs: Mapping[_Index, NotNegative] = field(default_factory=dict)
    spans: Mapping[_Index, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """The content of a calibration file.

    Attributes:
        name: What it is called in errors.
        header: What its metadata contains.
        tensors: By name, as in the file.
    """

    name: str
    header: _Header
    tensors: Mapping[str, Array]

    @property
    def sha256(self) -> str:
        """Hash of its content."""
        found = hashlib.sha256(canonical_json(unstructure(self.header)).encode())
        for name, values in sorted(self.tensors.items()):
            found.update(name.encode() + values.tobytes())
        return found.hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of it."""
        return tuple(filter(None, (self.origin.span, self.header.note)))

    @property
    def origin(self) -> Origin:
        """What was calibrated, and with what."""
        return self.header.origin

    def calibration(self, content: bytes) -> Calibration:
        """The calibration, for the float file that it is of.

        Raises:
            UsageError: It is of another graph, or its tensors do not fit.
        """
        header, graph = self.header, Graph.parse(content)
        if header.graph_sha256 != structure_hash(graph):
            raise UsageError(
                f"{self.name} is the calibration of another graph",
                why="the weights are the same, but the converter wrote other ops; the released "
                "calibrations only fit what onnx2tf 1.28.8 writes",
                fix=AGAIN,
            )
        try:
            constants = dict(self._constants())
            for tensor, values in constants.items():
                stored = graph.constant(tensor)
                if stored is None or stored.shape != values.shape:
                    raise ValueError(f"the graph has no constant like tensor {tensor}")
            factors = tuple(
                Factors(each.tensor, each.place, self.tensors[f"{each.tensor}{_FACTORS}"])
                for each in header.factors
            )
        except (KeyError, ValueError, IndexError) as error:
            raise UsageError(f"{self.name} is damaged", why=str(error), fix=AGAIN) from None
        plan = Plan(frozenset(header.body), frozenset(header.stored))
        ranges = {int(tensor): ends for tensor, ends in header.ranges.items()}
        costs = {int(index): share for index, share in header.costs.items()}
        spans = {int(tensor): ends for tensor, ends in header.spans.items()}
        return Calibration(plan, ranges, constants, factors, header.note, costs, spans)

    def _constants(self) -> Iterator[tuple[int, Array]]:
        for name, values in self.tensors.items():
            if name.endswith(_STEPS):
                tensor = name.removesuffix(_STEPS)
                step = self.tensors[tensor + _GREATEST].astype(np.float64) / LEVELS
                yield int(tensor), (values * step).astype(np.float32)
            elif not name.endswith((_GREATEST, _FACTORS)):
                yield int(name), values


def of(content: bytes, calibration: Calibration, origin: Origin) -> Record:
    """The record of a calibration.

    Args:
        content: The float file that was calibrated.
        calibration: Its calibration.
        origin: What was calibrated, and with what.
    """
    header = _Header(
        origin=origin,
        graph_sha256=structure_hash(Graph.parse(content)),
        body=tuple(sorted(calibration.plan.body)),
        stored=tuple(sorted(calibration.plan.stored)),
        ranges={str(tensor): ends for tensor, ends in sorted(calibration.ranges.items())},
        factors=tuple(_Place(each.tensor, each.place) for each in calibration.factors),
        note=calibration.note,
        costs={str(index): share for index, share in sorted(calibration.costs.items())},
        spans={str(tensor): ends for tensor, ends in sorted(calibration.spans.items())},
    )
    return Record("the calibration", header, dict(_tensors(content, calibration)))


def write(path: Path, record: Record) -> None:
    """Writes a calibration file, atomically.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    from safetensors.numpy import save

    with atomic_path(path) as temporary:
        metadata = {_KEY: canonical_json(unstructure(record.header))}
        temporary.write_bytes(save(dict(record.tensors), metadata))


def read(path: Path) -> Record:
    """Reads a calibration file.

    Raises:
        UsageError: It is missing, is not a calibration file, or contains NaN or Inf.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(
            f"no such folder or calibration file: {path}",
            fix="name a folder of face chips, or a file of agecompact calibrate",
        )
    try:
        with safe_open(path, framework="np") as stream:
            metadata = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        raise unreadable(path, error, wanted="pytorch") from None
    if _KEY not in metadata:
        raise UsageError(
            f"{path} is not a calibration file", why=f"its metadata has no '{_KEY}'", fix=AGAIN
        )
    header = parse_json(metadata[_KEY], _Header, where=f"the header of {path}", fix=AGAIN)
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise UsageError(f"{path} is damaged", why=f"'{name}' has NaN or Inf", fix=AGAIN)
    return Record(str(path), header, tensors)


def _tensors(content: bytes, calibration: Calibration) -> Iterator[tuple[str, Array]]:
    graph = applied(content, calibration)
    rows = {op.inputs[1]: row_axis(op) for op in rounded_ops(graph, calibration.plan)}
    for tensor, values in calibration.constants.items():
        if tensor not in rows:
            yield str(tensor), values
            continue
        others = tuple(axis for axis in range(values.ndim) if axis != rows[tensor] % values.ndim)
        greatest = np.abs(values).max(axis=others, keepdims=True)
        step = np.maximum(greatest.astype(np.float64), _TINY) / LEVELS
        yield f"{tensor}{_STEPS}", np.round(values / step).astype(np.int8)
        yield f"{tensor}{_GREATEST}", greatest
    for each in calibration.factors:
        yield f"{each.tensor}{_FACTORS}", each.values


def structure_hash(graph: Graph) -> str:
    """Hash of a graph's ops, their wiring and shapes, without its weights and metadata."""
    found = hashlib.sha256()
    for op in graph.ops:
        options = sorted(vars(op.options).items()) if op.options is not None else []
        shapes = [graph.shape(tensor) for tensor in (*op.inputs, op.output) if tensor >= 0]
        found.update(repr((op.kind, op.inputs, op.output, _plain(options), shapes)).encode())
    return found.hexdigest()


def _plain(options: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(k, v.tolist() if hasattr(v, "tolist") else v) for k, v in options]
