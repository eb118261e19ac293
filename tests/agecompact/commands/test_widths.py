"""On consoles of any width, no name and no number is cut or folded."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from agecompact.commands import data, inspect
from agecompact.commands import list as list_models
from agecompact.console.evaluation_tables import group_tables, metrics_table
from agecompact.evaluation.bootstrap import Bootstrap
from agecompact.evaluation.metrics import age_metrics
from agecompact.models.registry import MODELS
from agecompact.training import recipe
from agecompact.weights import checkpoints

Printed = Callable[..., str]


@pytest.fixture(params=[80, 100, 140])
def width(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def printed(width: int, monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Runs a verb on a console of a width."""

    def run(verb: object, *arguments: object) -> str:
        stream = io.StringIO()
        console = Console(file=stream, width=width, highlight=False)
        monkeypatch.setattr(verb, "screen", lambda *_: console)
        done = CliRunner().invoke(verb.command, [str(a) for a in arguments])
        assert done.exit_code == 0, done.exception
        return stream.getvalue()

    return run


def assert_whole(text: str, width: int, cells: Iterable[str]) -> None:
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for cell in cells:
        assert any(cell in line for line in text.splitlines()), cell


def test_models(printed: Printed, width: int) -> None:
    cells = [cell for spec in MODELS.values() for cell in (spec.id, f"{spec.counts.parameters:,}")]
    assert_whole(printed(list_models), width, [*cells, "MAE 4.66 years", "accuracy 91.2%"])


def test_recipes(printed: Printed, width: int) -> None:
    assert_whole(printed(list_models, "--recipes"), width, recipe.names())


def test_a_data_set(printed: Printed, width: int, tiny_utkface: Path) -> None:
    text = printed(data, "check", "--data", tiny_utkface)
    assert_whole(text, width, ["near conflicting", "distinct pictures that can be used", "70-79"])


def test_an_evaluation(width: int) -> None:
    predicted, true = np.linspace(1, 90, 50), np.arange(50)
    metrics = age_metrics(predicted, true, [0, 1] * 25, Bootstrap(resamples=100))
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    for table in (
        metrics_table("c3ae_float32.tflite, test part of utkface", metrics),
        *group_tables(metrics),
    ):
        console.print(table)
    interval = metrics.mae_years.interval
    assert interval is not None
    span = f"{interval.low:.3f} .. {interval.high:.3f}"
    cells = [f"{metrics.mae_years.value:.3f} years", span, "40-49", "female", "CA(10)"]
    assert_whole(stream.getvalue(), width, cells)


def test_what_is_in_a_file(printed: Printed, width: int) -> None:
    path = checkpoints.released_path("ssrnet")
    weights = checkpoints.read(path)
    lines = printed(inspect, path).splitlines()
    assert lines[0] == f"{path}: pytorch weights of 'ssrnet', float32"
    for cell in (weights.sha256, weights.card["split"]["sha256"], "17078926"):
        assert any(line.endswith(f" {cell}") and len(line) <= width for line in lines), cell
