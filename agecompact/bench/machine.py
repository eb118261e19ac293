"""What the system tells of the machine at hand; None for what it does not tell."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from agecompact.bench.circumstances import Conditions, Machine, Thermal

_ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
_KHZ_PER_MHZ = 1e3
_MILLIDEGREES = 1e3
# What Linux calls the processor's own sensor, on x86 and on ARM.
_PROCESSOR_ZONES = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "coretemp")


def this_machine(root: Path = _ROOT) -> Machine:
    """The machine at hand.

    Args:
        root: Folder that holds `proc`.
    """
    return Machine(
        cpu=_cpu_name(root),
        os=platform.platform(),
        abi=platform.machine() or None,
        cores=os.cpu_count(),
    )


def conditions(before: Thermal, after: Thermal, root: Path = _ROOT) -> Conditions:
    """What the machine at hand was doing while something was timed on it.

    Args:
        before: `thermal()` before the first timed inference.
        after: And after the last.
        root: Folder that holds `sys`.
    """
    policies = sorted((root / _CPUS).glob("cpufreq/policy*"))
    governors = {text for p in policies if (text := _text(p / "scaling_governor"))}
    return Conditions(
        governor=", ".join(sorted(governors)) or None,
        max_frequency_mhz=_highest_mhz(p / "scaling_max_freq" for p in policies),
        load_average=_load_average(),
        before=before,
        after=after,
    )


def thermal(root: Path = _ROOT) -> Thermal:
    """How hot the processor is and how fast its fastest core runs, now.

    Args:
        root: Folder that holds `sys`.
    """
    policies = (root / _CPUS).glob("cpufreq/policy*")
    return Thermal(
        cpu_temperature_c=_processor_temperature_c(root),
        cpu_frequency_mhz=_highest_mhz(p / "scaling_cur_freq" for p in policies),
    )


def _cpu_name(root: Path) -> str:
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def _processor_temperature_c(root: Path) -> float | None:
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        told = _number(zone / "temp")
        if told is not None and _text(zone / "type") in _PROCESSOR_ZONES:
            return told / _MILLIDEGREES
    return None


def _highest_mhz(paths: Iterable[Path]) -> float | None:
    return max((khz / _KHZ_PER_MHZ for p in paths if (khz := _number(p))), default=None)


def _load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    # Sensors come and go, and some answer a read with an error of their own.
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
