"""The page: its structure, that it loads nothing, and that text stays text."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from agecompact.commands.report import command
from agecompact.errors import BackendMissingError
from agecompact.report import evidence
from agecompact.report.compose import compose
from agecompact.report.document import Grid
from agecompact.report.to_html import to_html
from tests import report_builds

# Elements of HTML that have no end tag.
_VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, *tags: str) -> Iterator[Element]:
        for child in self.children:
            if not tags or child.tag in tags:
                yield child
            yield from child.all(*tags)

    def one(self, tag: str) -> Element:
        (found,) = self.all(tag)
        return found

    @property
    def content(self) -> str:
        return self.text + "".join(child.content for child in self.children)


class _Tree(HTMLParser):
    """Elements as they nest; every end tag must match."""

    def __init__(self) -> None:
        super().__init__()
        self.root = self._open = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self._open)
        assert len(made.attributes) == len(attrs), f"{tag} has an attribute twice"
        self._open.children.append(made)
        if tag not in _VOID:
            self._open = made

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.tag == tag
        assert self._open.parent is not None
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        self._open.text += data


def parsed(html: str) -> Element:
    tree = _Tree()
    tree.feed(html)
    tree.close()
    assert tree._open is tree.root, f"{tree._open.tag} is not closed"
    return tree.root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with hostile names, a failure, an evaluation and a conversion that failed."""
    name = report_builds.HOSTILE_NAME
    root = report_builds.write(
        tmp_path_factory.mktemp("build"), name, failing=[f"{name}_int8.tflite"]
    )
    report_builds.add_not_made(root, f"{name}_int8-weights.tflite", report_builds.HOSTILE)
    report_builds.write_evaluation(root / "evaluation.json", root, f"{name}_int8.tflite")
    return root


@pytest.fixture(scope="module")
def html(root: Path) -> str:
    return to_html(compose(evidence.read(root, [root / "evaluation.json"])))


@pytest.fixture(scope="module")
def page(html: str) -> Element:
    return parsed(html)


def test_it_loads_nothing(html: str, page: Element) -> None:
    for element in page.all():
        for name, value in element.attributes.items():
            if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
                assert value.startswith(("#", "data:")), (element.tag, name, value)
            assert not re.search(r"url\((?!#)|@import", value), (element.tag, name, value)
    style = page.one("style").content
    assert "url(" not in style
    assert "@import" not in style
    assert "http:" not in html
    assert "https:" not in html
    assert len(html) < 1_500_000


