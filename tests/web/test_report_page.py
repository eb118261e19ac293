"""The page of `report --html` in a browser, as people with different devices and senses get it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from agecompact.report import evidence
from agecompact.report.compose import compose
from agecompact.report.to_html import to_html
from tests import report_builds
from tests.web.conftest import Open

pytestmark = pytest.mark.slow

# A phone and a desktop.
PLACES = list(product((390, 1280), ("light", "dark")))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with hostile names, a failure, and a table, a chart or a listing of every kind."""
    name = report_builds.HOSTILE_NAME
    root = report_builds.write(
        tmp_path_factory.mktemp("build"), name, failing=[f"{name}_int8.tflite"]
    )
    report_builds.write_evaluation(root / "evaluation.json", root, f"{name}_int8.tflite")
    path = root / "report.html"
    path.write_text(to_html(compose(evidence.read(root, [root / "evaluation.json"]))))
    return path


@pytest.mark.parametrize(("width", "scheme"), PLACES)
def test_it_renders_loads_nothing_and_complains_of_nothing(
    report: Path, width: int, scheme: str, open_page: Open
) -> None:
    visit = open_page(report, width=width, color_scheme=scheme)
    assert visit.page.locator("h1").is_visible()
    assert "Failed" in visit.page.locator(".verdict").inner_text()
    # Only the regions of tables scroll sideways, never the page.
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    for chart in visit.page.locator("svg").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    assert visit.requests == []
    assert visit.complaints == []


def test_a_page_that_loads_or_complains_is_noticed(open_page: Open, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='other.png'><script>console.error('a'); nowhere()</script>")
    visit = open_page(page)
    assert visit.requests == [(tmp_path / "other.png").as_uri()]
    assert len(visit.complaints) >= 2


@pytest.mark.parametrize(("width", "scheme"), PLACES)
def test_axe_finds_nothing(
    report: Path, width: int, scheme: str, open_page: Open, axe: str
) -> None:
    visit = open_page(report, width=width, color_scheme=scheme)
    assert _violations(visit.page, axe) == []


def test_axe_notices_a_poor_page(open_page: Open, axe: str, tmp_path: Path) -> None:
    page = tmp_path / "poor.html"
    page.write_text("<title>a</title><img src='data:,'><p style='color:#ccc'>pale</p>")
    found = "\n".join(_violations(open_page(page).page, axe))
    for rule in ("html-has-lang", "image-alt", "color-contrast"):
        assert rule in found


def _violations(page: Any, axe: str) -> list[str]:
    """What axe-core finds with all its rules, best practices among them."""
    # As a debugger does, which no policy of the page forbids.
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def test_a_click_on_a_heading_sorts_by_figures_and_a_second_one_turns_it(
    report: Path, open_page: Open
) -> None:
    page = open_page(report).page
    table = page.locator("table").first
    size = table.get_by_role("columnheader", name="size")
    before = _column(table, "size")
    assert size.get_attribute("aria-sort") is None
    size.get_by_role("button").click()
    assert size.get_attribute("aria-sort") == "ascending"
    assert _column(table, "size") == sorted(before, key=_kilobytes)
    size.get_by_role("button").click()
    assert size.get_attribute("aria-sort") == "descending"
    assert _column(table, "size") == sorted(before, key=_kilobytes, reverse=True)
    assert page.locator("[role=status]").inner_text().endswith("sorted by size, descending")
    # One column at a time.
    table.get_by_role("columnheader", name="status").get_by_role("button").click()
    assert size.get_attribute("aria-sort") is None
    assert _column(table, "status")[0] == "failed: mismatch"


def test_what_is_unknown_is_last_either_way(report: Path, open_page: Open) -> None:
    table = open_page(report).page.locator("table").first
    button = table.get_by_role("columnheader", name="instructions").get_by_role("button")
    for _ in range(2):
        button.click()
        assert [cell == "-" for cell in _column(table, "instructions")] == [False] * 3 + [True] * 3


def test_a_keyboard_reaches_and_sorts_every_table(report: Path, open_page: Open) -> None:
    page = open_page(report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(300):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "(() => { const e = document.activeElement, t = e.closest('table');"
            " return [e.tagName, t && t.caption.textContent,"
            " getComputedStyle(e).outlineStyle]; })()"
        )
        if where[0] == "BODY":
            break
        # Whatever has the focus shows it.
        assert where[2] != "none", where
        if where[0] == "BUTTON" and where[1] not in reached:
            reached.add(where[1])
            page.keyboard.press("Enter" if len(reached) % 2 else "Space")
            sorted_by = "document.activeElement.closest('th').getAttribute('aria-sort')"
            assert page.evaluate(sorted_by) == "ascending"
    sortable = page.locator("table[data-sortable] caption").all_inner_texts()
    assert reached == set(sortable)


def test_hostile_names_run_nothing(report: Path, open_page: Open) -> None:
    page = open_page(report).page
    assert page.title().startswith("Report on")
    assert page.evaluate("document.scripts.length") == 1
    assert report_builds.HOSTILE_IMAGE in page.locator("main").inner_text()


def test_its_policy_stops_what_would_load(report: Path, open_page: Open, tmp_path: Path) -> None:
    """Even if an image got into the page, the browser would not ask for it."""
    page = tmp_path / "changed.html"
    page.write_text(report.read_text().replace("<main", "<img alt='' src='other.png'><main"))
    visit = open_page(page)
    assert any("Content Security Policy" in text for text in visit.complaints)
    assert visit.page.evaluate("document.images[0].naturalWidth") == 0


def test_it_says_the_same_without_scripts(report: Path, open_page: Open) -> None:
    page = open_page(report, java_script_enabled=False).page
    assert page.locator("thead button").count() == 0
    assert page.locator("table").first.locator("tbody tr").count() == 6


def test_print_is_light_and_shows_all_of_every_table(report: Path, open_page: Open) -> None:
    page = open_page(report, width=720, color_scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    for region in page.locator(".scroll").all():
        hidden = region.evaluate("e => e.scrollWidth - e.clientWidth")
        assert hidden <= 1, region.locator("caption").inner_text()
    assert page.pdf(format="A4").startswith(b"%PDF")


def _column(table: Any, heading: str) -> list[str]:
    place = table.locator("thead th").all_inner_texts().index(heading)
    rows = table.locator("tbody tr").all()
    return [row.locator("th, td").nth(place).inner_text() for row in rows]


def _kilobytes(text: str) -> float:
    return float(text.removesuffix(" kB").replace(",", ""))
