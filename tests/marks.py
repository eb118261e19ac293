"""Which models the fast tests leave to the slow ones."""

from __future__ import annotations

import pytest
from _pytest.mark.structures import ParameterSet

# Slow tests cover them; the fast ones convert ssrnet and c3ae, with the same checks. c3ae has the
# trunk of c3ae-plain, and converting mobileagenet takes a minute.
SLOW_MODELS = frozenset({"mobileagenet", "ssrnet-gender", "c3ae-plain"})


def by_model(*rows: str | tuple[object, ...]) -> list[ParameterSet]:
    """Parameters that begin with a model's id; those of slow models are marked slow."""
    made = []
    for row in rows:
        values = (row,) if isinstance(row, str) else row
        # `ssrnet.onnx` names a file of a model.
        is_slow = str(values[0]).partition(".")[0] in SLOW_MODELS
        marks = [pytest.mark.slow] if is_slow else []
        made.append(pytest.param(*values, marks=marks))
    return made
