"""Pairs the tensors of a candidate with those of the reference.

Converters fold batch norms, fuse activations, drop identities, insert transposes and split ops, so
neither names nor counts are reliable. Four properties are: a tensor depends on the inputs that its
counterpart depends on; its shape is the same in another layout; if nothing is wrong, its values are
the same; and if something is wrong, its op still has the same kind and inputs, or is between the
same tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from parity_tests.localisation.counterparts import early_pools, first_kind, folded
from parity_tests.localisation.graph import Graph, Indices
from parity_tests.localisation.layouts import View, squeezed, views
from parity_tests.localisation.opkinds import (
    AFFINE,
    ARITHMETIC,
    CONCAT,
    INPUT,
    OTHER,
    POOL,
    REDUCE,
    SOFTMAX,
    STORE,
    VIEW,
    alike,
)

# Below this distance two tensors are paired whatever their ops are.
_NEAR = 0.02
# Below this distance they are paired if their ops are of the same kind.
_LIKE = 0.5
# How many tensors of a fitting shape are tried.
_REACH = 24
# Distances closer than this count as equal: a relu of positive values, a reshape.
_TIE = 1.01
_ROUNDING = 1e-7
_MAIN = frozenset((AFFINE, CONCAT, POOL, REDUCE, SOFTMAX, *ARITHMETIC))

MatchedBy = Literal["name", "value", "place"]


@dataclass(frozen=True)
class Pair:
    """One tensor of the reference and its counterpart.

    Attributes:
        reference: Index of the reference's step that wrote it.
        candidate: Index of the candidate's step.
        view: How to rearrange the candidate's tensor; None if the shapes do not fit.
        distance: RMS difference relative to the reference's standard deviation.
        matched_by: How the pair was found: by the module's path, the values, or the place in the
            graph.
    """

    reference: int
    candidate: int
    view: View | None
    distance: float
    matched_by: MatchedBy


def align(reference: Graph, candidate: Graph) -> tuple[Pair, ...]:
    """Pairs the steps of two graphs that ran on the same samples.

    Returns:
        At most one pair for each tensor of the reference, or for each crop of it, in the
        reference's order. The last tensors of both graphs are always pairs.
    """
    matcher = _Matcher(reference, candidate)
    matcher.by_value()
    matcher.pair_last()
    matcher.by_place(strictly=True)
    matcher.by_neighbours()
    matcher.by_place(strictly=False)
    matcher.by_neighbours()
    matcher.by_readers()
    return matcher.pairs()


def distance(reference: Sequence[np.ndarray], candidate: Sequence[np.ndarray], view: View) -> float:
    """RMS difference over the samples, relative to the reference's standard deviation."""
    squares, total, second, count = 0.0, 0.0, 0.0, 0
    for r, c in zip(reference, candidate, strict=True):
        mine = np.asarray(view.of_reference(r), np.float32)
        with np.errstate(all="ignore"):
            error = np.asarray(view.of_candidate(c), np.float32) - mine
            squares += float(np.square(error).sum(dtype=np.float64))
            total += float(mine.sum(dtype=np.float64))
            second += float(np.square(mine).sum(dtype=np.float64))
        count += mine.size
    if not count or not np.isfinite(squares):
        return inf
    mean_square = second / count
    variance = max(mean_square - (total / count) ** 2, 0.0)
    # A constant tensor has no deviation: a thousandth of its magnitude replaces it.
    scale = max(variance**0.5, 1e-3 * mean_square**0.5)
    if scale == 0.0:
        return 0.0 if squares == 0.0 else inf
    return float((squares / count) ** 0.5 / scale)


def _unread(graph: Graph) -> list[int]:
    """The steps whose tensors no other step reads: the outputs."""
    return [i for i, readers in enumerate(graph.readers) if not readers]


