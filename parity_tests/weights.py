"""Holds the weights inside a Core ML package to those it was made from, exactly.

An output's error drowns a flipped bit of one weight, and compression drowns the output's error. So
the weights are compared themselves. Plain ones must be, bit by bit, what the converter was given:
the network's parameters with batch norms folded, in a float16 package rounded once. Against another
package of the network, float16 holds its weights rounded once; int8 the nearest of its 256 steps; a
palette's index the nearest entry; a pruned tensor all but the smallest of them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from agecompact.runtimes.base import Array
from agecompact.runtimes.mil import ActivationRef, ConstantRef, ConstantValue, Graph, read_graph

FaultKind = Literal["given", "graph", "form", "type", "value", "step", "palette", "pruning"]

_Floats = npt.NDArray[np.float64]
# A network's parameters by name.
Named = Mapping[str, npt.NDArray[np.float32]]

# How many roundings to the stored type lie between the choice of a step and its value: of the scale
# and of the product.
_ROUNDINGS = 2.0
# The same for a palette: coremltools chooses entries in the stored type, (w - min) / span *
# entries, and rounds the palette itself after that.
_PALETTE_ROUNDINGS = 4.0
# Ops whose second operand is the network's own; scalars and indices of the others are the code's.
_WEIGHTED = frozenset({"conv", "linear", "matmul"})
# What the converter adds to a bias it was given: the 3 of hard-sigmoid, relu6(x + 3) / 6.
_MERGED = np.float32(3.0)


@dataclass(frozen=True)
class WeightFault:
    """Something that a package does not have of the one it is held to.

    Attributes:
        kind: `given` (not what the converter was given, or not all of it), `graph` (another op,
            link or shape), `form` (a compression that cannot be checked),
            `type` (another element type or shape), `value` (not the rounded weight), `step` (not
            within half a quantisation step), `palette` (not the nearest entry) or `pruning` (a kept
            weight smaller than a dropped one).
        op: Name of the op, as the candidate calls it; empty for the graph as a whole.
        parameter: Of that op; empty where none is at fault.
        reason: In words.
        elements: How many elements are wrong.
    """

    kind: FaultKind
    op: str
    parameter: str
    reason: str
    elements: int = 0


def compare_given(candidate: Path, given: Named) -> tuple[WeightFault, ...]:
    """What a package's weights do not have of those that the converter was given.

    Compared by hash, in both directions: each weight and bias of a convolution or a product must be
    one of the network's parameters, and each of these must be there.

    Args:
        candidate: An `.mlpackage` in float32 or float16, not compressed.
        given: The network's parameters by name, float32, batch norms folded.

    Raises:
        UsageError: The package is broken, or holds what the reference runtime does not read.
        BackendMissingError: coremltools is not installed.
    """
    # Several, where tensors are alike: biases of zero.
    names: defaultdict[bytes, set[str]] = defaultdict(set)
    for name, tensor in given.items():
        for form in (tensor, tensor + _MERGED):
            # Too great for float16 is infinity on both sides.
            with np.errstate(over="ignore"):
                for stored_as in (form, form.astype(np.float16)):
                    names[_hash(stored_as)].add(name)
    found: set[str] = set()
    faults = []
    for node in read_graph(candidate).nodes:
        for parameter, sources in node.reads.items():
            for stored in sources:
                if not isinstance(stored, ConstantRef) or stored.value.type.dtype.kind != "float":
                    continue
                value = stored.value.array
                known = names.get(_hash(value), set())
                found |= known
                if not known and node.kind in _WEIGHTED:
                    reason = f"its {value.size} values are none that the converter was given"
                    faults.append(WeightFault("given", node.name, parameter, reason, value.size))
    lost = (
        WeightFault("given", "", "", f"{name} is not in it", tensor.size)
        for name, tensor in given.items()
        if name not in found
    )
    return (*faults, *lost)


def _hash(values: Array) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()


def compare_weights(candidate: Path, reference: Path) -> tuple[WeightFault, ...]:
    """What a package's graph and weights do not have of another's; nothing where all is well.

    Args:
        candidate: An `.mlpackage` in float16, quantised, palettised or pruned, or in float32.
        reference: The package of the same network whose constants are plain: the float32 one, or
            that which the candidate was compressed from.

    Raises:
        UsageError: A package is broken, or holds what the reference runtime does not read.
        BackendMissingError: coremltools is not installed.
    """
    mine, theirs = read_graph(candidate), read_graph(reference)
    if fault := _graph_fault(mine, theirs):
        return (fault,)
    return tuple(_faults(mine, theirs))


def _graph_fault(mine: Graph, theirs: Graph) -> WeightFault | None:
    """The first difference of two graphs that leaves their constants without partners."""
    if (mine.inputs, tuple(mine.outputs)) != (theirs.inputs, tuple(theirs.outputs)):
        return WeightFault("graph", "", "", f"it takes {mine.inputs}, gives {list(mine.outputs)}")
    if len(mine.nodes) != len(theirs.nodes):
        return WeightFault("graph", "", "", f"{len(mine.nodes)} ops, not {len(theirs.nodes)}")
    for own, other in zip(mine.nodes, theirs.nodes, strict=True):
        if (own.kind, own.shapes, own.reads.keys()) != (
            other.kind,
            other.shapes,
            other.reads.keys(),
        ):
            told = f"{own.kind}{own.shapes}, not {other.kind}{other.shapes}"
            return WeightFault("graph", own.name, "", told)
        for parameter, sources in own.reads.items():
            if [_link(s) for s in sources] != [_link(s) for s in other.reads[parameter]]:
                return WeightFault("graph", own.name, parameter, "it reads from elsewhere")
    for name, given in mine.outputs.items():
        if _link(given) != _link(theirs.outputs[name]):
            return WeightFault("graph", "", name, "the output is another op's")
    return None


def _link(source: ActivationRef | ConstantRef) -> ActivationRef | None:
    """Where a value comes from; every constant counts the same."""
    return source if isinstance(source, ActivationRef) else None


def _faults(mine: Graph, theirs: Graph) -> Iterator[WeightFault]:
    for own, other in zip(mine.nodes, theirs.nodes, strict=True):
        for parameter, sources in own.reads.items():
            for source, wanted in zip(sources, other.reads[parameter], strict=True):
                if isinstance(source, ConstantRef) and isinstance(wanted, ConstantRef):
                    for kind, reason, elements in _constant_faults(source, wanted.value):
                        yield WeightFault(kind, own.name, parameter, reason, elements)


_Finding = tuple[FaultKind, str, int]


def _constant_faults(stored: ConstantRef, wanted: ConstantValue) -> Iterator[_Finding]:
    value = stored.value
    if isinstance(value.value, str) or isinstance(wanted.value, str):
        if value.value != wanted.value:
            yield "value", f"'{value.value}', not '{wanted.value}'", 1
        return
    kinds = (value.type.dtype.kind, wanted.type.dtype.kind)
    if kinds[0] != kinds[1] or value.type.shape != wanted.type.shape:
        yield "type", f"{value.type}, not {wanted.type}", value.type.elements
        return
    # Too great for float16 is infinity on both sides.
    with np.errstate(over="ignore"):
        cast = wanted.value.astype(value.type.dtype.numpy)
    yield from _CHECKS.get(stored.compression, _unknown)(stored, cast)


def _unknown(stored: ConstantRef, wanted: Array) -> Iterator[_Finding]:
    yield "form", f"no check of {stored.compression}", wanted.size


def _plain(stored: ConstantRef, wanted: Array) -> Iterator[_Finding]:
    value = stored.value.array
    # Bit by bit: a negative zero, or another NaN, is another weight.
    wrong = (
        np.ascontiguousarray(value).view(np.uint8) != np.ascontiguousarray(wanted).view(np.uint8)
        if value.ndim
        else np.array(value.tobytes() != wanted.tobytes())
    )
    if wrong.any():
        width = value.dtype.itemsize
        count = int(wrong.reshape(-1, width).any(axis=1).sum()) if value.ndim else 1
        difference = np.abs(value.astype(np.float64) - wanted.astype(np.float64)).max()
        reason = f"{count} of {value.size} are not the rounded weight, by up to {difference:.3g}"
        yield "value", reason, count


def _slack(value: Array) -> float:
    """The relative error of one rounding to the stored type."""
    return float(np.finfo(value.dtype.name).eps) if value.dtype.kind == "f" else 0.0


def _nearness(stored: ConstantRef, wanted: Array, step: _Floats) -> Iterator[_Finding]:
    """That no weight is further than half a step from its quantised one."""
    dense = stored.value.array
    off = np.abs(dense.astype(np.float64) - wanted.astype(np.float64))
    bound = step / 2 + _ROUNDINGS * _slack(dense) * (np.abs(dense.astype(np.float64)) + step)
    wrong = ~(off <= bound)
    if wrong.any():
        worst = float((off / np.where(step > 0, step, 1)).max())
        yield (
            "step",
            f"{int(wrong.sum())} of {off.size} are up to {worst:.3g} steps off",
            int(wrong.sum()),
        )


def _affine(stored: ConstantRef, wanted: Array) -> Iterator[_Finding]:
    parts = stored.parts or {}
    scale = parts["scale"].array.astype(np.float64)
    shape = [1] * wanted.ndim
    if scale.ndim:
        shape[int(parts["axis"].array)] = -1
    yield from _nearness(stored, wanted, np.broadcast_to(scale.reshape(shape), wanted.shape))


def _blockwise(stored: ConstantRef, wanted: Array) -> Iterator[_Finding]:
    scale: Any = (stored.parts or {})["scale"].array.astype(np.float64)
    for axis, size in enumerate(wanted.shape):
        scale = np.repeat(scale, size // scale.shape[axis], axis)
    yield from _nearness(stored, wanted, scale)


def _palette(stored: ConstantRef, wanted: Array) -> Iterator[_Finding]:
    lut = (stored.parts or {})["lut"].array.astype(np.float64)
    if lut.ndim == 1:
        # One palette, as iOS 16 has it, is a block as great as the tensor.
        lut = lut.reshape([1] * wanted.ndim + [-1, 1])
    if lut.shape[-1] != 1:
        yield "form", "no check of palettes of vectors", wanted.size
        return
    dense = stored.value.array.astype(np.float64)
    weights = wanted.astype(np.float64)
    count = 0
    blocks = [n // lut.shape[axis] for axis, n in enumerate(wanted.shape)]
    for place in np.ndindex(*lut.shape[:-2]):
        part = tuple(
            slice(i * block, (i + 1) * block) for i, block in zip(place, blocks, strict=True)
        )
        entries = np.sort(lut[place].reshape(-1))
        # Between two entries the middle decides.
        nearest = entries[np.searchsorted((entries[1:] + entries[:-1]) / 2, weights[part])]
        own, best = np.abs(dense[part] - weights[part]), np.abs(nearest - weights[part])
        slack = _PALETTE_ROUNDINGS * _slack(stored.value.array) * np.abs(entries).max()
        count += int((~(own <= best + slack)).sum())
    if count:
        yield "palette", f"{count} of {wanted.size} are not at the nearest entry", count


def _sparse(stored: ConstantRef, wanted: Array) -> Iterator[_Finding]:
    parts = stored.parts or {}
    bits = parts["mask"].array
    if "shape" in parts:
        bits = np.unpackbits(bits.astype(np.uint8), bitorder="little")[: wanted.size].reshape(
            wanted.shape
        )
    kept = bits != 0
    wrong = kept & (stored.value.array != wanted)
    if wrong.any():
        count = int(wrong.sum())
        yield "value", f"{count} of {int(kept.sum())} kept weights are not the rounded ones", count
    dropped = np.abs(wanted[~kept].astype(np.float64))
    least = np.abs(wanted[kept].astype(np.float64)).min(initial=np.inf)
    too_great = int((dropped > least).sum())
    if too_great:
        yield "pruning", f"{too_great} dropped weights are greater than one that is kept", too_great


_CHECKS = {
    "": _plain,
    "affine_dequantize": _affine,
    "blockwise_shift_scale": _blockwise,
    "lut_to_dense": _palette,
    "sparse_to_dense": _sparse,
    "cast": _plain,
}
