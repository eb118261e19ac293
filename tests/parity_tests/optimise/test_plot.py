"""The plot and the table say what the rows say."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from parity_tests.optimise.front import Row, front
from parity_tests.optimise.plot import svg
from parity_tests.optimise.table import Subject, as_json, table

_SUBJECT = Subject("net<1>", "age", "years", "9 faces", "emulated:cortex-a76")
_ROWS = (
    Row("exact", 4000, 0.0, instructions=9_000_000),
    Row("half", 2000, 0.01, 0.002, 0.001, instructions=9_000_000),
    Row("fast", 1000, 0.1, instructions=3_000_000),
    Row("worse", 1500, 0.2, instructions=4_000_000),
    Row("failed & gone", note="it does not open"),
)


def _circles(document: str) -> dict[str, dict[str, str]]:
    found = {}
    for circle in ElementTree.fromstring(document).iter("{http://www.w3.org/2000/svg}circle"):
        (title,) = circle
        found[str(title.text).partition(":")[0]] = circle.attrib
    return found


def test_every_measured_row_is_a_circle_and_those_of_the_front_are_filled() -> None:
    circles = _circles(svg(_ROWS, _SUBJECT))
    assert set(circles) == {"exact", "half", "fast", "worse"}
    filled = {name for name, each in circles.items() if each["class"] == "front"}
    assert filled == front(_ROWS) == {"exact", "half", "fast"}


def test_cost_grows_to_the_right_error_upwards_and_area_with_bytes() -> None:
    circles = _circles(svg(_ROWS, _SUBJECT))
    x = {name: float(each["cx"]) for name, each in circles.items()}
    y = {name: float(each["cy"]) for name, each in circles.items()}
    r = {name: float(each["r"]) for name, each in circles.items()}
    assert x["fast"] < x["worse"] < x["half"] == x["exact"]
    assert y["worse"] < y["fast"] < y["half"] <= y["exact"]
    assert math.isclose(r["exact"] ** 2 / r["fast"] ** 2, 4.0, rel_tol=0.05)
    assert math.isclose(x["fast"] - 90, (x["half"] - 90) / 3, rel_tol=0.01)


def test_all_text_and_circles_are_inside_the_picture() -> None:
    root = ElementTree.fromstring(svg(_ROWS, _SUBJECT))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in root.iter():
        for name, most in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            assert 0 <= float(element.attrib.get(name, 0)) <= most


def test_without_instructions_bytes_are_the_cost() -> None:
    circles = _circles(svg([Row("a", 4000, 0.1), Row("b", 1000, 0.2)], _SUBJECT))
    assert float(circles["b"]["cx"]) < float(circles["a"]["cx"])


def test_nothing_measured_is_a_picture_too() -> None:
    assert "nothing was measured" in svg(_ROWS[4:], _SUBJECT)


def test_the_table_shows_what_is_unknown_as_such() -> None:
    made = {row[0]: row[1:] for row in table(_ROWS, _SUBJECT).rows}
    assert made["half"] == ("yes", "2,000", "50%", "9.00 M", "0.01", "0.002", "+0.001")
    assert made["worse"][0] == ""
    assert set(made["failed & gone"]) == {"", "-"}


def test_json_has_every_figure() -> None:
    content = as_json(_ROWS, _SUBJECT, _ROWS[2])
    assert content["chosen"] == "fast"
    assert content["axes"] == ["p99", "instructions", "bytes"]
    assert [each["front"] for each in content["candidates"]] == [True, True, True, False, False]
    assert content["candidates"][4]["note"] == "it does not open"
