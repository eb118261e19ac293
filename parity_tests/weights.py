"""Compares the weights inside a Core ML package, exactly, with those it was made from.

The error of an output hides a flipped bit of one weight, and compression hides both. So the weights
themselves are compared with what the converter was given, the network's parameters with batch norms
folded, and with another package of the network. Plain ones must be equal, bit for bit, rounded once
in a float16 package; int8 holds the nearest of its 256 steps; a palette index names the nearest
entry; pruning drops only the smallest weights.
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
from safetensors.numpy import load_file

from agecompact.runtimes.base import Array
from agecompact.runtimes.mil import ActivationRef, ConstantRef, ConstantValue, Graph, read_graph
from agecompact.serialization import unstructure

# The format whose weights can be compared.
WEIGHTS_FORMAT = "coreml"

FaultKind = Literal["given", "graph", "form", "type", "value", "step", "palette", "pruning"]

_Floats = npt.NDArray[np.float64]
_Difference = tuple[FaultKind, str, int]
# A network's parameters by name.
Parameters = Mapping[str, npt.NDArray[np.float32]]

_INPUTS = "the converter's inputs"

# Roundings to the stored type between the choice of a step and its value: of the scale and of the
# product.
_ROUNDINGS = 2.0
# The same for a palette: coremltools chooses entries in the stored type, (w - min) / span *
# entries, and rounds the palette itself after that.
_PALETTE_ROUNDINGS = 4.0
# Ops whose second operand is a parameter of the network. The constants of other ops, scalars and
# indices, come from the converter.
_WEIGHTED = frozenset({"conv", "linear", "matmul"})
# What the converter adds to a bias it was given: the 3 of hard-sigmoid, relu6(x + 3) / 6.
_MERGED = np.float32(3.0)
# What coremltools stores in float16 for a number that would round to 0, with its sign: the least
# one above 0. Larger tensors it leaves.
_LEAST = np.float16(2**-24)
_MOST_KEPT_FROM_ZERO = 400


@dataclass(frozen=True)
class WeightFault:
    """A difference between a package and what it is compared with.

    Attributes:
        kind: `given` (a weight that the converter was not given, or one that is missing), `graph`
            (another op, connection or shape), `form` (a compression that cannot be checked),
            `type` (another element type or shape), `value` (not the rounded weight), `step` (not
            within half a quantisation step), `palette` (not the nearest entry) or `pruning` (a
            dropped weight greater than a kept one).
        op: Name of the op in the candidate; empty for the graph as a whole.
        parameter: The op's parameter; empty if none is at fault.
        reason: The difference in words.
        elements: How many elements are wrong.
    """

    kind: FaultKind
    op: str
    parameter: str
    reason: str
    elements: int = 0


@dataclass(frozen=True)
class Given:
    """A network's parameters as the converter of Core ML got them.

    Attributes:
        names: By hash, names of the parameters with it, in one of the forms in which a package may
            hold them. Several names where tensors are equal, such as biases of zero.
        values: By name.
    """

    names: Mapping[str, tuple[str, ...]]
    values: Parameters

    @classmethod
    def of(cls, parameters: Parameters) -> Given:
        """Prepares parameters."""
        names: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for name, tensor in parameters.items():
            for form in (tensor, tensor + _MERGED):
                half = _halved(form)
                for stored_as in (form, half, _kept_from_zero(half, form)):
                    names[_hash(stored_as)][name] = None
        return cls({value: tuple(known) for value, known in names.items()}, parameters)


def faults_of(candidate: str, given: str, full: str | None) -> Any:
    """Compares a package with its converter's input, then with another package, as JSON values.

    For a process of its own, since reading a package may crash or hang it.

    Args:
        candidate: Path of the package.
        given: Path of the network's parameters, as safetensors.
        full: Path of the full-precision package; None skips that comparison, and so does a fault.

    Returns:
        The JSON values of `WeightFault`s.
    """
    faults = compare_given(Path(candidate), Given.of(load_file(given)))
    if full is not None and not faults:
        faults = compare_weights(Path(candidate), Path(full))
    return unstructure(faults)


def compare_given(candidate: Path, given: Given) -> tuple[WeightFault, ...]:
    """Compares a package's weights with the parameters that the converter was given.

    It goes in both directions: each weight and bias of a convolution or a product must be one of
    the network's parameters, and each parameter must be in the package. Plain ones are compared by
    hash. A compressed one is one of those of its size, if every value is the nearest on its grid.

    Args:
        candidate: An `.mlpackage`.
        given: The network's parameters, float32, batch norms folded.

    Raises:
        UsageError: The package is broken, or contains what the reference runtime does not support.
        BackendMissingError: coremltools is not installed.
    """
    found: set[str] = set()
    faults = []
    for node in read_graph(candidate).nodes:
        for parameter, sources in node.reads.items():
            for constant in sources:
                if (
                    not isinstance(constant, ConstantRef)
                    or constant.value.type.dtype.kind != "float"
                ):
                    continue
                if constant.compression:
                    known, difference = _compressed_from(constant, given.values)
                else:
                    size = constant.value.array.size
                    known = given.names.get(_hash(constant.value.array), ())
                    difference = "given", f"its {size} values are not among {_INPUTS}", size
                found.update(known)
                if not known and node.kind in _WEIGHTED:
                    kind, reason, elements = difference
                    faults.append(WeightFault(kind, node.name, parameter, reason, elements))
    missing = (
        WeightFault("given", "", "", f"{name} is missing", value.size)
        for name, value in given.values.items()
        if name not in found
    )
    return (*faults, *missing)


def _compressed_from(stored: ConstantRef, given: Parameters) -> tuple[tuple[str, ...], _Difference]:
    """The parameters that a constant was compressed from, and how it differs from the nearest."""
    value = stored.value.array
    known = []
    nearest: _Difference = "given", f"no parameter among {_INPUTS} has its size", value.size
    least = np.inf
    for name, parameter in given.items():
        if parameter.size != value.size:
            continue
        wanted = parameter.reshape(value.shape).astype(value.dtype)
        difference = next(iter(_CHECKS.get(stored.compression, _unknown)(stored, wanted)), None)
        if difference is None:
            known.append(name)
        elif (
            off := float(np.abs(value.astype(np.float64) - parameter.reshape(value.shape)).mean())
        ) < least:
            least, nearest = off, difference
    return tuple(known), nearest


def _halved(values: Array) -> Array:
    # Values too great for float16 become infinite on both sides.
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def _kept_from_zero(half: Array, values: Array) -> Array:
    """Rounded values as coremltools stores them, so that an epsilon does not become 0."""
    if half.dtype != np.float16 or half.size >= _MOST_KEPT_FROM_ZERO:
        return half
    return np.where((half == 0) & (values != 0), np.copysign(_LEAST, half), half)


def _hash(values: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def compare_weights(candidate: Path, reference: Path) -> tuple[WeightFault, ...]:
    """Compares a package's graph and weights with another's.

    Args:
        candidate: An `.mlpackage` in float16, quantised, palettised or pruned, or in float32.
        reference: The package of the same network whose constants are plain: the float32 one, or
            the one that the candidate was compressed from.

    Returns:
        The differences; empty if there are none.

    Raises:
        UsageError: A package is broken, or contains what the reference runtime does not support.
        BackendMissingError: coremltools is not installed.
    """
    mine, theirs = read_graph(candidate), read_graph(reference)
    if fault := _graph_fault(mine, theirs):
        return (fault,)
    return tuple(_constant_faults(mine, theirs))


def _graph_fault(mine: Graph, theirs: Graph) -> WeightFault | None:
    """The first difference that keeps the graphs' constants from being paired."""
    if (mine.inputs, tuple(mine.outputs)) != (theirs.inputs, tuple(theirs.outputs)):
        reason = f"its inputs are {mine.inputs}, its outputs {tuple(mine.outputs)}"
        return WeightFault("graph", "", "", reason)
    if len(mine.nodes) != len(theirs.nodes):
        return WeightFault("graph", "", "", f"{len(mine.nodes)} ops, not {len(theirs.nodes)}")
    for own, other in zip(mine.nodes, theirs.nodes, strict=True):
        if (own.kind, own.shapes) != (other.kind, other.shapes) or own.reads.keys() != (
            other.reads.keys()
        ):
            reason = f"{own.kind}{own.shapes}, not {other.kind}{other.shapes}"
            return WeightFault("graph", own.name, "", reason)
        for parameter, sources in own.reads.items():
            if [_producer(s) for s in sources] != [_producer(s) for s in other.reads[parameter]]:
                return WeightFault("graph", own.name, parameter, "it reads another op's output")
    for name, source in mine.outputs.items():
        if _producer(source) != _producer(theirs.outputs[name]):
            return WeightFault("graph", "", name, "the output comes from another op")
    return None


