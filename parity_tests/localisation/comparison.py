"""Compares two graphs that ran on the same inputs, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from agecompact.runtimes.base import Array, Trace
from parity_tests.localisation.alignment import Pair, align, distance
from parity_tests.localisation.context import FaultContext, ReferenceOp
from parity_tests.localisation.diagnose_weights import other_weights
from parity_tests.localisation.graph import Graph
from parity_tests.localisation.meter import ErrorMeter
from parity_tests.localisation.moved_bias import with_moved_bias
from parity_tests.localisation.opkinds import INPUT, STORE, VIEW, alike
from parity_tests.localisation.origin import find_origin, jumps, passed_on
from parity_tests.localisation.recompute import Values
from parity_tests.localisation.report import TensorComparison

# Runs the reference again with some tensors replaced, by name and one array per sample.
Replay = Callable[[Mapping[str, Sequence[Array]]], Sequence[Trace]]


@dataclass(frozen=True)
class Known:
    """What is known of a reference beyond its traces; of a foreign pair, nothing.

    Attributes:
        rounding: RMS error that rounding causes, by tensor. A rule of thumb replaces what is
            missing, and only errors far beyond rounding are reported then.
        state: Its weights by name.
        replay: Runs it again with other values; None if it cannot run again.
        in_int8: As `replay`, with its weights in int8.
    """

    rounding: Mapping[str, float] = field(default_factory=dict)
    state: Mapping[str, Array] = field(default_factory=dict)
    replay: Replay | None = None
    in_int8: Replay | None = None


class Comparison:
    """Two graphs, tensor by tensor.

    Args:
        mine: The reference's graph.
        theirs: The candidate's.
        precision: The candidate's, a key of `agecompact.precisions.PRECISIONS`.
        known: What is known of the reference beyond its traces.
        pairs: All pairs of tensors; None finds them.

    Attributes:
        mine: As above.
        theirs: As above.
        meter: Their errors.
        pairs: All pairs of tensors.
    """

    def __init__(
        self,
        mine: Graph,
        theirs: Graph,
        precision: str,
        known: Known,
        pairs: Sequence[Pair] | None = None,
    ) -> None:
        self.mine, self.theirs, self._known = mine, theirs, known
        self.meter = ErrorMeter(mine, theirs, precision, known.rounding)
        self.pairs = align(mine, theirs) if pairs is None else tuple(pairs)

    @cached_property
    def kept(self) -> dict[int, Pair]:
        """The pair of each tensor of the reference; if its crops have several, the worst."""
        kept: dict[int, Pair] = {}
        for pair in self.pairs:
            rival = kept.get(pair.reference)
            if rival is None or self.meter.ratio(pair) > self.meter.ratio(rival):
                kept[pair.reference] = pair
        return kept

    @cached_property
    def ratios(self) -> dict[int, float]:
        """The error of each tensor relative to rounding."""
        return {i: self.meter.ratio(pair) for i, pair in self.kept.items()}

    @cached_property
    def comparable(self) -> dict[int, float]:
        """The ratios, a tensor of another shape being as wrong as values can be."""
        worst = 1 / self.meter.unit
        return {
            i: worst if self.kept[i].view is None else ratio for i, ratio in self.ratios.items()
        }

    @cached_property
    def reads(self) -> dict[int, tuple[int, ...]]:
        """The paired tensors that each one is computed from."""
        return {i: self.mine.nearest(i, self.kept) for i in self.kept}

    @cached_property
    def ratios_before(self) -> dict[int, float]:
        """The greatest ratio of the tensors that each one is computed from; 0 for an input."""
        return {i: max((self.ratios[r] for r in self.reads[i]), default=0.0) for i in self.kept}

    def row(
        self, pair: Pair, ratio: float, before: float, *, combined: bool = True
    ) -> TensorComparison:
        """A pair and its errors; `combined` lists all ops since the tensors that it reads."""
        step, other = self.mine.steps[pair.reference], self.theirs.steps[pair.candidate]
        covers = self.covered(pair.reference) if combined else (pair.reference,)
        error = self.meter.error(pair)
        return TensorComparison(
            scope=step.scope,
            op=step.op,
            tensor=step.output,
            covers=tuple(self.mine.steps[i].op for i in covers),
            candidate_op=other.op,
            candidate_tensor=other.output,
            matched_by=pair.matched_by,
            max_abs=None if error is None else error[0],
            relative=pair.distance if np.isfinite(pair.distance) else None,
            ratio=ratio,
            inputs_ratio=before,
        )

    def covered(self, index: int) -> tuple[int, ...]:
        """The reference's ops since the tensors that a paired one is computed from."""
        return tuple(
            i for i in self.mine.between(index, self.kept) if i not in self.mine.unchanging
        )

    def put_in(self, faulty: Pair) -> Pair | None:
        """The first tensor before a faulty one that differs though it should be the same.

        The reference has no counterpart of the candidate's op that wrote it: a quantiser, a cast,
        a multiplication by 1/255.
        """
        after = self.ratios[faulty.reference]
        for pair in self._extra_before(faulty):
            ratio = self.meter.ratio(pair)
            if jumps(ratio, self.ratios[pair.reference]) and not jumps(after, ratio):
                return pair
        return None

    def _extra_before(self, faulty: Pair) -> Iterator[Pair]:
        """Pairs for the tensors before a faulty one that the reference does not have.

        A candidate may quantise a tensor and dequantise it where PyTorch does nothing. The tensor
        before is closer to PyTorch's and is paired with it. So an error made in between would only
        show in the next op.
        """
        paired = {pair.candidate: pair for pair in self.pairs}
        kinds = {self.mine.kind(i) for i in self.covered(faulty.reference)}
        # The faulty op itself has a counterpart, so what comes before it is not a part of it.
        counterpart = any(alike(kind, self.theirs.kind(faulty.candidate)) for kind in kinds)
        for index in self.theirs.between(faulty.candidate, paired):
            sources = self.theirs.nearest(index, paired)
            steps = self.theirs.between(index, paired)
            if len(sources) != 1 or index == faulty.candidate:
                continue
            found = {self.theirs.kind(i) for i in steps}
            stored = found == {STORE}
            if not stored and not (counterpart and not found & (kinds | {VIEW, "pad"})):
                continue
            source, values = paired[sources[0]], self.theirs.values(index)
            before = self.theirs.values(source.candidate)[0]
            # An image as integers holds other numbers than the reference's.
            if source.view is None or before.dtype.kind != "f" or before.shape != values[0].shape:
                continue
            far = distance(self.mine.values(source.reference), values, source.view)
            yield replace(source, candidate=index, distance=far, matched_by="place")

    def put_in_context(self, pair: Pair) -> FaultContext:
        """The context of a tensor that should equal the reference's, but for an op put in."""
        both = self.meter.values(pair)
        assert both is not None, "a pair of different shapes is not one tensor"
        step, other = self.mine.steps[pair.reference], self.theirs.steps[pair.candidate]
        kind, name = (INPUT, step.output) if step.op == INPUT else (STORE, step.op)
        return FaultContext(
            reference=both[0],
            candidate=both[1],
            candidate_shape=other.value.shape,
            candidate_op=other.op,
            inputs={step.output: both[0]},
            chain=(ReferenceOp(name, kind, step.scope, both[0]),),
            rounding=self.meter.rounding_error(pair.reference),
        )

    def origin(self) -> tuple[int, FaultContext] | None:
        """The tensor where the error originates, and its context; None if there is none.

        An op that loses no more than kernels lose is to blame only if its weights differ.
        """
        ratios, contexts = self.comparable, dict[int, FaultContext]()
        while (faulty := find_origin(ratios, self.reads)) is not None:
            context = contexts.get(faulty) or self.context(faulty)
            readers = [i for i, sources in self.reads.items() if faulty in sources]
            if len(readers) != 1:
                return faulty, context
            moved = with_moved_bias(context, self.context(readers[0]))
            if moved is None:
                return faulty, context
            contexts[readers[0]] = moved
            ratios = {**ratios, faulty: 0.0}
        effective = passed_on(ratios, self.reads)
        for index, sources in self.reads.items():
            before = max((ratios[i] for i in sources), default=0.0)
            if index in effective and jumps(ratios[index], before):
                context = contexts.get(index) or self.context(index)
                if other_weights(context) is not None:
                    return index, context
        return None

    def context(self, index: int) -> FaultContext:
        """The context of a tensor of the reference whose pair is faulty."""
        replay = self._known.replay
        mine, theirs, pair = self.mine, self.theirs, self.kept[index]
        both = self.meter.values(pair)
        # If the reference stacks crops and the candidate does not, only one crop is looked at.
        crop = None if pair.view is None else pair.view.crop
        crops = len(mine.steps[index].value)

        def values(i: int) -> Values:
            arrays = [np.asarray(v, np.float64) for v in mine.values(i)]
            if crop is not None and len(arrays[0]) == crops:
                arrays = [array[crop : crop + 1] for array in arrays]
            return np.stack(arrays)

        def op(i: int) -> ReferenceOp:
            step = mine.steps[i]
            name = step.output if step.op == INPUT else step.op
            read = {mine.steps[r].output: values(r) for r in mine.parents[i]}
            return ReferenceOp(name, mine.kind(i), step.scope, values(i), step.output, read)

        def replayed(replaced: Mapping[str, Values]) -> Values:
            assert replay is not None
            traces = replay({name: list(each) for name, each in replaced.items()})
            name = mine.steps[index].output
            found = [next(s.value for s in trace if s.output == name) for trace in traces]
            return np.stack([np.asarray(value, np.float64) for value in found])

        by_candidate = {p.candidate: p.reference for p in self.pairs}
        read = {by_candidate[j] for j in theirs.nearest(pair.candidate, by_candidate)}
        reads = self.reads[index]
        # Only flat tensors, and views, may be maps in another order.
        sizes = {
            values(i)[0].size
            for i in (*reads, index)
            if mine.steps[i].value.ndim < 4 or mine.kind(i) == VIEW
        }
        ops = theirs.between(pair.candidate, {p.candidate for p in self.pairs})
        return FaultContext(
            reference=values(index) if both is None else both[0],
            candidate=None if both is None else both[1],
            candidate_shape=theirs.steps[pair.candidate].value.shape,
            candidate_op=theirs.steps[pair.candidate].op,
            inputs={mine.steps[i].output: values(i) for i in reads},
            chain=tuple(op(i) for i in self.covered(index)),
            rounding=self.meter.rounding_error(index),
            state=self._known.state,
            maps={
                mine.steps[i].output: values(i)
                for i in reversed(mine.between(index, set()))
                if mine.steps[i].value.ndim == 4
                and mine.steps[i].value.size in sizes
                and mine.kind(i) != VIEW
            },
            model_inputs={s.output: values(i) for i, s in enumerate(mine.steps) if s.op == INPUT},
            constants=tuple(c for i in ops for c in theirs.steps[i].constants),
            rounding_unit=self.meter.unit,
            candidate_reads={mine.steps[i].output: values(i) for i in sorted(read)},
            replay=replayed if replay is not None and crop is None else None,
        )
