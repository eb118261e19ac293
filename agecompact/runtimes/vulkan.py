"""Vulkan for runtimes that compute on a GPU.

The drivers that `VK_DRIVER_FILES` or `VK_ICD_FILENAMES` names are used. Without them, it is
SwiftShader, a GPU in software that Chromium brings: slow, and the same on every machine. It has no
half precision.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from agecompact.errors import BackendMissingError

_DRIVERS = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
# Where Debian, Ubuntu, Fedora and Google put them.
_CHROMIUM = ("/usr/lib/chromium", "/usr/lib64/chromium-browser", "/opt/google/chrome")
_LOADER = "libvulkan.so.1"


def prepare() -> None:
    """Makes Vulkan available to libraries that this process loads later.

    Raises:
        BackendMissingError: There is no Vulkan loader, or no driver.
    """
    chromium = next(_installed(), None)
    if not any(os.environ.get(name) for name in _DRIVERS):
        if chromium is None:
            raise BackendMissingError(
                "no Vulkan driver is installed",
                why="neither VK_DRIVER_FILES names one, nor is Chromium's SwiftShader there",
                fix="apt-get install chromium",
            )
        os.environ["VK_ICD_FILENAMES"] = str(chromium / "vk_swiftshader_icd.json")
    places = [_LOADER, *([str(chromium / _LOADER)] if chromium else [])]
    for place in places:
        try:
            ctypes.CDLL(place, ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return
    raise BackendMissingError(
        "no Vulkan loader is installed",
        why=f"{_LOADER} is not there",
        fix="apt-get install libvulkan1",
    )


def _installed() -> Iterator[Path]:
    for place in map(Path, _CHROMIUM):
        if (place / "vk_swiftshader_icd.json").is_file():
            yield place
