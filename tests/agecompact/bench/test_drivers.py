import inspect

import pytest

from agecompact import imports
from agecompact.bench.drivers import DRIVERS, driver_commands, known_places, parse_place
from agecompact.errors import UsageError
from agecompact.formats import RUNTIMES


def test_a_place_is_a_driver_and_what_follows_its_colon():
    assert parse_place("host") == (DRIVERS["host"], None)
    assert parse_place("emulated:cortex-a76") == (DRIVERS["emulated"], "cortex-a76")
    assert parse_place("emulated") == (DRIVERS["emulated"], None)
    # A serial of a phone on the network holds a colon of its own.
    assert parse_place("adb:10.0.0.2:5555") == (DRIVERS["adb"], "10.0.0.2:5555")


@pytest.mark.parametrize("where", ["host:here", "host:", "emulated:"])
def test_a_wrong_place_is_refused(where):
    with pytest.raises(UsageError, match="cannot measure on"):
        parse_place(where)


def test_an_unknown_driver_suggests_the_nearest():
    with pytest.raises(UsageError, match="unknown place to measure 'hots'") as refused:
        parse_place("hots")
    assert refused.value.fix == "did you mean 'host'?"


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_takes_a_build_settings_and_a_report(name):
    parameters = inspect.signature(DRIVERS[name].load()).parameters
    assert list(parameters) == ["build", "settings", "report"]


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_names_a_runtime_of_the_table(name):
    runtime = DRIVERS[name].runtime
    assert runtime is None or runtime in RUNTIMES


def test_every_driver_is_in_the_help():
    assert all(name in known_places() for name in DRIVERS)


def test_the_commands_of_drivers_are_found():
    commands = driver_commands()
    assert set(commands) == {"adb", "ai-benchmark"}
    assert [imports.resolve(verb).name for verb in commands.values()] == list(commands)
