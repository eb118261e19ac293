"""Where the layers of a file part from those of a network: the error for a file that fits none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from agecompact.errors import UsageError
from agecompact.weights.importers.topology import Found, Known, Layer, Signature, shapes_text


@dataclass(frozen=True)
class Departure:
    """The first place where a file differs from the nearest network.

    Attributes:
        title: The network.
        matching: How many of its layers match in order.
        layers: How many it has.
        place: What the file has there, and what was expected.
    """

    title: str
    matching: int
    layers: int
    place: str

    @property
    def text(self) -> str:
        """All of it but the title, for people."""
        return f"{self.matching} of its {self.layers} layers match in order; {self.place}"


class DepartureError(UsageError):
    """A file fits no known network.

    Attributes:
        departure: The nearest network, and where they part.
    """

    def __init__(self, where: str, departure: Departure) -> None:
        super().__init__(
            f"{where} fits no known network",
            why=f"the nearest is {departure.title}: {departure.text}",
            fix="check --model, or use a file of the repositories in agecompact's README",
        )
        self.departure = departure


def nearest(found: Found, candidates: Iterable[Known]) -> DepartureError:
    """The error for a file that fits no known network: the nearest one, and where they part."""
    known, order, layers, matching = max(
        _alignments(found, candidates),
        key=lambda a: (sum(block.size for block in a[3]), -len(a[1])),
    )
    expected, at = _first_gap(matching)
    module = order[expected] if expected < len(order) else ""
    here = _described(layers[at].name, layers[at].signature) if at < len(layers) else "its end"
    there = _described(module, known.modules[module]) if module else "no further layer"
    departure = Departure(
        known.title,
        sum(block.size for block in matching),
        len(order),
        f"the first difference is {here}, where {there} was expected",
    )
    return DepartureError(found.where, departure)


_Alignment = tuple[Known, Sequence[str], Sequence[Layer], list]  # type: ignore[type-arg]


def _alignments(found: Found, candidates: Iterable[Known]) -> Iterator[_Alignment]:
    """Each network in each of its orders beside the file's layers, and the runs that match."""
    for known in candidates:
        for order in known.orders:
            shapes = [known.modules[module] for module in order]
            layers = found.layers if found.ordered else _arranged(found.layers, shapes)
            mine = [layer.signature for layer in layers]
            matching = SequenceMatcher(None, shapes, mine, autojunk=False).get_matching_blocks()
            yield known, order, layers, matching


def _arranged(layers: Sequence[Layer], shapes: Sequence[Signature]) -> list[Layer]:
    """Layers without an order, in a network's order as far as they fit."""
    left: dict[Signature, list[Layer]] = defaultdict(list)
    for layer in layers:
        left[layer.signature].append(layer)
    fitting = [left[shape].pop(0) for shape in shapes if left[shape]]
    return fitting + [layer for group in left.values() for layer in group]


def _first_gap(matching: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Positions in the network and in the file where the first run of matches ends."""
    expected = at = 0
    for start, place, size in matching:
        if (start, place) != (expected, at):
            break
        expected, at = start + size, place + size
    return expected, at


def _described(name: str, shapes: Signature) -> str:
    return f"'{name}' ({shapes_text(shapes)})"