class _Matcher:
    """Finds the pairs; `i` is a step of the reference, `j` one of the candidate."""

    def __init__(self, reference: Graph, candidate: Graph) -> None:
        self._reference, self._candidate = reference, candidate
        self._found: dict[int, Pair] = {}
        self._hidden = folded(reference, candidate) | reference.unchanging
        self._skipped = folded(candidate, reference) | early_pools(candidate, reference)
        self._match_inputs()

    def _match_inputs(self) -> None:
        mine = [i for i, s in enumerate(self._reference.steps) if s.op == INPUT]
        theirs = [j for j, s in enumerate(self._candidate.steps) if s.op == INPUT]
        names = {self._reference.steps[i].output: i for i in mine}
        for place, j in enumerate(theirs):
            i = names.get(self._candidate.steps[j].output)
            if i is None and place < len(mine):
                i = mine[place]
            if i is not None:
                self._found[j] = self._nearest_view(i, j, "name")

    def by_value(self) -> None:
        """Pairs steps of equal values, or of one module and kind, in the candidate's order."""
        for j, step in enumerate(self._candidate.steps):
            if step.op == INPUT or j in self._skipped:
                continue
            reachable = self._reachable(j)
            # A module that reads another tensor is still the same module.
            named = [i for i in reachable if self._same_module(i, j)] or [
                i
                for i in range(len(self._reference))
                if i not in self._hidden and self._same_module(i, j)
            ]
            if len(named) == 1:
                self._found[j] = self._nearest_view(named[0], j, "name")
            elif best := self._closest(reachable, j):
                self._found[j] = best
        self._drop_rivals()

    def pair_last(self) -> None:
        """Pairs the last tensors of both graphs, and with nothing else.

        Of several outputs, the closest in value are pairs, since graphs list them in any order.
        """
        last, final = _unread(self._reference), _unread(self._candidate)
        if len(last) != len(final) or len(last) == 1:
            last, final = [len(self._reference) - 1], [len(self._candidate) - 1]
        self._found = {j: p for j, p in self._found.items() if p.reference not in last}
        options = [self._nearest_view(i, j, "name") for i in last for j in final]
        for pair in sorted(options, key=lambda option: option.distance):
            if pair.reference in last and pair.candidate in final:
                self._found[pair.candidate] = pair
                last.remove(pair.reference)
                final.remove(pair.candidate)

    def by_place(self, *, strictly: bool) -> None:
        """Pairs ops of one kind that read the same tensors, where the values differ.

        Args:
            strictly: Only if the shapes fit, and as many ops are between them and those tensors:
                where nothing agrees any more, many ops depend on the same tensors.
        """
        taken = {pair.reference for pair in self._found.values()}
        for j in range(len(self._candidate)):
            kind = self._candidate.kind(j)
            if j in self._found or j in self._skipped or kind in (OTHER, INPUT, STORE):
                continue
            reads = self._reads(j)
            far = _main_ops(self._candidate, j, self._found)
            options = []
            for i in range(len(self._reference)):
                if i in self._hidden or not self._fits(i, kind):
                    continue
                near, crops = set(self._reference.nearest(i, taken)), self._crops_left(i, j)
                if not ((i not in taken and near == reads) or (crops and reads <= near)):
                    continue
                pair = self._nearest_view(i, j, "place", crops or None)
                as_far = crops or _main_ops(self._reference, i, taken) == far
                if not strictly or (pair.view is not None and as_far):
                    options.append(pair)
            if options:
                best = min(options, key=self._unlikeness)
                self._found[j] = best
                taken.add(best.reference)

    def by_neighbours(self) -> None:
        """Pairs the rest if between the same tensors: an activation made of other ops, say.

        Of several, the closest in value are paired if they are close, else the last ones: they
        write what the same readers read.
        """
        taken = {pair.reference for pair in self._found.values()}
        options = []
        for j in set(range(len(self._candidate))) - set(self._found) - self._skipped:
            # PyTorch's network has no counterpart of an op that only stores a tensor differently.
            if self._candidate.kind(j) == STORE:
                continue
            reads, read_by = self._reads(j), self._read_by(j)
            for i in set(range(len(self._reference))) - taken - self._hidden:
                around = (
                    self._reference.nearest(i, taken),
                    self._reference.nearest_readers(i, taken),
                )
                if (set(around[0]), set(around[1])) == (reads, read_by):
                    options.append(self._nearest_view(i, j, "place"))

        def order(pair: Pair) -> tuple[bool, float, bool, int, int]:
            near = pair.distance < _LIKE
            view = self._reference.kind(pair.reference) == VIEW
            return not near, pair.distance if near else 0.0, view, -pair.reference, -pair.candidate

        self._take(sorted(options, key=order))

    def by_readers(self) -> None:
        """Pairs the rest by kind, shape and readers: an op that reads another tensor."""
        taken = {pair.reference for pair in self._found.values()}
        options = []
        for j in set(range(len(self._candidate))) - set(self._found) - self._skipped:
            kind = self._candidate.kind(j)
            if kind in (OTHER, INPUT, STORE) or not (read_by := self._read_by(j)):
                continue
            for i in set(range(len(self._reference))) - taken - self._hidden:
                readers = set(self._reference.nearest_readers(i, taken))
                if self._fits(i, kind) and readers == read_by:
                    options.append(self._nearest_view(i, j, "place"))
        self._take(sorted(options, key=self._unlikeness))

    def _take(self, options: Sequence[Pair]) -> None:
        """Keeps the first pair of each tensor, if its shapes fit."""
        taken = {pair.reference for pair in self._found.values()}
        for pair in options:
            free = pair.reference not in taken and pair.candidate not in self._found
            if free and pair.view is not None:
                taken.add(pair.reference)
                self._found[pair.candidate] = pair

    def pairs(self) -> tuple[Pair, ...]:
        """The pairs, in the reference's order."""
        return tuple(sorted(self._found.values(), key=lambda p: (p.reference, p.candidate)))

    def _fits(self, i: int, kind: str) -> bool:
        mine = self._reference.kind(i)
        return mine == kind if kind in ARITHMETIC else alike(mine, kind)

    def _same_module(self, i: int, j: int) -> bool:
        scope = self._candidate.steps[j].scope
        same = bool(scope) and scope == self._reference.steps[i].scope
        return same and self._fits(i, self._candidate.kind(j))

    def _reads(self, j: int) -> set[int]:
        """The reference's closest tensors that a step of the candidate depends on."""
        return {self._found[q].reference for q in self._candidate.nearest(j, self._found)}

    def _read_by(self, j: int) -> set[int]:
        """The reference's closest tensors that depend on a step of the candidate."""
        readers = self._candidate.nearest_readers(j, self._found)
        return {self._found[q].reference for q in readers}

    def _reachable(self, j: int) -> list[int]:
        """Steps of the reference that depend on all that a step of the candidate depends on."""
        needed = sum(1 << i for i in self._reads(j))
        return [
            i
            for i, bits in enumerate(self._reference.ancestors)
            if bits & needed == needed
            and i not in self._hidden
            and self._reference.steps[i].op != INPUT
        ]

    def _closest(self, reachable: Sequence[int], j: int) -> Pair | None:
        shape = self._candidate.steps[j].value.shape
        fitting = [i for i in reachable if views(shape, self._reference.steps[i].value.shape)]
        sides, rank = squeezed(shape), len(squeezed(shape))
        theirs = {i: squeezed(self._reference.steps[i].value.shape) for i in fitting}
        exact = [i for i in fitting if theirs[i] == sides]
        ranked = [i for i in fitting if len(theirs[i]) == rank]
        # A flat tensor is compared with a flat one, if there is one. Compared with the unflattened
        # source, in whichever order fits, a wrong flatten order would be missed.
        fitting = (exact if rank < 3 and exact else ranked or fitting)[:_REACH]
        kind = self._candidate.kind(j)
        options = [
            pair
            for pair in (self._nearest_view(i, j, "value") for i in fitting)
            if pair.distance < _NEAR or (pair.distance < _LIKE and self._fits(pair.reference, kind))
        ]
        if not options:
            return None
        least = min(pair.distance for pair in options)
        tied = [p for p in options if p.distance <= least * _TIE + _ROUNDING]
        return min(tied, key=lambda p: (not self._fits(p.reference, kind), p.reference))

    def _unlikeness(self, pair: Pair) -> tuple[bool, bool, float, int]:
        """Sort key for consecutive ops of one kind, two reshapes, say: shape, value, order."""
        mine = self._reference.steps[pair.reference].value.shape
        theirs = self._candidate.steps[pair.candidate].value.shape
        other_shape = squeezed(mine) != squeezed(theirs)
        # How far apart two unlike tensors are says nothing.
        like = pair.distance < _LIKE or self._reference.kind(pair.reference) == VIEW
        return pair.view is None, other_shape, pair.distance if like else inf, pair.reference

    def _crops_left(self, i: int, j: int) -> set[int | None]:
        """Crops of a stacked tensor that have no counterpart yet and that a step may be.

        A step that reads a tensor of one crop belongs to that crop.
        """
        fitting = views(self._candidate.steps[j].value.shape, self._reference.steps[i].value.shape)
        mine = [pair.view for pair in self._found.values() if pair.reference == i]
        read = [self._found[q].view for q in self._candidate.nearest(j, self._found)]
        crops_read = {view.crop for view in read if view is not None} - {None}
        left = {view.crop for view in fitting} - {None} - {view.crop for view in mine if view}
        return left & crops_read if crops_read else left

    def _nearest_view(
        self, i: int, j: int, matched_by: MatchedBy, crops: set[int | None] | None = None
    ) -> Pair:
        mine, theirs = self._reference.values(i), self._candidate.values(j)
        best = Pair(i, j, None, inf, matched_by)
        for view in views(theirs[0].shape, mine[0].shape):
            if crops is not None and view.crop not in crops:
                continue
            far = distance(mine, theirs, view)
            if best.view is None or far < best.distance:
                best = Pair(i, j, view, far, matched_by)
        return best

    def _drop_rivals(self) -> None:
        """Of several tensors paired with one, keeps the closest, or the first of equally close."""
        kept: dict[tuple[int, int | None], Pair] = {}
        for pair in self._found.values():
            key = (pair.reference, pair.view.crop if pair.view else None)
            rival = kept.get(key)
            if rival is None or pair.distance * _TIE + _ROUNDING < rival.distance:
                kept[key] = pair
        self._found = {pair.candidate: pair for pair in kept.values()}


def _main_ops(graph: Graph, index: int, stops: Indices) -> int:
    """How many ops that converters neither fuse nor drop are between a step and others."""
    return sum(
        first_kind(graph, i) in _MAIN and i not in graph.unchanging
        for i in graph.between(index, stops)
    )
