"""Gives a converter the same memory addresses in every run, where its output depends on them."""

from __future__ import annotations

import ctypes
import os
import sys

# `personality(2)`: what Linux keeps, and the flag that turns address randomisation off.
_QUERY = 0xFFFFFFFF
_NO_RANDOMISATION = 0x0040000


def fix() -> bool:
    """Starts this process again without address randomisation, unless it runs without it already.

    Returns:
        Whether addresses are the same in every run: not where the system does not allow it.
    """
    if sys.platform != "linux":
        return False
    personality = ctypes.CDLL(None).personality
    personality.argtypes = [ctypes.c_ulong]
    now = personality(_QUERY)
    if now & _NO_RANDOMISATION:
        return True
    if now < 0 or personality(now | _NO_RANDOMISATION) < 0:
        return False
    if not personality(_QUERY) & _NO_RANDOMISATION:
        return False
    return os.execv(sys.executable, sys.orig_argv)
