"""Hypotheses about single ops: one is missing, or computes another function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

import numpy as np

from agecompact.runtimes.base import Array
from parity_tests.localisation.context import Diagnosis, FaultContext, Hypothesis, ReferenceOp
from parity_tests.localisation.functions import FUNCTIONS
from parity_tests.localisation.opkinds import (
    ACTIVATIONS,
    AFFINE,
    ARITHMETIC,
    NORM,
    POOL,
    REDUCE,
    SOFTMAX,
    VIEW,
)
from parity_tests.localisation.recompute import Values

_OPERATIONS: Mapping[str, Callable[[Values, Values], Values]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}
_REDUCTIONS: Mapping[str, Callable[..., Values]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "product": np.prod,
    "root of the sum of squares": lambda v, **k: np.sqrt(np.square(v).sum(**k)),
}
# How close a reduction must be to be the reference's own.
_SAME = 1e-4


def missing(context: FaultContext) -> Iterator[Hypothesis]:
    """An op is missing: what it reads is passed on."""
    if context.replay is None:
        before = context.before()
        if before is not None and context.kind not in (AFFINE, NORM, VIEW):
            yield _missing(context.chain[-1], before)
        return
    for op in context.chain:
        if op.kind in (AFFINE, NORM, VIEW):
            continue
        for values in op.reads.values():
            if values.shape == op.values.shape:
                yield _missing(op, context.replay({op.tensor: values}))


def _missing(op: ReferenceOp, made: Values) -> Hypothesis:
    names = {SOFTMAX: "softmax removed", **dict.fromkeys(ACTIVATIONS, "activation removed")}
    return Hypothesis(names.get(op.kind, "op missing"), f"{op.op} is missing", made, op.scope)


def activation(context: FaultContext) -> Iterator[Hypothesis]:
    """An activation is replaced by another."""
    if context.kind not in ACTIVATIONS or (before := context.before()) is None:
        return
    right = context.chain[-1].op
    for name, function in FUNCTIONS.items():
        if name != context.kind:
            evidence = f"the values are those of {name}, not {right}"
            yield Hypothesis("activation replaced", evidence, function(before))


def activation_before_pool(context: FaultContext) -> Iterator[Hypothesis]:
    """An activation before a pool is replaced by another; a file may have it after the pool."""
    if context.kind != POOL or context.replay is None:
        return
    for op in context.chain:
        if op.kind not in ACTIVATIONS or len(op.reads) != 1:
            continue
        (before,) = op.reads.values()
        for name, function in FUNCTIONS.items():
            if name != op.kind:
                evidence = f"the values are those of {name}, not {op.op}"
                made = context.replay({op.tensor: function(before)})
                yield Hypothesis("activation replaced", evidence, made, op.scope)


def slope(context: FaultContext) -> Iterator[Hypothesis]:
    """A relu has a slope below zero."""
    before, got = context.before(), context.candidate
    if context.kind != "relu" or before is None or got is None or got.shape != before.shape:
        return
    below = before < 0
    if not below.any():
        return
    found = float((got * before)[below].sum() / np.square(before[below]).sum())
    evidence = f"below zero the values are multiplied by {found:.4g}, not 0"
    made = np.where(below, found * before, before)
    yield Hypothesis("activation replaced", evidence, made, fitted=1)


def softmax(context: FaultContext) -> Iterator[Hypothesis]:
    """A softmax is over another axis, of scaled values, or another function."""
    before = context.before()
    if context.kind != SOFTMAX or before is None:
        return
    for axis in range(1, before.ndim):
        made = _softmax(before, axis)
        evidence = f"it is over axis {axis - 1} of {made.shape[1:]}"
        yield Hypothesis("softmax axis", evidence, made)
    for name in ("sigmoid", "exp"):
        evidence = f"the values are those of {name}"
        yield Hypothesis("softmax replaced", evidence, FUNCTIONS[name](before))
    evidence = "the values are its logarithms"
    yield Hypothesis("softmax replaced", evidence, np.log(context.reference))
    got = context.candidate
    if got is not None and got.shape == before.shape and got.min() > 0:
        mine, theirs = (
            np.log(v) - np.log(v).mean(-1, keepdims=True) for v in (context.reference, got)
        )
        factor = float((mine * theirs).sum() / max(np.square(mine).sum(), 1e-300))
        evidence = f"as if its input were multiplied by {factor:.4g}"
        made = _softmax(factor * before, before.ndim - 1)
        yield Hypothesis("softmax of scaled values", evidence, made, fitted=1)


def _softmax(values: Values, axis: int) -> Values:
    powers = np.exp(values - values.max(axis, keepdims=True))
    made: Values = powers / powers.sum(axis, keepdims=True)
    return made


def arithmetic(context: FaultContext) -> Iterator[Hypothesis]:
    """An addition, say, is a multiplication, or has its operands swapped."""
    if context.kind not in ARITHMETIC or len(context.chain) > 1 or len(context.inputs) != 2:
        return
    right = context.chain[-1].op
    one, other = context.inputs.values()
    for name, operation in _OPERATIONS.items():
        made, swapped = _computed(operation, one, other), _computed(operation, other, one)
        if made is not None and name != context.kind:
            evidence = f"the values are those of {name}, not {right}"
            yield Hypothesis("op replaced", evidence, made)
        if swapped is not None and name in ("sub", "div"):
            cause = "operands swapped" if name == context.kind else "op replaced"
            evidence = f"the values are those of {name} with its operands swapped"
            yield Hypothesis(cause, evidence, swapped)


def other_constant(context: FaultContext) -> Diagnosis | None:
    """The op is right and has another constant, which gives its output."""
    values = context.input
    if context.kind not in ARITHMETIC or len(context.chain) > 1 or values is None:
        return None
    for held in context.constants:
        for operands in ((values, held), (held, values)):
            made = _computed(_OPERATIONS[context.kind], *operands)
            if made is not None and context.explains(made):
                evidence = f"it is {_text(held)}, not {_constant_of(context, values)}"
                return Diagnosis("constant differs", evidence)
    return None


def another_op(context: FaultContext) -> Iterator[Hypothesis]:
    """The op has a constant, and is another op."""
    values, right = context.input, context.chain[-1].op
    if context.kind not in ARITHMETIC or len(context.chain) > 1 or values is None:
        return
    for held in context.constants:
        for name, operation in _OPERATIONS.items():
            for operands in ((values, held), (held, values)):
                made = _computed(operation, *operands)
                if made is not None and name != context.kind:
                    evidence = f"the values are those of {name} with {_text(held)}, not {right}"
                    yield Hypothesis("op replaced", evidence, made)


def _computed(
    operation: Callable[[Values, Values], Values], one: Array, other: Array
) -> Values | None:
    try:
        return operation(np.asarray(one, np.float64), np.asarray(other, np.float64))
    except ValueError:
        return None


def _constant_of(context: FaultContext, values: Values) -> str:
    """The reference's constant, from its values."""
    right = context.reference
    shape = np.broadcast_shapes(values.shape, right.shape)
    values = np.broadcast_to(values, shape)
    axes = (0, 1)
    if context.kind in ("mul", "div"):
        found = (right * values).sum(axes) / np.square(values).sum(axes)
        return _text(1 / found if context.kind == "div" else found)
    found = (right - values).mean(axes)
    return _text(-found if context.kind == "sub" else found)