def _producer(source: ActivationRef | ConstantRef) -> ActivationRef | None:
    """The op that a value comes from; None for any constant."""
    return source if isinstance(source, ActivationRef) else None


def _constant_faults(mine: Graph, theirs: Graph) -> Iterator[WeightFault]:
    for own, other in zip(mine.nodes, theirs.nodes, strict=True):
        for parameter, sources in own.reads.items():
            for source, wanted in zip(sources, other.reads[parameter], strict=True):
                if isinstance(source, ConstantRef) and isinstance(wanted, ConstantRef):
                    for kind, reason, elements in _differences(source, wanted.value):
                        yield WeightFault(kind, own.name, parameter, reason, elements)


def _differences(stored: ConstantRef, wanted: ConstantValue) -> Iterator[_Difference]:
    value = stored.value
    if isinstance(value.value, str) or isinstance(wanted.value, str):
        if value.value != wanted.value:
            yield "value", f"'{value.value}', not '{wanted.value}'", 1
        return
    kinds = (value.type.dtype.kind, wanted.type.dtype.kind)
    if kinds[0] != kinds[1] or value.type.shape != wanted.type.shape:
        yield "type", f"{value.type}, not {wanted.type}", value.type.elements
        return
    with np.errstate(over="ignore"):
        cast = wanted.value.astype(value.type.dtype.numpy)
    if not stored.compression:
        kept = _kept_from_zero(cast, wanted.array)
        cast = np.where(value.array == kept, kept, cast)
    yield from _CHECKS.get(stored.compression, _unknown)(stored, cast)


