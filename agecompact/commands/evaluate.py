"""`agecompact evaluate`: the error of weights, or of an exported file, on labelled faces."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from agecompact.console.common import emit, json_option, say, screen, show
from agecompact.console.datasets import (
    DataChoice,
    data_options,
    load,
    load_whole,
    require_parts,
)
from agecompact.console.groups import PATH, count_option
from agecompact.data.face import Target, spread
from agecompact.data.splits import PARTS
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from agecompact.formats import format_of
from agecompact.runtimes import registry
from agecompact.runtimes.reading import read_metadata
from agecompact.weights import cards, checkpoints

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.contract import Contract
    from agecompact.data.face import Face
    from agecompact.data.splits import Part
    from agecompact.evaluation.evaluate import Evaluation
    from agecompact.evaluation.prediction import Model, Predictions


@dataclass(frozen=True)
class _OpenModel:
    """A model that is ready to run.

    Attributes:
        model: Runs it.
        contract: Its preprocessing contract.
        card: The card of its weights; empty if there is none.
        summary: Its identity, for the result's `measured`.
    """

    model: Model[Any]
    contract: Contract
    card: Mapping[str, Any]
    summary: Mapping[str, Any]


@click.command()
@click.argument("model", required=False)
@click.option(
    "--weights",
    type=PATH,
    help="A weights file, or a state dict of MODEL, instead of its released weights.",
)
@click.option("--artifact", type=PATH, help="An exported file; its embedded contract is used.")
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
    from agecompact.evaluation.prediction import cached, decode_face

    console = screen(json_target)
    opening = model_file(
        model, weights, artifact, console, naming="agecompact evaluate {model} --weights {path}"
    )
    path = click.get_current_context().with_resource(opening)
    registry.runtime_of(path)
    is_weights = format_of(path).converter is None
    if update_card:
        _check_updatable(path, is_weights, part, limit)
    given = weights or path
    with _open(path, given.name, threads) as opened:
        if update_card and not opened.card.get("split"):
            raise UsageError(
                f"cannot update the card of {given}",
                why="it does not name the split that the weights were trained on",
                fix="leave out --update-card",
            )
        started = time.perf_counter()
        label = target_of_contract(opened.contract, target)
        whole, split_sha256 = _faces(choice, part, label, console)
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
        "measured": dict(opened.summary),
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


def _check_updatable(path: Path, is_weights: bool, part: str, limit: int | None) -> None:
    if not is_weights:
        raise UsageError(
            f"{path} has no card to update", why="only weights have one", fix="use --weights"
        )
    if part != "test" or limit is not None:
        raise UsageError(
            "a card reports figures of the whole test part",
            fix="leave out --split and --limit, or leave out --update-card",
        )


@contextmanager
def _open(path: Path, name: str, threads: int) -> Iterator[_OpenModel]:
    """Opens weights in this process, or an exported file in its own; `name` is for the result."""
    import torch

    from agecompact.evaluation.prediction import NetworkModel, open_artifact

    metadata = read_metadata(path)
    contract = metadata.contract
    identity = {
        "file": name,
        "model": metadata.model,
        "precision": metadata.precision,
        "sha256": sha256_of(path),
        "weights_sha256": metadata.weights_sha256,
    }
    if format_of(path).converter is None:
        torch.set_num_threads(threads)
        weights = checkpoints.read(path)
        summary = {"kind": "weights", "runtime": f"torch {torch.__version__}", **identity}
        yield _OpenModel(NetworkModel(weights.network(), contract), contract, weights.card, summary)
        return
    card = cards.released(metadata.weights_sha256, metadata.model)
    with open_artifact(path, threads) as (model, opened):
        summary = {"kind": "artifact", "runtime": opened.version, **identity}
        yield _OpenModel(model, contract, card, summary)


def _faces(
    choice: DataChoice, part: Part | Literal["all"], target: Target, console: Console
) -> tuple[tuple[Face, ...], str | None]:
    """The faces to measure on, and the hash of the split that they belong to, if there is one."""
    if part == "all":
        faces, whole = load_whole(choice, target, console)
        return faces, whole.sha256 if whole else None
    _, split = load(choice, target, console)
    require_parts(split, (part,))
    return split.part(part), split.sha256


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
