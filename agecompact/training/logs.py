"""A training's history for other programs: CSV, and TensorBoard's event files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from agecompact.files import write_text
from agecompact.training.history import Epoch

_CSV = "history.csv"
_EVENTS = "tensorboard"


def write(out: Path, history: Sequence[Epoch]) -> None:
    """Writes the whole history as CSV, and its last epoch for TensorBoard if that is installed.

    Raises:
        OutputError: The place cannot be written to or is full.
    """
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, ["epoch", *(f.name for f in fields(Epoch))], lineterminator="\n")
    table.writeheader()
    table.writerows({"epoch": i, **asdict(e)} for i, e in enumerate(history, start=1))
    write_text(out / _CSV, text.getvalue())
    _event(out / _EVENTS, history)


def _event(folder: Path, history: Sequence[Epoch]) -> None:
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        return
    # A writer an epoch: what a killed training wrote after its last state is purged on resuming.
    # Its name is of the second, and an epoch can be shorter.
    suffix = f".{len(history):05}"
    with SummaryWriter(str(folder), purge_step=len(history), filename_suffix=suffix) as writer:
        for name, value in asdict(history[-1]).items():
            writer.add_scalar(name, value, len(history))
