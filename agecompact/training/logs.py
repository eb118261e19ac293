"""A training's history for other programs: CSV, and TensorBoard's event files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from agecompact.files import write_text
from agecompact.training.history import Epoch


def write(out: Path, history: Sequence[Epoch]) -> None:
    """Writes the whole history as CSV, and its last epoch for TensorBoard if that is installed.

    Raises:
        OutputError: A file cannot be written, or the disk is full.
    """
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, ["epoch", *(f.name for f in fields(Epoch))], lineterminator="\n")
    table.writeheader()
    table.writerows({"epoch": i, **asdict(e)} for i, e in enumerate(history, start=1))
    write_text(out / "history.csv", text.getvalue())
    _event(out / "tensorboard", history)


def _event(folder: Path, history: Sequence[Epoch]) -> None:
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        return
    # One writer per epoch: it purges what a killed training wrote after its last state. Its file is
    # named by the second, and an epoch can be shorter, so the name needs a suffix.
    suffix = f".{len(history):05}"
    with SummaryWriter(str(folder), purge_step=len(history), filename_suffix=suffix) as writer:
        for name, value in asdict(history[-1]).items():
            writer.add_scalar(name, value, len(history))
