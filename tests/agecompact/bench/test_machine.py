import pytest

from agecompact.bench.circumstances import Thermal
from agecompact.bench.machine import conditions, thermal, this_machine


@pytest.fixture
def root(tmp_path):
    """A system with two clusters and a sensor."""
    files = {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: A processor\n",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil\n",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1800000\n",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "2000000\n",
        "sys/devices/system/cpu/cpufreq/policy4/scaling_governor": "performance\n",
        "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq": "2600000\n",
        "sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq": "2841600\n",
        "sys/class/thermal/thermal_zone0/type": "acpitz\n",
        "sys/class/thermal/thermal_zone0/temp": "27000\n",
        "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
        "sys/class/thermal/thermal_zone1/temp": "61500\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_machine_is_read_from_the_system(root):
    assert this_machine(root).cpu == "A processor"
    now = thermal(root)
    assert now == Thermal(cpu_temperature_c=61.5, cpu_frequency_mhz=2600.0)
    state = conditions(now, now, root)
    assert state.governor == "performance, schedutil"
    assert state.max_frequency_mhz == pytest.approx(2841.6)
    assert state.before == state.after == now


def test_what_the_system_does_not_report_is_unknown(tmp_path):
    assert thermal(tmp_path) == Thermal()
    state = conditions(Thermal(), Thermal(), tmp_path)
    assert (state.governor, state.max_frequency_mhz) == (None, None)
    assert this_machine(tmp_path).cpu


def test_an_unreadable_sensor_is_unknown(root):
    (root / "sys/class/thermal/thermal_zone1/temp").write_text("")
    (root / "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq").write_text("<unknown>")
    assert thermal(root) == Thermal(cpu_frequency_mhz=1800.0)
