"""`agecompact train`: from a folder of faces to weights, a card and logs."""

from __future__ import annotations

import csv
import json
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agecompact.commands import train
from agecompact.data import registry, splits
from agecompact.data.splits import Split
from agecompact.data.survey import survey
from agecompact.files import sha256_of
from agecompact.training import recipe as recipes
from agecompact.weights import checkpoints
from tests.agecompact.training import small
from tests.support import leaks

_EPOCHS = 2


def run(*arguments: object) -> Result:
    fixed = ("--accelerator", "cpu", "--threads", 1)
    return CliRunner().invoke(train.command, [str(a) for a in (*arguments, *fixed)])


def succeeded(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def split(tiny_utkface: Path) -> Split:
    return splits.split(survey(registry.read("utkface", tiny_utkface), "age").faces)


@pytest.fixture(scope="module")
def trained(tiny_utkface: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("out")
    result = succeeded(
        *("--recipe", "c3ae-study1", "--data", tiny_utkface, "--out", out, "--epochs", _EPOCHS),
        *("--set", "batch=8", "--seed", 7, "--json", "-"),
    )
    return out, result


def test_it_writes_weights_logs_and_state(trained: tuple[Path, Result]) -> None:
    out, result = trained
    names = {path.name for path in out.iterdir()}
    weights = {f"{n}.{s}" for n in ("c3ae", "best", "last") for s in ("safetensors", "json")}
    assert names == {*weights, "state.safetensors", "split.json", "history.csv", "tensorboard"}
    assert [f"epoch {n}/2: loss" in result.stderr for n in (1, 2)] == [True, True]


def test_the_weights_are_those_of_the_best_epoch(trained: tuple[Path, Result]) -> None:
    out, _ = trained
    weights = checkpoints.read(out / "c3ae.safetensors")
    recipe = recipes.load("c3ae-study1")
    assert weights.model_id == "c3ae"
    assert weights.config == recipe.config
    small.assert_equal_files(out / "c3ae.safetensors", out / "best.safetensors")
    history = weights.card["training"]["history"]
    best = min(range(_EPOCHS), key=lambda epoch: history[epoch]["val"])
    assert weights.card["training"]["kept_epoch"] == best + 1
    assert checkpoints.read(out / "best.safetensors").card["epoch"] == best + 1


def test_the_card_has_the_origin_of_the_weights(
    trained: tuple[Path, Result], split: Split, tiny_utkface: Path
) -> None:
    out, _ = trained
    card = checkpoints.read(out / "c3ae.safetensors").card
    assert "non-commercial research" in card["data"]["terms"]
    assert card["data"]["counts"]["kept"] == 40
    assert card["data"]["unreadable_in_train"] == 0
    assert card["split"]["sha256"] == split.sha256
    assert card["split"]["train"] == len(split.train)
    assert card["split"]["file_sha256"] == sha256_of(out / card["split"]["file"])
    training = card["training"]
    assert training["command"] == (
        "agecompact train --recipe c3ae-study1 --dataset utkface --seed 7 --set batch=8 "
        "--set epochs=2"
    )
    assert training["seed"] == 7
    assert (training["recipe"]["batch"], training["recipe"]["epochs"]) == (8, 2)
    assert "C3AE" in training["recipe"]["source"]
    assert training["origin"] == {}
    assert "CPU, 1 threads" in training["hardware"]
    assert training["wall_seconds"] == round(sum(e["seconds"] for e in training["history"]))
    assert training["versions"]["torch"]
    evaluation = card["evaluation"]
    assert (evaluation["part"], evaluation["n"]) == ("test", len(split.test))
    assert evaluation["split_sha256"] == split.sha256
    content = (out / "c3ae.json").read_bytes()
    assert not leaks(content)
    assert str(tiny_utkface).encode() not in content
    assert str(out).encode() not in content


def test_json_on_standard_output_stands_alone(trained: tuple[Path, Result]) -> None:
    out, result = trained
    assert json.loads(result.stdout) == json.loads((out / "c3ae.json").read_text())


def test_the_csv_has_a_row_per_epoch(trained: tuple[Path, Result]) -> None:
    out, _ = trained
    with (out / "history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    history = checkpoints.read(out / "c3ae.safetensors").card["training"]["history"]
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    for row, epoch in zip(rows, history, strict=True):
        assert {name: float(row[name]) for name in epoch} == epoch


def _events(folder: Path) -> Iterator[Any]:
    """The events that TensorBoard would read, in order."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            # A TFRecord: length, its checksum, the record, its checksum.
            (length,) = struct.unpack_from("<Q", content, at)
            yield proto.Event.FromString(content[at + 12 : at + 12 + length])
            at += 16 + length


def _scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Curves by name, without the steps that a restart removed."""
    curves: dict[str, dict[int, float]] = {}
    for event in _events(folder):
        if event.HasField("session_log"):
            for curve in curves.values():
                for step in [s for s in curve if s >= event.step]:
                    del curve[step]
        for value in event.summary.value:
            curve = curves.setdefault(value.tag, {})
            assert event.step not in curve
            curve[event.step] = value.simple_value
    return curves


def test_tensorboard_shows_every_epoch(trained: tuple[Path, Result]) -> None:
    out, _ = trained
    history = checkpoints.read(out / "c3ae.safetensors").card["training"]["history"]
    curves = _scalars(out / "tensorboard")
    assert set(curves) == set(history[0])
    for name, curve in curves.items():
        expected = {step: epoch[name] for step, epoch in enumerate(history, start=1)}
        assert curve == pytest.approx(expected, rel=1e-6)


def _short(data: Path, out: Path, recipe: str = "c3ae-plain", epochs: int = 1) -> list[object]:
    chosen = ("--recipe", recipe, "--data", data, "--epochs", epochs, "--set", "batch=8")
    return [*chosen, "--out", out]


def test_a_gender_model_is_measured_by_accuracy(tiny_utkface: Path, tmp_path: Path) -> None:
    result = succeeded(*_short(tiny_utkface, tmp_path, "ssrnet-gender"))
    card = checkpoints.read(tmp_path / "ssrnet-gender.safetensors").card
    assert 0 <= card["evaluation"]["accuracy"] <= 1
    assert "validation accuracy" in result.output


def test_it_starts_from_given_weights_and_records_their_origin(
    trained: tuple[Path, Result], tiny_utkface: Path, tmp_path: Path
) -> None:
    first = checkpoints.read(trained[0] / "c3ae.safetensors")
    result = succeeded(*_short(tiny_utkface, tmp_path, "c3ae-study2"), "--start", first.path)
    second = checkpoints.read(tmp_path / "c3ae.safetensors")
    # The configuration of the weights, not of the recipe.
    assert second.config == first.config
    training = second.card["training"]
    assert training["origin"] == {"start": first.sha256}
    assert training["start"]["sha256"] == first.sha256
    assert training["start"]["training"] == first.card["training"]
    assert training["history"][0]["loss"] < first.card["training"]["history"][0]["loss"]
    assert training["command"].endswith("--start c3ae.safetensors")

    result = run(*_short(tiny_utkface, tmp_path, "ssrnet"), "--start", first.path)
    assert "holds 'c3ae', not 'ssrnet'" in str(result.exception)


def test_it_learns_from_a_teacher_and_records_its_origin(
    trained: tuple[Path, Result], tiny_utkface: Path, tmp_path: Path
) -> None:
    teacher = checkpoints.read(trained[0] / "c3ae.safetensors")
    chosen = _short(tiny_utkface, tmp_path, "c3ae-plain-distilled")
    succeeded(*chosen, "--teacher", teacher.path, "--workers", 1)
    training = checkpoints.read(tmp_path / "c3ae-plain.safetensors").card["training"]
    assert training["teacher"]["sha256"] == teacher.sha256
    assert training["teacher"]["model"] == "c3ae"
    assert training["recipe"]["distillation"]["weight"] == 0.5


@pytest.mark.parametrize(
    ("recipe", "fix"),
    [
        ("c3ae-plain-distilled", "--teacher"),
        ("mobileagenet-distilled", "--teacher"),
        ("mobileagenet", "--backbone FILE"),
        ("ssrnett", "did you mean 'ssrnet'"),
    ],
)
def test_the_error_names_the_option_that_a_recipe_needs(
    recipe: str, fix: str, tiny_utkface: Path, tmp_path: Path
) -> None:
    error = run(*_short(tiny_utkface, tmp_path, recipe, epochs=20)).exception
    assert fix in getattr(error, "fix", "")
    assert getattr(error, "exit_code", None) == 2
    assert not list(tmp_path.glob("*.safetensors"))


def test_restart_removes_the_state(tiny_utkface: Path, tmp_path: Path) -> None:
    succeeded(*_short(tiny_utkface, tmp_path))
    other = [*_short(tiny_utkface, tmp_path), "--set", "clip_norm=1.0"]
    assert "--restart" in getattr(run(*other).exception, "fix", "")
    succeeded(*other, "--restart")


# Kills itself in the middle of the third epoch, so that nothing is cleaned up.
_KILLED = """
import os, signal, sys, torch
steps, old = 0, torch.optim.AdamW.step
def step(self, *arguments, **named):
    global steps
    steps += 1
    if steps == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return old(self, *arguments, **named)
torch.optim.AdamW.step = step
from agecompact.cli import main
main()
"""


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_result(tiny_utkface: Path, tmp_path: Path) -> None:
    chosen = ["--recipe", "ssrnet", "--data", tiny_utkface, "--epochs", 4, "--set", "batch=8"]
    chosen += ["--set", "ema=0.9", "--set", "keep='best'"]
    succeeded(*chosen, "--out", tmp_path / "unbroken")

    words = ["train", *chosen, "--out", tmp_path / "broken", "--accelerator", "cpu", "--threads", 1]
    command = [sys.executable, "-c", _KILLED, *map(str, words)]
    killed = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with (tmp_path / "broken" / "history.csv").open() as stream:
        assert len(stream.readlines()) == 1 + 2

    result = succeeded(*chosen, "--out", tmp_path / "broken")
    assert "resuming after epoch 2" in result.output
    for file in ("state", "best", "last", "ssrnet"):
        small.assert_equal_files(
            *(tmp_path / out / f"{file}.safetensors" for out in ("unbroken", "broken"))
        )
    cards = [
        checkpoints.read(tmp_path / out / "ssrnet.safetensors").card
        for out in ("unbroken", "broken")
    ]
    histories = [
        [{**epoch, "seconds": 0} for epoch in card["training"]["history"]] for card in cards
    ]
    assert histories[0] == histories[1]
    assert cards[0]["evaluation"] == cards[1]["evaluation"]
    assert set(_scalars(tmp_path / "broken" / "tensorboard")["loss"]) == {1, 2, 3, 4}