def _unknown(stored: ConstantRef, wanted: Array) -> Iterator[_Difference]:
    yield "form", f"{stored.compression} cannot be checked", wanted.size


def _plain(stored: ConstantRef, wanted: Array) -> Iterator[_Difference]:
    value = stored.value.array
    width = value.dtype.itemsize
    # Bit for bit: a negative zero, or another NaN, is another weight.
    bits = (
        np.frombuffer(array.tobytes(), np.uint8).reshape(-1, width) for array in (value, wanted)
    )
    count = int(np.not_equal(*bits).any(axis=1).sum())
    if count:
        difference = np.abs(value.astype(np.float64) - wanted.astype(np.float64)).max()
        reason = f"{count} of {value.size} are not the rounded weight, by up to {difference:.3g}"
        yield "value", reason, count


def _epsilon(value: Array) -> float:
    """The relative error of one rounding to the stored type."""
    return float(np.finfo(value.dtype.name).eps) if value.dtype.kind == "f" else 0.0


def _epsilons(value: Array, step: _Floats) -> _Floats:
    """The same for each step: small ones lie between the least numbers of the stored type."""
    if value.dtype.kind != "f":
        return np.zeros_like(step)
    least = float(np.finfo(value.dtype.name).smallest_subnormal)
    return np.maximum(_epsilon(value), least / np.where(step > 0, step, np.inf))


def _off_step(stored: ConstantRef, wanted: Array, step: _Floats) -> Iterator[_Difference]:
    """Weights further than half a step from their quantised value."""
    dense = stored.value.array.astype(np.float64)
    off = np.abs(dense - wanted.astype(np.float64))
    slack = _ROUNDINGS * _epsilons(stored.value.array, step) * (np.abs(dense) + step)
    count = int((~(off <= step / 2 + slack)).sum())
    if count:
        worst = float((off / np.where(step > 0, step, 1)).max())
        yield "step", f"{count} of {off.size} are up to {worst:.3g} steps off", count


def _affine(stored: ConstantRef, wanted: Array) -> Iterator[_Difference]:
    parts = stored.parts or {}
    scale = parts["scale"].array.astype(np.float64)
    shape = [1] * wanted.ndim
    if scale.ndim:
        shape[int(parts["axis"].array)] = -1
    yield from _off_step(stored, wanted, np.broadcast_to(scale.reshape(shape), wanted.shape))


def _blockwise(stored: ConstantRef, wanted: Array) -> Iterator[_Difference]:
    scale: Any = (stored.parts or {})["scale"].array.astype(np.float64)
    for axis, size in enumerate(wanted.shape):
        scale = np.repeat(scale, size // scale.shape[axis], axis)
    yield from _off_step(stored, wanted, scale)


def _palette(stored: ConstantRef, wanted: Array) -> Iterator[_Difference]:
    lut = (stored.parts or {})["lut"].array.astype(np.float64)
    if lut.ndim == 1:
        # iOS 16 has one palette: a block as large as the tensor.
        lut = lut.reshape([1] * wanted.ndim + [-1, 1])
    if lut.shape[-1] != 1:
        yield "form", "palettes of vectors cannot be checked", wanted.size
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
        # The boundary between two entries is their mean.
        nearest = entries[np.searchsorted((entries[1:] + entries[:-1]) / 2, weights[part])]
        own, best = np.abs(dense[part] - weights[part]), np.abs(nearest - weights[part])
        slack = _PALETTE_ROUNDINGS * _epsilon(stored.value.array) * np.abs(entries).max()
        count += int((~(own <= best + slack)).sum())
    if count:
        yield "palette", f"{count} of {wanted.size} are not at the nearest entry", count


def _sparse(stored: ConstantRef, wanted: Array) -> Iterator[_Difference]:
    parts = stored.parts or {}
    bits = parts["mask"].array
    if "shape" in parts:
        bits = np.unpackbits(bits.astype(np.uint8), bitorder="little")[: wanted.size].reshape(
            wanted.shape
        )
    kept = bits != 0
    count = int((kept & (stored.value.array != wanted)).sum())
    if count:
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
