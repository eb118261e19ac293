import pytest

from agecompact.bench.drivers import Settings
from agecompact.errors import UsageError
from agecompact.formats import COMPUTE_UNITS
from ios_bench import settings
from tests.ios_bench import swift_source

_UNITS = tuple(COMPUTE_UNITS)


def test_the_units_are_those_of_the_runner():
    source = (swift_source.CORE / "ComputeUnit.swift").read_bytes()
    assert swift_source.types_of(source)["ComputeUnit"].cases == _UNITS


def test_a_mac_is_measured_on_all_units_unless_some_are_named():
    assert settings.of_mac(Settings()).compute_units == _UNITS
    assert settings.of_mac(Settings(place="all,cpuOnly")).compute_units == ("all", "cpuOnly")


@pytest.mark.parametrize(
    ("place", "device", "units"),
    [
        (None, None, _UNITS),
        ("Bench phone", "Bench phone", _UNITS),
        ("Bench phone/cpuOnly", "Bench phone", ("cpuOnly",)),
        ("/all,cpuOnly", None, ("all", "cpuOnly")),
    ],
)
def test_a_device_and_its_units(place, device, units):
    request = settings.of_device(Settings(place=place))
    assert (request.device, request.compute_units) == (device, units)


def test_the_default_is_a_thousand_inferences():
    assert settings.of_mac(Settings()).runs == 1000


@pytest.mark.parametrize("read", [settings.of_mac, settings.of_device])
def test_an_unknown_unit(read):
    place = "ane" if read is settings.of_mac else "phone/ane"
    with pytest.raises(UsageError, match="compute unit 'ane'"):
        read(Settings(place=place))
