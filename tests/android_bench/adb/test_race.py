"""Who runs when, and how a race that was cut off goes on; nothing is run here."""

from dataclasses import replace

import pytest

from android_bench.adb import race
from android_bench.adb.engine import Plan
from android_bench.adb.failure import AdbFailure
from android_bench.adb.ledger import Key, Ledger
from android_bench.adb.race import Entrant
from tests.records import DEVICE, SHA256


class _Cut(Exception):  # noqa: N818 - stands for Ctrl-C.
    pass


def _entrants(names="AB"):
    keys = [Key(name, SHA256, "litert", 1, "", "xnnpack", 10, 3) for name in names]
    blank = replace(DEVICE, latency=None, failure="not measured yet")
    return [Entrant(None, Plan(), blank, key) for key in keys]


class _Course:
    """Takes rounds, and does something else at some of them.

    Args:
        at: What to raise or to give instead, by entrant and round.
    """

    def __init__(self, **at):
        self.ran = []
        self._at = at

    def __call__(self, entrant, number):
        place = f"{entrant.key.serial}{number}"
        self.ran.append(place)
        there = self._at.get(place)
        if isinstance(there, BaseException):
            raise there
        return there or replace(DEVICE, taken_at=place)


def _taken(entrant):
    return [record.taken_at for record in entrant.rounds]


def test_they_take_turns():
    entrants, course = _entrants(), _Course()
    race.run(entrants, 3, course, None)
    assert course.ran == ["A0", "B0", "A1", "B1", "A2", "B2"]
    assert _taken(entrants[0]) == ["A0", "A1", "A2"]


def test_what_fails_is_out_and_the_others_go_on():
    failed = replace(DEVICE, latency=None, failure="it crashed")
    entrants, course = _entrants("ABC"), _Course(B1=failed, C0=AdbFailure("gone", "no device"))
    race.run(entrants, 3, course, None)
    assert course.ran == ["A0", "B0", "C0", "A1", "B1", "A2"]
    first, second, third = entrants
    assert (first.failure, len(first.rounds)) == (None, 3)
    assert (second.failure.failure, second.cut_off) == ("it crashed", False)
    assert (third.failure.failure, third.cut_off) == ("gone: no device", True)


@pytest.mark.parametrize(
    ("place", "again"),
    [
        ("A0", ["A0", "B0", "A1", "B1", "A2", "B2"]),
        ("B0", ["A0", "B0", "A1", "B1", "A2", "B2"]),
        ("A1", ["A1", "B1", "A2", "B2"]),
        # A's second round has no counterpart of the same minute, and is run again with B's.
        ("B1", ["A1", "B1", "A2", "B2"]),
        ("B2", ["A2", "B2"]),
    ],
)
def test_a_race_that_was_cut_off_goes_on_with_its_round(tmp_path, place, again):
    with pytest.raises(_Cut):
        race.run(_entrants(), 3, _Course(**{place: _Cut()}), Ledger(tmp_path, "F"))
    entrants, course = _entrants(), _Course()
    race.run(entrants, 3, course, Ledger(tmp_path, "F"))
    assert course.ran == again
    assert [_taken(e) for e in entrants] == [["A0", "A1", "A2"], ["B0", "B1", "B2"]]


def test_what_failed_before_the_cut_does_not_hold_the_others_back(tmp_path):
    failed = replace(DEVICE, latency=None, failure="it crashed")
    with pytest.raises(_Cut):
        race.run(_entrants(), 3, _Course(B0=failed, A2=_Cut()), Ledger(tmp_path, "F"))
    entrants, course = _entrants(), _Course()
    race.run(entrants, 3, course, Ledger(tmp_path, "F"))
    assert course.ran == ["A2"]
    assert entrants[1].failure.failure == "it crashed"


def test_a_device_that_left_is_no_failure_to_remember(tmp_path):
    gone = AdbFailure("gone", "no device")
    race.run(_entrants(), 3, _Course(A1=gone, B1=gone), Ledger(tmp_path, "F"))
    entrants, course = _entrants(), _Course()
    race.run(entrants, 3, course, Ledger(tmp_path, "F"))
    assert course.ran == ["A1", "B1", "A2", "B2"]
    assert [e.failure for e in entrants] == [None, None]
