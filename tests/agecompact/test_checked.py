from dataclasses import dataclass

import pytest

from agecompact.checked import Checked, Ms
from agecompact.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class _Inner(Checked):
    time_ms: Ms


@dataclass(frozen=True, kw_only=True)
class _Outer(Checked):
    items: tuple[_Inner, ...] = ()


def test_a_wrong_field_is_refused():
    with pytest.raises(UsageError, match="items is"):
        _Outer(items=[_Inner(time_ms=1.0)])
    with pytest.raises(UsageError, match="time_ms is 0"):
        _Inner(time_ms=0.0)
