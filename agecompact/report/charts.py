"""Charts as Vega-Lite specifications, narrow enough for a phone, in colours that the page defines.

A row of data has a `group`, the heading of a small chart of its own, and a `name` on its axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agecompact.text import one_line

Row = Mapping[str, Any]
Spec = dict[str, Any]

_WIDTH = 240
_DECADES = 270
_STEP = 18
_HEIGHT = 170
_LABEL_PIXELS = 150
# Names of the page's colours: text, lines of the grid, series, and a limit.
_TEXT, _GRID, _LIMIT = "var(--text)", "var(--line)", "var(--limit)"
SERIES = ("var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)")
_BESIDE = ((-10, -7), (10, -7), (10, 9), (-10, 9))
_SHAPES = ("circle", "square", "triangle-up", "diamond")
# Measured with the metrics of Arial; the padding is for wider fonts.
_FONT = "Arial, Helvetica, sans-serif"
_PADDING = 24

_CONFIG: Spec = {
    "background": "transparent",
    "aria": False,
    "padding": {"left": _PADDING, "right": _PADDING, "top": 5, "bottom": 5},
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": _TEXT,
        "titleColor": _TEXT,
        "titleFontWeight": "normal",
        "gridColor": _GRID,
        "domainColor": _GRID,
        "tickColor": _GRID,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "labelLimit": _LABEL_PIXELS,
        "labelFlush": False,
    },
    "header": {"labelColor": _TEXT, "labelFontSize": 12, "labelFontWeight": "bold"},
    "legend": {
        "labelColor": _TEXT,
        "titleColor": _TEXT,
        "labelFontSize": 11,
        "orient": "top",
        "title": None,
        "columns": 2,
        "labelLimit": 2 * _LABEL_PIXELS,
    },
}


def ranges(rows: Sequence[Row], title: str) -> Spec:
    """Ranges of errors on a logarithmic axis.

    Args:
        rows: With `low`, `q1`, `median`, `q3`, `high` and `limit`, any of which may be None.
        title: Of the axis.
    """
    names = ("low", "q1", "median", "q3", "high", "limit")
    positive = [row[name] for row in rows for name in names if row[name]]
    # A logarithmic axis has no 0; what is smaller than all else is drawn at its end.
    floor = min(positive, default=1.0)
    drawn = [
        {**row, **{n: None if row[n] is None else max(row[n], floor) for n in names}}
        for row in rows
    ]
    x = {"type": "quantitative", "scale": {"type": "log"}, "title": title, "axis": _decades_only()}
    layers = [
        _layer({"type": "rule", "strokeWidth": 1.5}, x={**x, "field": "low"}, x2="high"),
        _layer(
            {"type": "rule", "strokeWidth": 7, "opacity": 0.45}, x={**x, "field": "q1"}, x2="q3"
        ),
        _layer(
            {"type": "point", "filled": True, "size": 45, "opacity": 1}, x={**x, "field": "median"}
        ),
        _layer(
            {"type": "tick", "thickness": 2, "size": 13, "color": _LIMIT, "opacity": 1},
            x={**x, "field": "limit"},
        ),
    ]
    return _faceted(drawn, {"height": {"step": _STEP}, "layer": layers}, independent=("y",))


def bars(rows: Sequence[Row], title: str, series: Sequence[str]) -> Spec:
    """Bars beside each other for each series, each with a mark at its bound.

    Args:
        rows: With `series`, `value` and `bound`, which may be None.
        title: Of the axis.
        series: The series, in order.
    """
    offset: Spec = {"yOffset": {"field": "series", "sort": list(series)}} if len(series) > 1 else {}
    x = {"type": "quantitative", "title": title}
    layers = [
        _layer(
            {"type": "bar", "cornerRadiusEnd": 2},
            x={**x, "field": "value"},
            color=_colours("series", series),
            **offset,
        ),
        _layer(
            {"type": "tick", "thickness": 2, "color": _TEXT, "opacity": 1},
            x={**x, "field": "bound"},
            **offset,
        ),
    ]
    step = {"step": _STEP, "for": "position"} if len(series) < 2 else {"step": 12, "for": "offset"}
    return _faceted(rows, {"height": step, "layer": layers}, independent=("x", "y"))


def stacks(rows: Sequence[Row], title: str, parts: Sequence[str]) -> Spec:
    """A bar for each name, made of parts, with a mark at its bound.

    Args:
        rows: With `part`, `place` (that of the part in the order), `value` and `bound`, which may
            be None.
        title: Of the axis.
        parts: The parts, in order.
    """
    x = {"type": "quantitative", "title": title}
    layers = [
        _layer(
            {"type": "bar"},
            x={**x, "field": "value", "stack": "zero"},
            color=_colours("part", parts),
            order={"field": "place"},
        ),
        _layer(
            {"type": "tick", "thickness": 2, "color": _TEXT, "opacity": 1},
            x={**x, "field": "bound", "aggregate": "max"},
        ),
    ]
    return _faceted(rows, {"height": {"step": _STEP}, "layer": layers}, independent=("x", "y"))


def intervals(rows: Sequence[Row], series: Sequence[str]) -> Spec:
    """Values with their intervals, by decade of true age.

    Args:
        rows: With `decade`, `series`, `value`, `low` and `high`; the last two may be None.
        series: The series, in order.
    """
    offset: Spec = {"xOffset": {"field": "series", "sort": list(series)}} if len(series) > 1 else {}
    x = {"field": "decade", "type": "ordinal", "title": "true age", "axis": {"labelAngle": 0}}
    y = {"type": "quantitative", "title": None}
    colours = _colours("series", series)
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 40, "opacity": 1},
            "encoding": {"x": x, "y": {**y, "field": "value"}, "shape": _shapes("series", series)},
        },
    ]
    for layer in layers:
        layer["encoding"] |= {**offset, "color": colours}
    return _faceted(rows, {"width": _DECADES, "height": 110, "layer": layers}, independent=("y",))


def front(rows: Sequence[Row], title: str, error_title: str, series: Sequence[str]) -> Spec:
    """Costs and errors, numbered, those on the front filled; errors on a logarithmic axis.

    Args:
        rows: With `number`, `series`, `cost`, `error` and `best`, which is true on the front.
        title: Of the axis of costs.
        error_title: Of the axis of errors.
        series: The series, in order.
    """
    floor = min((row["error"] for row in rows if row["error"]), default=1.0)
    drawn = [{**row, "error": max(row["error"], floor)} for row in rows]
    x = {"field": "cost", "type": "quantitative", "title": title, "scale": {"nice": True}}
    y = {
        "field": "error",
        "type": "quantitative",
        "scale": {"type": "log", "padding": 8},
        "title": error_title,
        "axis": _decades_only(),
    }
    colours, shapes = _colours("series", series), _shapes("series", series)
    filled = {
        "condition": {"test": "datum.best", "field": "series", **_scaled(series)},
        "value": "transparent",
    }
    layers = [
        {
            "mark": {"type": "point", "size": 70, "opacity": 1, "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y, "stroke": colours, "shape": shapes, "fill": filled},
        },
        *(_numbers(place, name, x, y) for place, name in enumerate(series)),
    ]
    return _faceted(
        drawn, {"width": _WIDTH, "height": _HEIGHT, "layer": layers}, independent=("x", "y")
    )


def _layer(mark: Spec, *, x: Spec, x2: str = "", **more: Any) -> Spec:
    """A layer with a name on each line of its y axis."""
    y = {"field": "name", "type": "nominal", "title": None, "sort": None}
    encoding = {"x": x, "y": y, **more}
    if x2:
        encoding["x2"] = {"field": x2}
    if "color" not in encoding and "color" not in mark:
        mark = {**mark, "color": SERIES[0]}
    return {"mark": mark, "encoding": encoding}


def _numbers(place: int, series: str, x: Spec, y: Spec) -> Spec:
    """The numbers of one series, beside its points: points of several may lie on each other."""
    dx, dy = _BESIDE[place % len(_BESIDE)]
    return {
        "transform": [{"filter": {"field": "series", "equal": series}}],
        "mark": {
            "type": "text",
            "dx": dx,
            "dy": dy,
            "fontSize": 11,
            "color": _cycle(SERIES, place + 1)[place],
        },
        "encoding": {"x": x, "y": y, "text": {"field": "number"}},
    }


def _colours(field: str, series: Sequence[str]) -> Spec:
    legend = {} if len(series) > 1 else {"legend": None}
    return {"field": field, "type": "nominal", **_scaled(series), **legend}


def _shapes(field: str, series: Sequence[str]) -> Spec:
    scale = {"domain": list(series), "range": _cycle(_SHAPES, len(series))}
    legend = {} if len(series) > 1 else {"legend": None}
    return {"field": field, "type": "nominal", "scale": scale, **legend}


def _scaled(series: Sequence[str]) -> Spec:
    return {"scale": {"domain": list(series), "range": _cycle(SERIES, len(series))}}


def _cycle(values: Sequence[str], count: int) -> list[str]:
    return [values[i % len(values)] for i in range(count)]


def _decades_only() -> Spec:
    """An axis with a line for each power of ten."""
    power = "floor(log(datum.value) / LN10 + 0.5)"
    is_power = f"abs(log(datum.value) / LN10 - {power}) < 0.001"
    return {
        "gridOpacity": {"condition": {"test": is_power, "value": 1}, "value": 0},
        "tickOpacity": {"condition": {"test": is_power, "value": 1}, "value": 0},
        "labelExpr": f"{is_power} ? format(datum.value, '.0e') : ''",
    }


def _faceted(rows: Sequence[Row], chart: Spec, *, independent: Sequence[str]) -> Spec:
    """A small chart for each group, one below the other."""
    values = [{key: _printable(value) for key, value in row.items()} for row in rows]
    groups = list(dict.fromkeys(row["group"] for row in values))
    header = {"title": None, "labelOrient": "top", "labelAnchor": "start"}
    facet = {"field": "group", "type": "nominal", "sort": groups, "header": header}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": values},
        "facet": {"row": facet},
        "spec": {"width": _WIDTH, **chart},
        "resolve": {"scale": dict.fromkeys(independent, "independent")},
        "config": _CONFIG,
    }


def _printable(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value
