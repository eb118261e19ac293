"""A device's temperature, clocks and power saving."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import get_args

from agecompact.bench.circumstances import AndroidThermalStatus, Conditions, Thermal
from android_bench.adb.client import Client
from android_bench.adb.device_info import CPUS, KHZ_PER_MHZ, section, split_sections

_MILLIDEGREES = 1e3
_TENTHS = 10.0
# A value outside these is in thousandths of a degree, or wrong.
_HOTTEST_C = 150.0
_COLDEST_C = -40.0

# From cool to hot.
STATUSES: tuple[AndroidThermalStatus, ...] = get_args(AndroidThermalStatus)
_LOW_POWER: Mapping[str, bool] = {"0": False, "1": True}
# An idle core lowers its clock, so the clock is read after some 100 ms of work.
_WORK = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done"


def thermal(client: Client, cores: Sequence[int]) -> Thermal:
    """The device's temperatures, and the clock of its fastest core under load.

    Args:
        client: The device.
        cores: Numbers of the cores in use.

    Raises:
        AdbFailure: The device was lost.
    """
    mask = f"{sum(1 << core for core in cores):x}"
    load = f"{_WORK}; cat {_clock_files(cores, 'scaling_cur_freq')} 2>/dev/null"
    sections = split_sections(
        client.shell(
            f"{section('battery')}; dumpsys battery 2>/dev/null\n"
            f"{section('status')}; dumpsys thermalservice 2>/dev/null\n"
            f"{section('zones')}\n"
            "for zone in /sys/class/thermal/thermal_zone*; do\n"
            '  echo "$(cat "$zone/temp" 2>/dev/null) $(cat "$zone/type" 2>/dev/null)"\n'
            "done\n"
            f"{section('clock')}; taskset {mask} sh -c '{load}' || ({load}); true\n"
        ).stdout
    )
    return Thermal(
        status=parse_status(sections.get("status", "")),
        battery_temperature_c=parse_battery(sections.get("battery", "")),
        cpu_temperature_c=parse_zones(sections.get("zones", "")),
        cpu_frequency_mhz=parse_clock(sections.get("clock", "")),
    )


def conditions(
    client: Client, cores: Sequence[int], before: Thermal | None, after: Thermal
) -> Conditions:
    """The state of a device during a measurement.

    Raises:
        AdbFailure: The device was lost.
    """
    sections = split_sections(
        client.shell(
            f"{section('governor')}; cat {_clock_files(cores, 'scaling_governor')} 2>/dev/null\n"
            f"{section('limit')}; cat {_clock_files(cores, 'scaling_max_freq')} 2>/dev/null\n"
            f"{section('low power')}; settings get global low_power 2>/dev/null\n"
            f"{section('load')}; cat /proc/loadavg 2>/dev/null\n"
            "true\n"
        ).stdout
    )
    return Conditions(
        governor=", ".join(sorted(set(sections.get("governor", "").split()))) or None,
        max_frequency_mhz=parse_clock(sections.get("limit", "")),
        low_power_mode=_LOW_POWER.get(sections.get("low power", "").strip()),
        load_average=_load_average(sections.get("load", "")),
        before=before,
        after=after,
    )


def _clock_files(cores: Sequence[int], name: str) -> str:
    return " ".join(f"{CPUS}/cpu{core}/cpufreq/{name}" for core in cores)


def parse_battery(text: str) -> float | None:
    """The battery's temperature in degrees Celsius, from `dumpsys battery`, which prints tenths."""
    match = re.search(r"^\s*temperature: (-?\d{1,9})\s*$", text, re.MULTILINE)
    return _plausible(int(match[1]) / _TENTHS) if match else None


def parse_status(text: str) -> AndroidThermalStatus | None:
    """Android's thermal status, from `dumpsys thermalservice` (Android 10 and newer)."""
    match = re.search(r"^\s*Thermal Status: (\d{1,9})\s*$", text, re.MULTILINE)
    return STATUSES[int(match[1])] if match and int(match[1]) < len(STATUSES) else None


def parse_zones(text: str) -> float | None:
    """The hottest processor sensor in degrees Celsius, from `temperature type` lines.

    Most kernels report thousandths of a degree, some old ones degrees.
    """
    readings = []
    for line in text.splitlines():
        value, _, name = line.strip().partition(" ")
        if "cpu" in name.lower() and re.fullmatch(r"-?\d{1,9}", value):
            degrees = float(value)
            if degrees > _HOTTEST_C or degrees < _COLDEST_C:
                degrees /= _MILLIDEGREES
            readings.append(_plausible(degrees))
    # A sensor that is off reports 0 or an absurd value.
    return max((degrees for degrees in readings if degrees), default=None)


def parse_clock(text: str) -> float | None:
    """The highest of several clocks in MHz, from lines in kHz."""
    khz = [int(word) for word in text.split() if re.fullmatch(r"\d{1,9}", word)]
    return max(khz) / KHZ_PER_MHZ if khz and max(khz) > 0 else None


def _load_average(text: str) -> float | None:
    match = re.match(r"(\d{1,9}\.\d{1,9}) ", text)
    return float(match[1]) if match else None


def _plausible(degrees: float) -> float | None:
    return degrees if _COLDEST_C <= degrees <= _HOTTEST_C else None
