"""The order of rounds, and how an interrupted run resumes; nothing is measured here."""

from dataclasses import replace

import pytest

from android_bench.adb import resumable_rounds
from android_bench.adb.failure import AdbFailure
from android_bench.adb.ledger import Ledger, LedgerKey
from android_bench.adb.resumable_rounds import Contestant
from tests.records import DEVICE, SHA256

_CRASHED = replace(DEVICE, latency=None, failure="it crashed")


class _Interrupted(Exception):  # noqa: N818 - in place of Ctrl-C.
    pass


def _contestants(names="AB"):
    keys = [LedgerKey(name, SHA256, "litert", 1, "", "xnnpack", 10, 3) for name in names]
    blank = replace(DEVICE, latency=None, failure="not measured yet")
    return [Contestant(None, blank, key) for key in keys]


class _Measure:
    """Measures rounds, and notes them in `ran`.

    Args:
        instead: What to raise or return instead, by contestant and round.
    """

    def __init__(self, **instead):
        self.ran = []
        self._instead = instead

    def __call__(self, contestant, number):
        place = f"{contestant.key.serial}{number}"
        self.ran.append(place)
        instead = self._instead.get(place)
        if isinstance(instead, BaseException):
            raise instead
        return instead or replace(DEVICE, taken_at=place)


def _run(folder, names="AB", **instead):
    """Runs three rounds with a ledger in a folder; returns the contestants and what ran."""
    contestants, measure = _contestants(names), _Measure(**instead)
    ledger = Ledger(folder, "F") if folder else None
    resumable_rounds.run(contestants, 3, measure, ledger)
    return contestants, measure.ran


def _rounds(contestant):
    return [record.taken_at for record in contestant.rounds]


def test_contestants_alternate():
    contestants, ran = _run(None)
    assert ran == ["A0", "B0", "A1", "B1", "A2", "B2"]
    assert _rounds(contestants[0]) == ["A0", "A1", "A2"]


def test_one_that_fails_drops_out_and_the_others_continue():
    contestants, ran = _run(None, "ABC", B1=_CRASHED, C0=AdbFailure("gone", "no device"))
    assert ran == ["A0", "B0", "C0", "A1", "B1", "A2"]
    first, second, third = contestants
    assert (first.failure, len(first.rounds)) == (None, 3)
    assert (second.failure.failure, second.device_lost) == ("it crashed", False)
    assert (third.failure.failure, third.device_lost) == ("gone: no device", True)


@pytest.mark.parametrize(
    ("place", "again"),
    [
        ("A0", ["A0", "B0", "A1", "B1", "A2", "B2"]),
        ("B0", ["A0", "B0", "A1", "B1", "A2", "B2"]),
        ("A1", ["A1", "B1", "A2", "B2"]),
        # A's second round has no counterpart measured with it, and is run again with B's.
        ("B1", ["A1", "B1", "A2", "B2"]),
        ("B2", ["A2", "B2"]),
    ],
)
def test_an_interrupted_run_resumes_with_its_round(tmp_path, place, again):
    with pytest.raises(_Interrupted):
        _run(tmp_path, **{place: _Interrupted()})
    contestants, ran = _run(tmp_path)
    assert ran == again
    assert [_rounds(c) for c in contestants] == [["A0", "A1", "A2"], ["B0", "B1", "B2"]]


def test_one_that_dropped_out_before_does_not_hold_the_others_back(tmp_path):
    with pytest.raises(_Interrupted):
        _run(tmp_path, B0=_CRASHED, A2=_Interrupted())
    contestants, ran = _run(tmp_path)
    assert ran == ["A2"]
    assert contestants[1].failure.failure == "it crashed"


def test_a_lost_device_is_not_remembered_as_a_failure(tmp_path):
    gone = AdbFailure("gone", "no device")
    _run(tmp_path, A1=gone, B1=gone)
    contestants, ran = _run(tmp_path)
    assert ran == ["A1", "B1", "A2", "B2"]
    assert [c.failure for c in contestants] == [None, None]
