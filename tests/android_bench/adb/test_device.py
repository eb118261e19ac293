"""Parsers of what a device reports about itself."""

import pytest

from agecompact.bench.circumstances import Machine
from android_bench.adb import device_info
from android_bench.adb.conditions import parse_battery, parse_status, parse_zones
from android_bench.adb.device_info import Core, DeviceInfo

_PROPERTIES = """[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 6]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [GS101]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.build.id]: [AP2A.240805.005]
[ro.empty]: []
"""
_CORES = "0 1803000\n1 1803000\n2 1803000\n3 1803000\n4 2253000\n5 2253000\n6 2802000\n7 2802000\n"


def _cpuinfo(*parts):
    return "\n".join(f"CPU implementer\t: 0x41\nCPU part\t: {part}\n" for part in parts)


def test_a_device_as_a_record_describes_it():
    info = DeviceInfo(
        device_info.parse_properties(_PROPERTIES),
        device_info.parse_cores(_CORES),
        device_info.parse_cpuinfo(_cpuinfo(*["0xd05"] * 4, *["0xd0b"] * 2, *["0xd44"] * 2)),
    )
    assert device_info.machine(info) == Machine(
        cpu="2x Cortex-X1 + 2x Cortex-A76 + 4x Cortex-A55",
        os="Android 14 (API 34)",
        name="Google Pixel 6",
        soc="Google GS101",
        abi="arm64-v8a",
        cores=8,
        os_build="AP2A.240805.005",
    )


def test_what_a_device_does_not_report_is_unknown():
    machine = device_info.machine(DeviceInfo({}, (), None))
    assert machine == Machine(cpu="unknown", os="Android of unknown version")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CPU implementer : 0x51\nCPU part : 0x804\n", "1x core 0x51/0x804"),
        ("model name : Intel", None),
    ],
)
def test_cores_of_other_makers_are_named_by_their_numbers(text, name):
    assert device_info.parse_cpuinfo(text) == name


@pytest.mark.parametrize(
    ("threads", "mask"), [(1, "c0"), (2, "c0"), (4, "f0"), (8, "ff"), (9, "ff")]
)
def test_the_fastest_clusters_have_a_core_for_each_thread(threads, mask):
    assert device_info.fastest_cores(device_info.parse_cores(_CORES), threads) == mask


@pytest.mark.parametrize(
    "cores", [(Core(0, 1800.0), Core(1, 1800.0)), (Core(0, 1800.0), Core(1, None)), ()]
)
def test_equal_or_unknown_cores_are_not_pinned(cores):
    assert device_info.fastest_cores(cores, 1) is None


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        # The battery's temperature is in tenths of a degree.
        (parse_battery, "  temperature: 315\n", 31.5),
        (parse_battery, "  temperature: -50\n", -5.0),
        (parse_battery, "  level: 80\n", None),
        (parse_status, "IsStatusOverride: false\nThermal Status: 0\n", "none"),
        (parse_status, "Thermal Status: 3\n", "severe"),
        (parse_status, "Thermal Status: 9\n", None),
        (parse_status, "Can't find service: thermalservice\n", None),
        # The hottest sensor of the processor itself.
        (parse_zones, "41200 cpu-1-0\n39000 cpu-0-0\n99000 battery\n", 41.2),
        (parse_zones, "47 mtktscpu\n", 47.0),
        (parse_zones, "0 cpu-1-0\n", None),
        (parse_zones, " cpu-1-0\n", None),
        (parse_zones, "30000 battery\n", None),
    ],
)
def test_temperatures(parse, text, value):
    assert parse(text) == value
