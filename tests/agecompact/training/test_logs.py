"""A training's history as other programs read it."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from agecompact.training import logs
from agecompact.training.history import Epoch

_HISTORY = [Epoch(9.0, 8.0, 0.1, 1.5), Epoch(7.0, 6.0, 0.05, 1.25), Epoch(5.0, 6.5, 0.01, 1.0)]


def test_epochs_of_one_second_do_not_overwrite_each_others_events(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    for count in (1, 2, 3):
        logs.write(tmp_path, _HISTORY[:count])
    files = list((tmp_path / "tensorboard").iterdir())
    assert len(files) == 3
    assert all(path.stat().st_size > 100 for path in files)


def test_without_tensorboardx_there_is_still_the_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    logs.write(tmp_path, _HISTORY[:2])
    logs.write(tmp_path, _HISTORY)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
    with (tmp_path / "history.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["epoch", "loss", "val", "rate", "seconds"],
            ["1", "9.0", "8.0", "0.1", "1.5"],
            ["2", "7.0", "6.0", "0.05", "1.25"],
            ["3", "5.0", "6.5", "0.01", "1.0"],
        ]
