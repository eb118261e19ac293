"""The candidates as a picture: cost to the right, error upwards, the area of a circle its bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from parity_tests.optimise.front import Row, front
from parity_tests.optimise.table import Subject

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 50, 60
_RADIUS = 14.0
# Where the text of a point begins on its left, so that it stays in the picture.
_TURN = 0.6
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.axis{stroke:#888}.grid{stroke:#ddd}"
    ".front{fill:#1668b8;stroke:#1668b8}.other{fill:#fff;stroke:#888}"
)


def svg(rows: Sequence[Row], subject: Subject) -> str:
    """The plot of those whose error and cost are known; errors are on a logarithmic axis.

    Args:
        rows: The candidates.
        subject: What was measured.

    Returns:
        An SVG document.
    """
    counted = any(row.instructions is not None for row in rows)
    title = f"{subject.model}: {subject.output}, {subject.faces}"
    costs = f"instructions on {subject.place}, millions" if counted else "kB"
    points = [_point(row, counted) for row in rows]
    shown = [(row, *point) for row, point in zip(rows, points, strict=True) if point]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 24, title),
        _text(_LEFT, _HEIGHT - 14, f"{costs}; area: bytes; filled: on the front"),
        _text(8, _TOP - 10, f"p99, {subject.unit}"),
    ]
    if shown:
        lines += _marks(shown, front(rows))
    else:
        lines.append(_text(_LEFT, _HEIGHT / 2, "nothing was measured"))
    return "\n".join([*lines, "</svg>", ""])


def _point(row: Row, counted: bool) -> tuple[float, float] | None:
    """Cost and error of a row; None if one is unknown."""
    cost = row.instructions if counted else row.bytes
    if cost is None or row.p99 is None:
        return None
    return cost / (1e6 if counted else 1e3), row.p99


def _marks(shown: Sequence[tuple[Row, float, float]], best: frozenset[str]) -> Iterator[str]:
    errors = [error for _, _, error in shown if error > 0] or [1.0]
    low, high = math.floor(math.log10(min(errors))), math.ceil(math.log10(max(errors)))
    high = max(high, low + 1)
    most = max(cost for _, cost, _ in shown) * 1.1
    largest = max(row.bytes or 1 for row, _, _ in shown)

    def x(cost: float) -> float:
        return _LEFT + cost / most * (_WIDTH - _LEFT - _RIGHT)

    def y(error: float) -> float:
        # No error at all is drawn at the bottom.
        place = (math.log10(error) - low) / (high - low) if error > 0 else 0.0
        return _HEIGHT - _BOTTOM - place * (_HEIGHT - _TOP - _BOTTOM)

    for power in range(low, high + 1):
        level = y(10.0**power)
        yield _line(x(0), level, x(most), level, "grid")
        yield _text(_LEFT - 8, level + 4, f"{10.0**power:g}", end=True)
    yield _line(x(0), y(0), x(most), y(0), "axis")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield _text(x(share * most), _HEIGHT - _BOTTOM + 20, f"{share * most:.3g}", end=share == 1)
    for row, cost, error in shown:
        radius = max(3.0, _RADIUS * math.sqrt((row.bytes or 1) / largest))
        kind = "front" if row.name in best else "other"
        yield (
            f'<circle class="{kind}" cx="{x(cost):.1f}" cy="{y(error):.1f}" r="{radius:.1f}">'
            f"<title>{escape(row.name)}: {cost:.4g}, {error:.3g}</title></circle>"
        )
        left = cost / most > _TURN
        gap = radius + 5
        yield _text(x(cost) - gap if left else x(cost) + gap, y(error) + 4, row.name, end=left)


def _text(x: float, y: float, text: str, *, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{anchor}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
