"""How hot a device is, how fast it may run, and whether it saves its battery."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agecompact.bench.circumstances import Conditions, Thermal, ThermalStatus
from android_bench.adb.client import Client
from android_bench.adb.device import section, split

_CPUS = "/sys/devices/system/cpu"
_KHZ_PER_MHZ = 1e3
_MILLIDEGREES = 1e3
_TENTHS = 10.0
# Above what silicon bears: such a figure is in thousandths.
_HOTTEST_C = 150.0
_COLDEST_C = -40.0

# android.os.PowerManager.THERMAL_STATUS_*, in the order of their numbers.
_STATUS: tuple[ThermalStatus, ...] = (
    "none",
    "light",
    "moderate",
    "severe",
    "critical",
    "emergency",
    "shutdown",
)
# An idle core's clock says nothing of what it may do: it is read after some 100 ms of work there.
_WORK = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done"


def thermal(client: Client, cores: Sequence[int]) -> Thermal:
    """How hot a device is now, and the clock of its fastest core under load.

    Args:
        client: The device.
        cores: Numbers of the cores that are used.

    Raises:
        AdbFailure: It left.
    """
    mask = f"{sum(1 << core for core in cores):x}"
    clocks = " ".join(f"{_CPUS}/cpu{core}/cpufreq/scaling_cur_freq" for core in cores)
    load = f"{_WORK}; cat {clocks} 2>/dev/null"
    told = split(
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
        status=parse_status(told.get("status", "")),
        battery_temperature_c=parse_battery(told.get("battery", "")),
        cpu_temperature_c=parse_zones(told.get("zones", "")),
        cpu_frequency_mhz=parse_clock(told.get("clock", "")),
    )


def worst(readings: Sequence[Thermal]) -> Thermal | None:
    """The worst that several readings tell; None where there are none."""
    if not readings:
        return None
    statuses = [r.status for r in readings if r.status is not None]
    battery = [r.battery_temperature_c for r in readings if r.battery_temperature_c is not None]
    cpu = [r.cpu_temperature_c for r in readings if r.cpu_temperature_c is not None]
    clocks = [r.cpu_frequency_mhz for r in readings if r.cpu_frequency_mhz is not None]
    return Thermal(
        status=max(statuses, key=_STATUS.index, default=None),
        battery_temperature_c=max(battery, default=None),
        cpu_temperature_c=max(cpu, default=None),
        cpu_frequency_mhz=min(clocks, default=None),
    )


def conditions(
    client: Client, cores: Sequence[int], before: Thermal | None, after: Thermal
) -> Conditions:
    """What a device was doing while something was timed on it.

    Raises:
        AdbFailure: It left.
    """

    def each(name: str) -> str:
        return " ".join(f"{_CPUS}/cpu{core}/cpufreq/{name}" for core in cores)

    told = split(
        client.shell(
            f"{section('governor')}; cat {each('scaling_governor')} 2>/dev/null\n"
            f"{section('limit')}; cat {each('scaling_max_freq')} 2>/dev/null\n"
            f"{section('saving')}; settings get global low_power 2>/dev/null\n"
            f"{section('load')}; cat /proc/loadavg 2>/dev/null\n"
            "true\n"
        ).stdout
    )
    return Conditions(
        governor=", ".join(sorted(set(told.get("governor", "").split()))) or None,
        max_frequency_mhz=parse_clock(told.get("limit", "")),
        low_power_mode=_SAVING.get(told.get("saving", "").strip()),
        load_average=_load(told.get("load", "")),
        before=before,
        after=after,
    )


_SAVING: Mapping[str, bool] = {"0": False, "1": True}


def parse_battery(text: str) -> float | None:
    """Temperature of the battery, degrees Celsius, from `dumpsys battery`, which tells tenths."""
    match = re.search(r"^\s*temperature: (-?\d+)\s*$", text, re.MULTILINE)
    return _plausible(int(match[1]) / _TENTHS) if match else None


def parse_status(text: str) -> ThermalStatus | None:
    """Android's thermal status, from `dumpsys thermalservice` (Android 10 and newer)."""
    match = re.search(r"^\s*Thermal Status: (\d+)\s*$", text, re.MULTILINE)
    return _STATUS[int(match[1])] if match and int(match[1]) < len(_STATUS) else None


def parse_zones(text: str) -> float | None:
    """Temperature of the hottest processor sensor, degrees Celsius, from `temperature type` lines.

    Most kernels tell thousandths of a degree, some old ones degrees.
    """
    found = []
    for line in text.splitlines():
        value, _, name = line.strip().partition(" ")
        if "cpu" in name.lower() and re.fullmatch(r"-?\d+", value):
            degrees = float(value)
            if degrees > _HOTTEST_C or degrees < _COLDEST_C:
                degrees /= _MILLIDEGREES
            found.append(_plausible(degrees))
    # A sensor that is off tells 0, or an absurd figure.
    return max((degrees for degrees in found if degrees), default=None)


def parse_clock(text: str) -> float | None:
    """The highest of several clocks, MHz, from lines in kHz."""
    khz = [int(word) for word in text.split() if word.isdecimal()]
    return max(khz) / _KHZ_PER_MHZ if khz and max(khz) > 0 else None


def _load(text: str) -> float | None:
    match = re.match(r"(\d+\.\d+) ", text)
    return float(match[1]) if match else None


def _plausible(degrees: float) -> float | None:
    return degrees if _COLDEST_C <= degrees <= _HOTTEST_C else None
