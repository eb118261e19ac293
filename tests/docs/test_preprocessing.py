"""The table of what mistakes cost is that of the cards."""

from __future__ import annotations

from tests.docs import preprocessing
from tests.support import REPOSITORY


def test_the_table_is_that_of_the_cards() -> None:
    page = (REPOSITORY / "docs" / "preprocessing.md").read_text(encoding="utf-8")
    shown = page.partition("-->\n")[2].partition("\n<!-- end")[0].splitlines()
    assert shown == list(preprocessing.rows())
    assert len(shown) > 15
