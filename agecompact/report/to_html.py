"""A report as one HTML page that loads nothing, for screens of any width, print and readers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from typing import TYPE_CHECKING, Any

from agecompact import __version__
from agecompact.report.document import Cell, Chart, Grid, Report
from agecompact.report.drawing import svg
from agecompact.text import one_line

if TYPE_CHECKING:
    from markupsafe import Markup

_FOLDER = "page"


def to_html(report: Report) -> str:
    """The page.

    Text of the report stays text, whatever it looks like. Charts are drawn as SVG, in the colours
    of the page, which follow the reader's choice of light or dark.

    Raises:
        BackendMissingError: The extra that draws charts is not installed.
    """
    from jinja2 import BaseLoader, Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=BaseLoader(),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
    )
    environment.tests |= {
        "chart": lambda part: isinstance(part, Chart),
        "grid": lambda part: isinstance(part, Grid),
    }
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(_file("page.html.j2")).render(
        report=report,
        version=__version__,
        style=Markup(_file("page.css")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        draw=_draw,
        breakable=_breakable,
        listed=_listed,
        sorted_by=_sorted_by,
        marked=_marked,
    )


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(_FOLDER, name).read_text(encoding="utf-8")


def _printable(value: Any) -> Any:
    """Text of files and programs on one line; what is markup already stays as it is."""
    return one_line(value) if type(value) is str else value


def _draw(chart: Chart, name: str) -> Markup:
    from markupsafe import Markup

    drawn = svg(
        chart.spec,
        title=one_line(chart.title),
        description=one_line(chart.description),
        name=name,
    )
    return Markup(drawn)


def _breakable(text: str) -> Markup:
    """Text that may break after what joins the parts of file names."""
    from markupsafe import Markup, escape

    made = str(escape(one_line(text)))
    return Markup(made.replace("_", "_<wbr>"))


def _listed(lines: Iterable[str]) -> Markup:
    from markupsafe import Markup, escape

    return Markup("\n").join(escape(one_line(line)) for line in lines)


def _sorted_by(cell: Cell) -> Markup:
    from markupsafe import Markup

    return Markup("" if cell.value is None else f' data-value="{cell.value!r}"')


def _marked(cell: Cell) -> Markup:
    """What colours a verdict."""
    from markupsafe import Markup

    status = next((s for s in ("passed", "failed") if cell.text.startswith(s)), "")
    return Markup(f' data-status="{status}"' if status else "")
