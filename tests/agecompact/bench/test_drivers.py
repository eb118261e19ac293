import inspect

import pytest

from agecompact.bench import host
from agecompact.bench.drivers import DRIVERS, known_places, resolve
from agecompact.errors import UsageError


def test_a_place_is_a_harness_and_what_follows_its_colon():
    assert resolve("host") == (DRIVERS["host"], None)
    assert resolve("emulated:cortex-a76") == (DRIVERS["emulated"], "cortex-a76")
    assert resolve("emulated") == (DRIVERS["emulated"], None)
    # A serial of a phone on the network holds a colon of its own.
    assert resolve("adb:10.0.0.2:5555") == (DRIVERS["adb"], "10.0.0.2:5555")


@pytest.mark.parametrize("where", ["host:here", "host:", "emulated:"])
def test_a_place_that_takes_no_such_thing_is_refused(where):
    with pytest.raises(UsageError, match="cannot measure on"):
        resolve(where)


def test_an_unknown_place_suggests_the_nearest():
    with pytest.raises(UsageError, match="unknown place to measure 'hots'") as refused:
        resolve("hots")
    assert refused.value.fix == "did you mean 'host'?"


def test_a_harness_is_loaded_by_name():
    assert DRIVERS["host"].load() is host.measure_build


@pytest.mark.parametrize("name", DRIVERS)
def test_every_harness_takes_a_build_settings_and_a_report(name):
    parameters = inspect.signature(DRIVERS[name].load()).parameters
    assert list(parameters) == ["build", "settings", "report"]


def test_every_harness_is_in_the_help():
    assert all(name in known_places() for name in DRIVERS)
