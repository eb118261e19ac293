"""Tables that stay readable at any width: names and numbers never break.

Where the width is short, columns that matter least are left out first, and the caption says which.
Where even the others do not fit, each row becomes a block: its name, then a line per column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agecompact.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

# Padding of a column and its border in the box that is drawn.
_PADDING = 3
_NARROWEST_TEXT = 16


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: Its title.
        kind: `name` and `number` never wrap; `text` wraps between words.
        rank: Columns of the highest rank are left out first; those of rank 0 always stay.
    """

    heading: str
    kind: Literal["name", "number", "text"] = "text"
    rank: int = 0


@dataclass(frozen=True)
class Table:
    """Rows of text under columns, drawn to fit the console.

    Attributes:
        columns: The columns; the first names the row.
        rows: A text for each column, which is printed on one line.
        title: Above the table, on one or more lines; empty for none.
        caption: Below it, likewise.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        """Makes the cells printable."""
        rows = tuple(tuple(map(one_line, row)) for row in self.rows)
        object.__setattr__(self, "rows", rows)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Draws the widest form that fits."""
        width = options.max_width
        for rank in sorted({column.rank for column in self.columns}, reverse=True):
            shown = [i for i, column in enumerate(self.columns) if column.rank <= rank]
            if sum(self._narrowest(i) + _PADDING for i in shown) <= width:
                yield self._grid(shown)
                return
        yield from self._blocks()

    def _cells(self, index: int) -> list[str]:
        return [self._heading(index), *(row[index] for row in self.rows)]

    def _heading(self, index: int) -> str:
        return one_line(self.columns[index].heading)

    def _narrowest(self, index: int) -> int:
        """The least width that breaks no name, number or word."""
        cells = self._cells(index)
        whole = max(map(len, cells))
        if self.columns[index].kind != "text":
            return whole
        word = max((len(word) for cell in cells for word in cell.split()), default=0)
        return min(whole, max(word, _NARROWEST_TEXT))

    def _grid(self, shown: Sequence[int]) -> RenderableType:
        from rich import box
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(
            title=Text(_lines(self.title)) if self.title else None,
            caption=Text(self._caption(shown)) if self._caption(shown) else None,
            box=box.SIMPLE_HEAD,
            padding=(0, 1),
            pad_edge=False,
            title_justify="left",
            caption_justify="left",
        )
        for i in shown:
            column = self.columns[i]
            grid.add_column(
                Text(self._heading(i)),
                justify="right" if column.kind == "number" else "left",
                no_wrap=column.kind != "text",
                overflow="fold",
                min_width=self._narrowest(i),
            )
        for row in self.rows:
            grid.add_row(*(Text(row[i]) for i in shown))
        return grid

    def _caption(self, shown: Sequence[int]) -> str:
        left_out = [c.heading for i, c in enumerate(self.columns) if i not in shown]
        note = f"too narrow for: {', '.join(left_out)}" if left_out else ""
        return _lines("\n".join(line for line in (self.caption, note) if line))

    def _blocks(self) -> Iterator[RenderableType]:
        from rich.text import Text

        if self.title:
            yield Text(_lines(self.title), style="italic")
        for row in self.rows:
            yield Text(row[0], style="bold")
            for i, cell in enumerate(row[1:], start=1):
                if cell:
                    yield Text(f"  {self._heading(i)}: {cell}")
        if self.caption:
            yield Text(_lines(self.caption), style="dim italic")


def _lines(text: str) -> str:
    return "\n".join(map(one_line, text.splitlines()))