def _text(constant: Array) -> str:
    values = np.unique(np.round(np.asarray(constant, np.float64).ravel(), 6))
    return ", ".join(f"{v:.6g}" for v in values[:4]) + (", ..." if len(values) > 4 else "")


def reduction(context: FaultContext) -> Iterator[Hypothesis]:
    """A mean, say, is a sum, or over other axes."""
    values, right = context.last_input, context.reference
    if context.kind != REDUCE or values is None:
        return
    for axes in _axes(values, right):
        same = [
            name
            for name, function in _REDUCTIONS.items()
            if np.allclose(
                _reduced(function, values, axes, right),
                right,
                rtol=_SAME,
                atol=_SAME * np.abs(right).max(),
            )
        ]
        if not same:
            continue
        for name, function in _REDUCTIONS.items():
            evidence = f"the values are those of the {name}, not the {same[0]}"
            yield Hypothesis(
                "reduction replaced", evidence, _reduced(function, values, axes, right)
            )


def _reduced(
    function: Callable[..., Values], values: Values, axes: tuple[int, ...], like: Values
) -> Values:
    return function(values, axis=axes).reshape(like.shape)


def _axes(values: Values, right: Values) -> Iterator[tuple[int, ...]]:
    """Axes whose reduction gives a tensor of as many values."""
    for count in range(1, values.ndim - 1):
        for axes in combinations(range(2, values.ndim), count):
            if values.size == right.size * int(np.prod([values.shape[a] for a in axes])):
                yield axes


TESTS = (
    missing,
    activation,
    activation_before_pool,
    slope,
    softmax,
    arithmetic,
    another_op,
    reduction,
)
