"""The documentation site in a browser: it reads on a phone, and its search and links work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product

import pytest

from agecompact.web.serving import serving
from tests.support import REPOSITORY
from tests.web.conftest import Open

pytestmark = pytest.mark.slow

_TOOLS = REPOSITORY / "build" / "docs-tools"
_PLACES = list(product((390, 1280), ("light", "dark")))
# The first page, one with a wide table, one with long commands, and one made from docstrings.
_PAGES = ("index.html", "results.html", "quantise.html", "python.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, built from the pages as they are."""
    if not (_TOOLS / ".ready").is_file():
        pytest.skip("no documentation tools: make docs-tools")
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "PYTHONPATH": str(_TOOLS), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir"]
    subprocess.run([*command, folder], cwd=REPOSITORY, env=environment, check=True)
    with serving(folder) as address:
        yield address


@pytest.mark.parametrize(("width", "scheme"), _PLACES)
@pytest.mark.parametrize("name", _PAGES)
def test_a_page_reads_at_any_width_and_loads_nothing_from_elsewhere(
    name: str, width: int, scheme: str, site: str, open_page: Open
) -> None:
    visit = open_page(f"{site}/{name}", width=width, color_scheme=scheme)
    assert visit.page.locator("h1").is_visible()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in visit.requests if not url.startswith((site, "blob:"))] == []
    assert visit.complaints == []


def test_the_search_finds_the_page_about_a_symptom(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/index.html").page
    page.locator("[data-md-component=search-query]").fill("every face 33.5")
    found = page.locator(".md-search-result__link").first
    # The index is built in the page; a machine under load takes its time.
    found.wait_for(timeout=90_000)
    assert "troubleshooting.html" in found.get_attribute("href")


def test_every_link_between_pages_leads_somewhere(site: str, open_page: Open) -> None:
    """Also those that scripts and the theme write, which the strict build does not see."""
    page = open_page(f"{site}/index.html").page
    assert not page.goto(f"{site}/nowhere.html").ok
    waiting, seen = [f"{site}/index.html"], set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        assert page.goto(address).ok, address
        if not address.endswith(".html"):
            continue
        links = page.evaluate("Array.from(document.links, link => link.href.split('#')[0])")
        waiting += [link for link in links if link.startswith(site) and link not in seen]
    assert len([each for each in seen if each.endswith(".html")]) > 30
