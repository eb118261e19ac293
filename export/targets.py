"""Selects what to export."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from agecompact.errors import UsageError, unknown_name
from agecompact.formats import EXPORTED, OFFERED, Format, Target
from agecompact.precisions import PRECISIONS


def select(
    formats: Iterable[str], precisions: Iterable[str], *, everywhere: bool = False
) -> tuple[Target, ...]:
    """The targets of the named formats and precisions.

    The sources that a target is converted from are included.

    Args:
        formats: Names of formats; empty for the usual ones that have one of the precisions.
        precisions: Flags of precisions, such as `fp16`; empty for those that are made by default.
        everywhere: Whether the usual formats include those of other processors, if installed.

    Raises:
        UsageError: A name is unknown, or a named format has none of the precisions.
    """
    named = tuple(formats)
    formats = named or tuple(n for n, each in EXPORTED.items() if _is_usual(each, everywhere))
    by_flag = {precision.flag: precision for precision in PRECISIONS.values()}
    precisions = tuple(precisions)
    flags = precisions or tuple(by_flag)
    for name in formats:
        if name not in EXPORTED:
            raise unknown_name("format", name, EXPORTED)
    for flag in flags:
        if flag not in by_flag:
            raise unknown_name("precision", flag, by_flag)
    wanted = [by_flag[flag] for flag in flags]
    for name in formats:
        known = [PRECISIONS[each] for each in EXPORTED[name].offered]
        if named and not any(each in wanted for each in known):
            raise UsageError(
                f"{name} is not exported in {' or '.join(each.name for each in wanted)}",
                why=f"its precisions are {', '.join(each.name for each in known)}",
                fix=f"add --precision {known[0].flag}",
            )
    chosen = {
        t
        for t in OFFERED
        if t.format.name in formats and t.precision in wanted
        if precisions or t.precision.name in t.format.precisions
    }
    for converter in [target.format.converter for target in chosen]:
        if converter is not None and converter.source is not None:
            source = EXPORTED[converter.source]
            chosen.add(Target(source, PRECISIONS[source.precisions[0]]))
    return tuple(target for target in OFFERED if target in chosen)


def _is_usual(format_: Format, everywhere: bool) -> bool:
    if format_.made == "always":
        return True
    return everywhere and format_.made == "everywhere" and find_spec(format_.module) is not None
