"""Templates as files of a project. Text of foreign files gets into code only as quoted literals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Any

from agecompact.text import one_line

_SUFFIX = ".j2"
# A part of every README.
_CONTRACT = "contract.md.j2"
# Names of files, models and versions. Anything else must be quoted, or stand in prose.
_PLAIN = re.compile(r"[\w.+/ -]*")


class _Code(str):
    """Text that is right as it is in the language of the file."""

    __slots__ = ()


def rendered(platform: str, values: Mapping[str, Any]) -> dict[PurePosixPath, str]:
    """The files of a platform's templates.

    Names that end with `.j2` are templates of Jinja; others are copied.

    Args:
        platform: Name of the folder of templates.
        values: What the templates use. Strings among them come from foreign files: a template
            quotes them for its language, with `| py`, `| js`, `| kotlin` or `| swift`, or puts them
            in prose, with `| prose`.

    Raises:
        ValueError: A template has a string that it does not quote. A bug.
    """
    from jinja2 import BaseLoader, Environment, StrictUndefined

    # Code is no HTML to escape; `finalize` refuses what is not quoted for its language.
    environment = Environment(
        loader=BaseLoader(),
        autoescape=False,
        undefined=StrictUndefined,
        finalize=_checked,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= _FILTERS
    folder = resources.files(__package__).joinpath("templates")
    shared = environment.from_string(folder.joinpath(_CONTRACT).read_text(encoding="utf-8"))
    values = {**values, "contract_text": _Code(shared.render(values).rstrip())}
    files = {}
    for place, file in _files(folder.joinpath(platform), PurePosixPath()):
        text = file.read_text(encoding="utf-8")
        if place.suffix == _SUFFIX:
            place, text = place.with_suffix(""), environment.from_string(text).render(values)
        if text.strip():
            files[place] = text
    return files


def _files(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for child in sorted(folder.iterdir(), key=lambda each: each.name):
        if child.is_dir():
            yield from _files(child, at / child.name)
        elif not child.name.endswith((".pyc", "~")):
            yield at / child.name, child


def _checked(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, _Code) and not _PLAIN.fullmatch(value):
        raise ValueError(f"a template does not quote {value!r}")
    return value


def _python(value: Any) -> str:
    text = ascii(value)
    bare = text[1:-1]
    return f'"{bare}"' if isinstance(value, str) and not {'"', "'"} & set(value) else text


def _javascript(value: Any) -> str:
    # `</script>` would end a script in a page.
    return json.dumps(value).replace("<", "\\u003c")


def _kotlin(value: Any) -> str:
    return json.dumps(value).replace("$", "\\$")


def _swift(value: str) -> str:
    plain = {'"': '\\"', "\\": "\\\\"}
    made = (
        plain.get(c, c) if " " <= c <= "~" else f"\\u{{{ord(c):x}}}"
        for c in value.encode("utf-8", "replace").decode()
    )
    return f'"{"".join(made)}"'


def _prose(value: Any) -> str:
    """One line of text for Markdown and comments, without what would end either."""
    return re.sub(r"[`*<>|\\\"]", "", one_line(str(value)))


def _as_code(write: Callable[[Any], str]) -> Callable[[Any], _Code]:
    return lambda value: _Code(write(value))


_FILTERS: Mapping[str, Callable[[Any], _Code]] = {
    # For constants of a template alone.
    "code": _Code,
    "py": _as_code(_python),
    "js": _as_code(_javascript),
    "kotlin": _as_code(_kotlin),
    "swift": _as_code(_swift),
    "prose": _as_code(_prose),
}
