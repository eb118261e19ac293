"""`agecompact evaluate`: the error of weights, or of an exported file, on labelled faces."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from agecompact.console.common import emit, json_option, say, screen, show
from agecompact.console.datasets import DataChoice, data_options, part_of
from agecompact.console.groups import artifact_option, count_option, weights_option
from agecompact.data.face import Target, spread
from agecompact.data.splits import PARTS
from agecompact.errors import UsageError
from agecompact.runtimes import registry
from agecompact.weights import cards

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.splits import Part
    from agecompact.evaluation.evaluate import Evaluation
    from agecompact.evaluation.opening import OpenModel
    from agecompact.evaluation.prediction import Predictions


@click.command()
@click.argument("model", required=False)
@weights_option
@artifact_option
@click.option(
    "--target",
    type=click.Choice(get_args(Target)),
    help="The label to compare with; default: that of the model's first output which has one.",
)
@data_options
@click.option(
    "--split",
    "part",
    type=click.Choice([*PARTS, "all"]),
    default="test",
    show_default=True,
    help="Part of the split to measure on.",
)
@count_option("--limit", "Use only N faces, spread over the part.")
@count_option("--threads", "CPU threads of the model.", default=1)
@click.option("--update-card", is_flag=True, help="Write the result into the weights' card.")
@json_option
def command(
    model: str | None,
    weights: Path | None,
    artifact: Path | None,
    target: Target | None,
    choice: DataChoice,
    part: Part | Literal["all"],
    limit: int | None,
    threads: int,
    update_card: bool,
    json_target: str | None,
) -> None:
    """Measure the error of a model on labelled faces.

    The model is the released weights of MODEL, a weights file, a state dict of MODEL or an exported
    file. Images are preprocessed by the contract inside the file. Duplicates are removed and the
    data is split as for training, so that the test part holds no face that the weights were trained
    on, provided they were trained on the same split. The 95 % intervals come from a seeded
    bootstrap over faces: the same file and faces give the same figures.
    """
    from agecompact.console.models import model_file
    from agecompact.evaluation import card_sections
    from agecompact.evaluation.evaluate import evaluate, target_of_contract
    from agecompact.evaluation.opening import open_model
    from agecompact.evaluation.prediction import cached, decode_face

    console = screen(json_target)
    opening = model_file(
        model, weights, artifact, console, naming="agecompact evaluate {model} --weights {path}"
    )
    path = click.get_current_context().with_resource(opening)
    registry.runtime_of(path)
    if update_card:
        _check_updatable(path, part, limit)
    given = weights or path
    with open_model(path, threads) as opened:
        if update_card and not opened.card.get("split"):
            raise UsageError(
                f"cannot update the card of {given}",
                why="it does not name the split that the weights were trained on",
                fix="leave out --update-card",
            )
        started = time.perf_counter()
        label = target_of_contract(opened.contract, target)
        whole, split_sha256 = part_of(choice, part, label, console)
        faces = spread(whole, limit)
        source = cached(faces, choice.cache) if choice.cache else decode_face
        data_seconds = time.perf_counter() - started
        doubts = cards.doubts(opened.card, part=part, split_sha256=split_sha256)
        if update_card and doubts:
            raise UsageError(
                f"cannot update the card of {path}",
                why=doubts[0],
                fix="select the training split with --split-file, or --protocol and --fold",
            )
        evaluation = evaluate(opened.model, opened.contract, faces, source, target=label)
    sections = card_sections.sections(
        evaluation, dataset=choice.dataset, part=part, split_sha256=split_sha256
    )
    record = {
        "schema_version": 1,
        "measured": _measured(opened, given.name),
        "split": {"seed": choice.split_seed, "protocol": choice.protocol, "fold": choice.fold},
        "limit": limit,
        "warnings": list(doubts),
        **sections,
        "timing": _timing(evaluation.predictions, data_seconds),
        "machine": {
            "cpu_cores": os.cpu_count(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "threads": threads,
        },
    }
    emit(record, json_target)
    _show(console, f"{given.name}, {part} part of {choice.dataset}", evaluation, doubts)
    if update_card:
        say(console, f"updated {cards.update(path, sections)}")


def _check_updatable(path: Path, part: str, limit: int | None) -> None:
    cards.require_card(path)
    if part != "test" or limit is not None:
        raise UsageError(
            "a card reports figures of the whole test part",
            fix="leave out --split and --limit, or leave out --update-card",
        )


def _measured(opened: OpenModel, name: str) -> dict[str, Any]:
    """The identity of a model, for the result; `name` is that of the given file."""
    return {
        "kind": "weights" if opened.is_weights else "artifact",
        "runtime": opened.runtime,
        "file": name,
        "model": opened.metadata.model,
        "precision": opened.metadata.precision,
        "sha256": opened.sha256,
        "weights_sha256": opened.metadata.weights_sha256,
    }


def _timing(predictions: Predictions, data_seconds: float) -> dict[str, float]:
    return {
        "data_seconds": data_seconds,
        "wall_seconds": predictions.wall_seconds,
        "model_seconds": predictions.model_seconds,
        "model_share": predictions.model_seconds / predictions.wall_seconds,
    }


def _show(console: Console, title: str, evaluation: Evaluation, doubts: Sequence[str]) -> None:
    from agecompact.console.evaluation_tables import failure_text, group_tables, metrics_table
    from agecompact.evaluation.card_sections import failure_groups, failure_rule

    metrics, predictions = evaluation.metrics, evaluation.predictions
    for table in (metrics_table(title, metrics), *group_tables(metrics)):
        show(console, table)
    failures = failure_groups(metrics)
    say(console, f"fails on: {'; '.join(map(failure_text, failures)) or 'none'}")
    if failures:
        say(console, failure_rule(metrics))
    say(
        console,
        f"{len(predictions.faces) / predictions.wall_seconds:.0f} faces per second, "
        f"{predictions.model_seconds / predictions.wall_seconds:.0%} of the time in the model; "
        f"{predictions.unreadable} files could not be read",
    )
    for doubt in doubts:
        say(console, f"warning: {doubt}")