def test_its_policy_allows_its_own_script_and_nothing_else(page: Element) -> None:
    (policy,) = [
        each.attributes["content"]
        for each in page.all("meta")
        if each.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    script = page.one("script").content
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy


def test_names_of_files_stay_text(page: Element) -> None:
    assert len(list(page.all("script"))) == 1
    assert not list(page.all("img"))
    names = [row.content for row in page.all("th") if row.attributes["scope"] == "row"]
    assert f"{report_builds.HOSTILE_NAME}_int8.tflite" in names
    assert report_builds.HOSTILE_NAME in page.one("head").one("title").content
    for text in (report_builds.HOSTILE, report_builds.HOSTILE_IMAGE):
        assert text in page.content
    assert not any(name.startswith("on") for e in page.all() for name in e.attributes)


def test_control_characters_and_broken_names_are_escaped(tmp_path: Path) -> None:
    root = report_builds.write(tmp_path, failing=["ssrnet_int8.tflite"])
    report_builds.edit_results(
        root, lambda found: found[-1].update(reason="a\x1b[31m\nb \u202e \u2028")
    )
    html = to_html(compose(evidence.read(root)))
    assert html.encode()
    assert r"a\x1b[31m\nb \u202e \u2028" in parsed(html).content


def test_the_verdict_comes_first(page: Element) -> None:
    content = page.one("body").content
    places = [content.index(text) for text in ("Failed", "Greatest error", "All artefacts")]
    assert places == sorted(places)
    assert page.one("html").attributes["lang"] == "en"
    assert len(list(page.all("h1"))) == len(list(page.all("main"))) == 1


def test_every_cell_of_the_report_is_in_a_table_with_named_rows_and_columns(
    root: Path, page: Element
) -> None:
    report = compose(evidence.read(root, [root / "evaluation.json"]))
    grids = [p for s in report.sections for p in s.parts if isinstance(p, Grid)]
    tables = list(page.all("table"))
    assert len(tables) == len(grids) > 6
    for grid, table in zip(grids, tables, strict=True):
        assert table.one("caption").content == grid.caption
        headings = list(table.one("thead").all("th"))
        assert [each.content for each in headings] == [c.heading for c in grid.columns]
        assert {each.attributes["scope"] for each in headings} == {"col"}
        lines = list(table.one("tbody").all("tr"))
        for line, row in zip(lines, grid.rows, strict=True):
            first, *others = line.all("th", "td")
            assert (first.tag, first.attributes["scope"]) == ("th", "row")
            assert {each.tag for each in others} == {"td"}
            assert [each.content for each in (first, *others)] == [cell.text for cell in row]
            values = [each.attributes.get("data-value") for each in (first, *others)]
            assert [v and float(v) for v in values] == [cell.value for cell in row]


def test_every_chart_is_one_picture_with_a_name_and_a_description(page: Element) -> None:
    charts = list(page.all("svg"))
    assert len(charts) == 6
    by_id = {e.attributes["id"]: e for e in page.all() if "id" in e.attributes}
    for chart in charts:
        assert chart.attributes["role"] == "img"
        title, description = (by_id[name] for name in chart.attributes["aria-labelledby"].split())
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.content
        assert "table" in description.content
        assert chart.attributes["viewbox"]
        # Nothing in it has a role or a name of its own.
        inner = [e for e in chart.all() if e is not title and e is not description]
        assert inner
        assert not any(n == "role" or n.startswith("aria") for e in inner for n in e.attributes)


def test_colours_of_charts_are_those_of_the_page(page: Element) -> None:
    style = page.one("style").content
    used = {
        name
        for chart in page.all("svg")
        for element in chart.all()
        for value in element.attributes.values()
        for name in re.findall(r"var\((--[\w-]+)\)", value)
    }
    assert {"--text", "--line", "--series-1", "--limit"} <= used
    for name in used:
        # In the light and in the dark set.
        assert style.count(f"{name}:") == 2, name
    colours = {
        e.attributes[paint]
        for chart in page.all("svg")
        for e in chart.all()
        for paint in ("fill", "stroke")
        if paint in e.attributes
    }
    fixed = {each for each in colours if not each.startswith("var(")}
    assert fixed <= {"none", "transparent"}, fixed


def test_ids_are_unique_and_links_lead_somewhere(page: Element) -> None:
    ids = [e.attributes["id"] for e in page.all() if "id" in e.attributes]
    assert len(set(ids)) == len(ids)
    links = [e.attributes["href"] for e in page.all("a")]
    assert {link[1:] for link in links} <= set(ids)
    for element in page.all():
        for name in element.attributes.get("aria-labelledby", "").split():
            assert name in ids


def test_a_build_without_results_is_a_page_too(tmp_path: Path) -> None:
    root = report_builds.write(tmp_path)
    for name in ("parity.json", "latency.json"):
        (root / name).unlink()
    page = parsed(to_html(compose(evidence.read(root))))
    assert "Incomplete" in page.one("body").content
    assert not list(page.all("svg"))
    assert page.content.count("Not measured yet: ") >= 3


def test_without_the_extra_nothing_is_written_and_the_error_names_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    page = tmp_path / "report.html"
    page.write_text("an earlier page")
    done = CliRunner().invoke(command, [str(root), "--html", str(page)])
    assert isinstance(done.exception, BackendMissingError)
    assert ".[report]" in done.exception.fix
    assert not page.exists()


def test_the_command_writes_the_page_the_markdown_and_the_verdict(
    root: Path, tmp_path: Path
) -> None:
    page, table, content = (tmp_path / name for name in ("r.html", "r.md", "r.json"))
    words = ["--html", page, "--markdown", table, "--json", content]
    evaluation = ["--evaluation", root / "evaluation.json"]
    done = CliRunner().invoke(command, [str(word) for word in (root, *words, *evaluation)])
    assert done.exception is None, done.output
    assert "failed: 7 artefacts: 5 passed, 1 failed, 1 could not be made." in done.output
    assert parsed(page.read_text()).one("h1").content
    assert "By decade" in table.read_text()
    assert '"outcome": "failed"' in content.read_text()
