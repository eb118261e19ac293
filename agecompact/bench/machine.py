"""What the operating system reports about this machine; None for what it does not report."""

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
# Linux's names of the processor's own sensor, on x86 and on ARM.
_PROCESSOR_ZONES = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "coretemp")


def this_machine(root: Path = _ROOT) -> Machine:
    """Describes this machine.

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
    """Describes the state of this machine during a measurement.

    Args:
        before: `thermal()` before the first timed inference.
        after: `thermal()` after the last one.
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
    """Returns the processor's current temperature, and the clock of its fastest core.

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
        millidegrees = _number(zone / "temp")
        if millidegrees is not None and _text(zone / "type") in _PROCESSOR_ZONES:
            return millidegrees / _MILLIDEGREES
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
    # Sensors come and go, and reading some of them fails.
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
