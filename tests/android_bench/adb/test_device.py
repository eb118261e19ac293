"""What a device says of itself, and how hot it is."""

import pytest

from agecompact.bench.circumstances import Machine
from android_bench.adb import device, heat
from android_bench.adb.device import Core

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


def test_a_device_as_a_record_holds_it():
    facts = device.Facts(
        device.parse_properties(_PROPERTIES),
        device.parse_cores(_CORES),
        device.parse_cpuinfo(_cpuinfo(*["0xd05"] * 4, *["0xd0b"] * 2, *["0xd44"] * 2)),
    )
    told = device.machine(facts)
    assert told == Machine(
        cpu="2x Cortex-X1 + 2x Cortex-A76 + 4x Cortex-A55",
        os="Android 14 (API 34)",
        name="Google Pixel 6",
        soc="Google GS101",
        abi="arm64-v8a",
        cores=8,
        os_build="AP2A.240805.005",
    )


def test_what_a_device_does_not_tell_is_unknown():
    told = device.machine(device.Facts({}, (), None))
    assert told == Machine(cpu="unknown", os="Android of unknown version")


def test_cores_of_other_makers_keep_their_numbers():
    assert (
        device.parse_cpuinfo("CPU implementer : 0x51\nCPU part : 0x804\n") == "1x core 0x51/0x804"
    )
    assert device.parse_cpuinfo("model name : Intel") is None


@pytest.mark.parametrize(
    ("threads", "mask"), [(1, "c0"), (2, "c0"), (4, "f0"), (8, "ff"), (9, "ff")]
)
def test_the_fastest_clusters_that_have_a_core_a_thread(threads, mask):
    assert device.fastest(device.parse_cores(_CORES), threads) == mask


def test_where_there_is_no_choice_nothing_is_pinned():
    assert device.fastest((Core(0, 1800.0), Core(1, 1800.0)), 1) is None
    assert device.fastest((Core(0, 1800.0), Core(1, None)), 1) is None
    assert device.fastest((), 1) is None


@pytest.mark.parametrize(
    ("text", "degrees"),
    [("  temperature: 315\n", 31.5), ("  temperature: -50\n", -5.0), ("  level: 80\n", None)],
)
def test_the_battery_tells_tenths_of_a_degree(text, degrees):
    assert heat.parse_battery(text) == degrees


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("IsStatusOverride: false\nThermal Status: 0\n", "none"),
        ("Thermal Status: 3\n", "severe"),
        ("Thermal Status: 9\n", None),
        ("Can't find service: thermalservice\n", None),
    ],
)
def test_the_thermal_status(text, status):
    assert heat.parse_status(text) == status


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("41200 cpu-1-0\n39000 cpu-0-0\n99000 battery\n", 41.2),
        ("47 mtktscpu\n", 47.0),
        ("0 cpu-1-0\n", None),
        (" cpu-1-0\n", None),
        ("30000 battery\n", None),
    ],
)
def test_the_hottest_of_the_processors_own_sensors(text, degrees):
    assert heat.parse_zones(text) == degrees
