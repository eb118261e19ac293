"""A browser for the whole run, pages in it, and the packages of npm.

If they are missing, the tests are skipped with the reason; `AGECOMPACT_REQUIRE_BROWSER=1` makes
them fail instead, for CI.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from agecompact.errors import BackendMissingError
from agecompact.web import tools

_REQUIRED = os.environ.get("AGECOMPACT_REQUIRE_BROWSER") == "1"


def _needed(find: Callable[[], Path]) -> Path:
    try:
        return find()
    except BackendMissingError as error:
        if _REQUIRED:
            raise
        pytest.skip(f"no web tools: {error.what}: {error.why}")


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The runtimes, as packages of npm."""
    return _needed(tools.packages)


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which finds what keeps people from using a page."""
    packages = _needed(lambda: tools.packages(Path(__file__).parent))
    return (packages / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, as Playwright's `Browser`."""
    chromium = _needed(tools.chromium)
    if not _REQUIRED:
        pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(chromium))
        yield running
        running.close()


@dataclass
class Visit:
    """A page, and what it did.

    Attributes:
        page: Playwright's `Page`.
        requests: URLs that it asked for, apart from its own and data in it.
        complaints: What it wrote to the console, and errors that it did not catch.
    """

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class Open(Protocol):
    """Opens a file or an address in a page of its own context, made with the other keywords."""

    def __call__(self, page: Path | str, *, width: int = 1280, **context: Any) -> Visit: ...


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens pages, which are closed after the test."""
    contexts = []

    def opened(page: Path | str, *, width: int = 1280, **context: Any) -> Visit:
        viewport = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=viewport, **context))
        visit = Visit(contexts[-1].new_page())
        own = page if isinstance(page, str) else page.resolve().as_uri()

        def requested(request: Any) -> None:
            if request.url.partition("#")[0] != own and not request.url.startswith("data:"):
                visit.requests.append(request.url)

        visit.page.on("request", requested)
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.goto(own)
        return visit

    yield opened
    for each in contexts:
        each.close()
