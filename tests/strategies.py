"""Hypothesis strategies made from the annotations of a checked dataclass."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from hypothesis import strategies as st

from agecompact.checked import Pattern, Range, hints_of, optional

# Generating texts for any pattern takes seconds; a few fixed ones are enough.
_TEXTS = st.sampled_from(("a", "Pixel 8", "große Kerne", "0xf0", "f0", "0" * 64, "ab" * 32, " x\n"))


def checked(kind: type, **given: st.SearchStrategy) -> st.SearchStrategy:
    """Instances of a dataclass; fields with constraints between them must be given."""
    fields = {
        name: given[name] if name in given else _of(hint) for name, hint in hints_of(kind).items()
    }
    return st.builds(kind, **fields)


def _of(hint: Any) -> st.SearchStrategy:
    origin = get_origin(hint)
    if origin is Annotated:
        return _limited(*get_args(hint))
    if (inner := optional(hint)) is not None:
        return st.none() | _of(inner)
    if origin is Literal:
        return st.sampled_from(get_args(hint))
    if origin is tuple:
        return st.lists(_of(get_args(hint)[0]), max_size=3).map(tuple)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(st.text(max_size=5), _of(get_args(hint)[1]), max_size=3)
    if dataclasses.is_dataclass(hint):
        return checked(hint)
    return {
        bool: st.booleans(),
        str: _TEXTS,
        int: st.integers(),
        float: st.floats(allow_nan=False),
    }[hint]


def _limited(base: Any, limit: Range | Pattern) -> st.SearchStrategy:
    if isinstance(limit, Pattern):
        return _TEXTS.filter(lambda text: re.fullmatch(limit.expression, text))
    if base is int:
        return st.integers(limit.at_least, limit.at_most or 1 << 53)
    least = limit.above if limit.above is not None else limit.at_least
    return st.floats(
        least, 1e12 if limit.at_most is None else limit.at_most, exclude_min=limit.above is not None
    )
