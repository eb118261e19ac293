"""Finds the op that is broken in a file that is calibrated, and what each op costs.

Calibration gives a file other weights and activations than the network's: channels are equalised,
layers solved anew, each so that it makes up for the errors before it. So no tensor need be near
PyTorch's. What counts is the answer. The float network is turned into the file, tensor by tensor in
the order of execution: it runs with the file's tensors up to an op, and the op costs what the
answers move when its own tensor is put in as well. All these moves add up to the file's error.

An op is broken if it costs far more than it must in int8 (`_Walk._in_int8`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from agecompact.runtimes.base import Array, Trace
from parity_tests.localisation.alignment import Pair
from parity_tests.localisation.answers import Answer
from parity_tests.localisation.comparison import Comparison, Known, Replay
from parity_tests.localisation.context import Diagnosis
from parity_tests.localisation.diagnose import diagnose
from parity_tests.localisation.equalised import Equalised, factors
from parity_tests.localisation.graph import Graph, rms
from parity_tests.localisation.opkinds import INPUT
from parity_tests.localisation.recompute import Values, along, per_channel
from parity_tests.localisation.report import (
    Cost,
    Localisation,
    TensorComparison,
    origin_of,
    summary_of,
)

# An op is broken if it costs this many times what it must in int8, and this part of all, and more
# than all before it: layers that are solved for right inputs make other errors of wrong ones.
_BROKEN = 4.0
_PART = 0.25
# One that costs less than this part of all is not looked at.
_LOOKED_AT = 0.15
# An op whose error is less than this, relative to the standard deviation, costs nothing.
_NOTHING = 1e-5
# Steps of int8.
_STEPS = 255


def localise_calibrated(
    reference: Sequence[Trace],
    candidate: Sequence[Trace],
    *,
    precision: str,
    known: Known,
    answer: Answer,
    least: float = 0.0,
) -> Localisation | None:
    """Finds the broken op of a calibrated file, and what each op costs.

    Args:
        reference: The float network's traces, one per sample, each with its inputs.
        candidate: The file's traces on the same samples, likewise.
        precision: The file's, a key of `agecompact.precisions.PRECISIONS`.
        known: What else is known of the network, which must run again.
        answer: The output that is looked at.
        least: An op that costs less than this is not broken.

    Returns:
        None if the network cannot run with the file's tensors: one has another shape.
    """
    compared = Comparison(Graph(reference), Graph(candidate), precision, known)
    if any(pair.view is None for pair in compared.pairs):
        return None
    walk = _Walk(compared, reference, answer, known, least)
    rows = tuple(walk.rows())
    most = max(range(len(rows)), key=lambda i: _own(rows[i]))
    if walk.broken is None:
        said = _none_broken(rows[most], rows[-1], answer.output.compared_unit)
        return Localisation(precision, rows, None, most, said, answer.output.compared_unit)
    place, found = walk.broken
    row = rows[place]
    origin = origin_of(place, row, found)
    said = f"{summary_of(origin)}; {_cost_of(row, answer.output.compared_unit)}"
    return Localisation(precision, rows, origin, most, said, answer.output.compared_unit)


def _own(row: TensorComparison) -> float:
    assert row.cost is not None
    return row.cost.own


def _cost_of(row: TensorComparison, unit: str) -> str:
    assert row.cost is not None
    explained = "" if row.cost.in_int8 is None else f", and int8 explains {row.cost.in_int8:.2g}"
    return f"it moves the answers by {row.cost.own:.3g} {unit}{explained}"


def _none_broken(most: TensorComparison, last: TensorComparison, unit: str) -> str:
    assert most.cost is not None
    assert last.cost is not None
    where = f"{most.scope} ({most.op})" if most.scope else most.op
    return (
        f"no op costs far more than int8 explains; {where} costs the most, "
        f"{most.cost.own:.2g} {unit}, and all together {last.cost.total:.2g}"
    )


@dataclass(frozen=True)
class _Place:
    """A tensor of the network and its counterparts in the file.

    Attributes:
        index: The network's step that wrote it.
        pairs: Its counterpart, or one for each crop.
        now: What the network makes of the file's tensors, `(samples, *shape)`.
        then: What the file makes of them, without factors.
        factors: Of its channels, `(channels,)`.
    """

    index: int
    pairs: tuple[Pair, ...]
    now: Values
    then: Values
    factors: Values


class _Walk:
    """Turns the network into the file.

    Attributes:
        broken: Row of the broken op, and what is wrong with it; None until it is found.
    """

    def __init__(
        self,
        compared: Comparison,
        reference: Sequence[Trace],
        answer: Answer,
        known: Known,
        least: float,
    ) -> None:
        assert known.replay is not None
        assert known.in_int8 is not None
        self.broken: tuple[int, Diagnosis] | None = None
        self._compared, self._known, self._answer = compared, known, answer
        self._least = least
        self._replay: Replay = known.replay
        self._replay_in_int8: Replay = known.in_int8
        self._traces = reference
        self._right = self._answers = answer.of(reference)
        self._replaced: dict[str, Sequence[Array]] = {}
        self._factors: dict[int, Values] = {}
        # As readers see them: an op that stores a tensor is a part of the one that wrote it.
        theirs = compared.theirs
        self._pairs = [replace(p, candidate=theirs.as_read(p.candidate)) for p in compared.pairs]
        self._error = self._whole_error()

    def rows(self) -> Iterator[TensorComparison]:
        """Every tensor with what it costs, in the order of execution."""
        for row, (index, pairs) in enumerate(groupby(self._pairs, lambda pair: pair.reference)):
            place = self._placed(index, tuple(pairs))
            yield self._row(row, place)

    def _whole_error(self) -> float:
        """The error of the file's answers."""
        last = [
            i for i, s in enumerate(self._compared.mine.steps) if s.output == self._answer.tensor
        ]
        pairs = tuple(pair for pair in self._pairs if pair.reference in last)
        if not pairs:
            return 0.0
        then = self._placed(last[0], pairs).then
        return self._moved(self._answer.of(self._replay({self._answer.tensor: list(then)})))

    def _placed(self, index: int, pairs: tuple[Pair, ...]) -> _Place:
        compared, name = self._compared, self._compared.mine.steps[index].output
        right = _values(compared.mine, index)
        now = np.stack([_tensor(trace, name) for trace in self._traces])
        theirs = right.copy()
        for pair in pairs:
            both = compared.meter.values(pair)
            assert both is not None
            assert pair.view is not None
            crop = pair.view.crop
            theirs[:, slice(None) if crop is None else slice(crop, crop + 1)] = both[1]
        inner = right.ndim == 5 and compared.mine.kind(index) != INPUT
        found = factors(right, theirs) if inner else np.ones(1)
        self._factors[index] = found
        then = theirs / along(found, theirs) if found.size > 1 else theirs
        return _Place(index, pairs, now, then, found)

    def _row(self, row: int, place: _Place) -> TensorComparison:
        compared = self._compared
        step = compared.mine.steps[place.index]
        difference = place.then - place.now
        error, spread = rms(difference), float(_values(compared.mine, place.index).std())
        own, in_int8, error_before = 0.0, None, self._moved(self._answers)
        # What is not finite is not equal either.
        if not error <= _NOTHING * spread:
            before = self._traces
            self._replaced[step.output] = list(place.then)
            self._traces = self._replay(self._replaced)
            answers = self._answer.of(self._traces)
            own = _finite(rms(answers - self._answers))
            self._answers = answers
            # Equal where both are infinite.
            if 0 < own >= _LOOKED_AT * self._error:
                in_int8, rounding = self._in_int8(place)
                least = max(_BROKEN * in_int8, _PART * self._error, error_before, self._least)
                # A layer that makes up for errors before it moves the answers back.
                if self.broken is None and min(own, self._moved(answers)) >= least:
                    network = Equalised(compared, self._factors, self._known.state)
                    context = network.context(place.index, self._pairs, before, rounding)
                    self.broken = row, diagnose(context) or Diagnosis("unknown", "")
        # The op that computes, not one that stores what it made.
        pair = next(pair for pair in compared.pairs if pair.reference == place.index)
        other = compared.theirs.steps[pair.candidate]
        is_finite = np.isfinite(place.then).all()
        return TensorComparison(
            scope=step.scope,
            op=step.op,
            tensor=step.output,
            covers=tuple(compared.mine.steps[i].op for i in compared.covered(place.index)),
            candidate_op=other.op,
            candidate_tensor=other.output,
            matched_by=pair.matched_by,
            max_abs=float(np.abs(difference).max()) if is_finite else None,
            relative=error / spread if is_finite and spread else None,
            ratio=0.0,
            inputs_ratio=0.0,
            cost=Cost(own, in_int8, self._moved(self._answers)),
        )

    def _moved(self, answers: Values) -> float:
        return _finite(rms(answers - self._right))

    def _in_int8(self, place: _Place) -> tuple[float, float]:
        """What an op costs if it alone is in int8, and the RMS error of what it writes then.

        Its weights have 127 steps on either side of 0 for each output, and what it writes 255 steps
        over all that the network writes.
        """
        mine, index = self._compared.mine, place.index
        name, right = mine.steps[index].output, _values(mine, index)
        read = {mine.steps[i].output: list(_values(mine, i)) for i in self._compared.reads[index]}
        rounded = np.stack([_tensor(trace, name) for trace in self._replay_in_int8(read)])
        if rounded.ndim == 5:
            # Its bias makes up for that.
            rounded = rounded + along(per_channel(right - rounded).mean(1), rounded)
        scaled, equal = (
            v * along(place.factors, v) if place.factors.size > 1 else v for v in (rounded, right)
        )
        step = (max(equal.max(), 0.0) - min(equal.min(), 0.0)) / _STEPS or 1.0
        made = np.round(scaled / step) * step
        made = made / along(place.factors, made) if place.factors.size > 1 else made
        return self._moved(self._answer.of(self._replay({name: list(made)}))), rms(made - right)


def _values(graph: Graph, index: int) -> Values:
    return np.stack([np.asarray(value, np.float64) for value in graph.values(index)])


def _tensor(trace: Trace, name: str) -> Values:
    found = next(step.value for step in trace if step.output == name)
    return np.asarray(found, np.float64)


def _finite(value: float) -> float:
    return value if np.isfinite(value) else np.inf
