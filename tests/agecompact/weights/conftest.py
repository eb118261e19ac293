from __future__ import annotations

import json
from typing import Any

import pytest

from agecompact import isolation
from agecompact.imports import resolve
from agecompact.serialization import unstructure


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads pickles without the start of a process, which takes seconds."""

    def call(reference: str, *arguments: Any, **_: float) -> Any:
        return json.loads(json.dumps(unstructure(resolve(reference)(*map(str, arguments)))))

    monkeypatch.setattr(isolation, "call", call)
