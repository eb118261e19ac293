"""`agecompact evaluate`: the error of weights, or of an exported file, on labelled faces."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import emit, json_option, screen
from agecompact.console.datasets import DataChoice, data_options, load
from agecompact.data.splits import PARTS
from agecompact.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.contract import Contract
    from agecompact.data.face import Face
    from agecompact.data.splits import Split
    from agecompact.evaluation.evaluate import Evaluation
    from agecompact.evaluation.prediction import Model, Predictions

SCHEMA_VERSION = 1

_PATH = click.Path(path_type=Path)
_ALL = "all"
_WEIGHTS_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class _Subject:
    """What is measured, opened.

    Attributes:
        model: How it is asked.
        contract: Its own.
        card: Of its weights; empty where none is at hand.
        told: What the result says of it.
    """

    model: Model[Any]
    contract: Contract
    card: Mapping[str, Any]
    told: Mapping[str, Any]


@click.command()
@click.argument("model", required=False)
@click.option("--weights", type=_PATH, help="A weights file, in place of MODEL's released one.")
@click.option("--artifact", type=_PATH, help="An exported file, run by the contract inside it.")
@data_options
@click.option(
    "--split", "part", type=click.Choice([*PARTS, _ALL]), default="test", show_default=True
)
@click.option("--limit", type=click.IntRange(1), help="Only so many faces, spread over the part.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of a model.")
@click.option("--update-card", is_flag=True, help="Put the result into the card of the weights.")
@json_option
def command(
    model: str | None,
    weights: Path | None,
    artifact: Path | None,
    choice: DataChoice,
    part: str,
    limit: int | None,
    threads: int,
    update_card: bool,
    json_target: str | None,
) -> None:
    """Measure the released weights of MODEL, a weights file, or an exported file.

    Every image goes through the contract that the file itself holds. Identical pictures are
    resolved and the set is split as for training, so that the test part holds no face that weights
    of the same split were trained on. Intervals are of 95 %, from a seeded bootstrap over faces:
    the same file and faces give the same figures.
    """
    from agecompact.evaluation import card_sections
    from agecompact.evaluation.evaluate import evaluate, target_of_contract
    from agecompact.evaluation.prediction import cached, decode_face
    from agecompact.weights import cards

    path = _path(model, weights, artifact)
    if update_card:
        _refuse_to_update(path, part, limit)
    console = screen(json_target)
    with _opened(path, threads) as subject:
        started = time.perf_counter()
        _, split = load(choice, target_of_contract(subject.contract), console)
        faces = _spread(_faces(split, part), limit)
        source = cached(faces, choice.cache) if choice.cache else decode_face
        data_seconds = time.perf_counter() - started
        doubts = cards.doubts(subject.card, part=part, split_sha256=split.sha256)
        if update_card and doubts:
            raise UsageError(
                f"will not update the card of {path}",
                why=doubts[0],
                fix="name the split of its training with --split-file, or --protocol and --fold",
            )
        evaluation = evaluate(subject.model, subject.contract, faces, source)
    sections = card_sections.sections(
        evaluation, dataset=choice.dataset, part=part, split_sha256=split.sha256
    )
    record = {
        "schema_version": SCHEMA_VERSION,
        "measured": dict(subject.told),
        "split": {"seed": choice.seed, "protocol": choice.protocol, "fold": choice.fold},
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
    _show(console, f"{path.name}, {part} part of {choice.dataset}", evaluation, doubts)
    if update_card:
        console.print(f"updated {cards.update(path, sections)}", markup=False, soft_wrap=True)


def _path(model: str | None, weights: Path | None, artifact: Path | None) -> Path:
    from agecompact.runtimes import registry
    from agecompact.weights import checkpoints

    if sum(given is not None for given in (model, weights, artifact)) != 1:
        raise UsageError("name either a MODEL, or a file with --weights or --artifact")
    path = weights or artifact or checkpoints.released_path(str(model))
    if weights is not None and path.suffix != _WEIGHTS_SUFFIX:
        raise UsageError(f"{path} is no weights file", fix=f"--artifact {path}")
    registry.runtime_of(path)
    return path


def _refuse_to_update(path: Path, part: str, limit: int | None) -> None:
    if path.suffix != _WEIGHTS_SUFFIX:
        raise UsageError(f"{path} has no card to update", why="only weights have")
    if part != "test" or limit is not None:
        raise UsageError(
            "a card tells of the whole test part",
            fix="leave out --split and --limit, or leave out --update-card",
        )


@contextmanager
def _opened(path: Path, threads: int) -> Iterator[_Subject]:
    """Opens weights in this process, and any other file in one of its own."""
    from agecompact.evaluation.prediction import open_artifact
    from agecompact.files import sha256_of
    from agecompact.runtimes import registry
    from agecompact.weights import cards

    if path.suffix == _WEIGHTS_SUFFIX:
        yield _opened_weights(path, threads)
        return
    metadata = registry.read_metadata(path)
    with open_artifact(path, metadata.contract, threads) as (model, opened):
        yield _Subject(
            model=model,
            contract=metadata.contract,
            card=cards.released(metadata.weights_sha256, metadata.model),
            told={
                "kind": "artifact",
                "file": path.name,
                "model": metadata.model,
                "precision": metadata.precision,
                "runtime": opened.version,
                "sha256": sha256_of(path),
                "weights_sha256": metadata.weights_sha256,
            },
        )


def _opened_weights(path: Path, threads: int) -> _Subject:
    import torch

    from agecompact.evaluation.prediction import NetworkModel
    from agecompact.weights import checkpoints

    torch.set_num_threads(threads)
    weights = checkpoints.read(path)
    return _Subject(
        model=NetworkModel(weights.network(), weights.contract),
        contract=weights.contract,
        card=weights.card,
        told={
            "kind": "weights",
            "file": path.name,
            "model": weights.model_id,
            "precision": "float32",
            "runtime": f"torch {torch.__version__}",
            "sha256": weights.sha256,
            "weights_sha256": weights.sha256,
        },
    )


def _faces(split: Split, part: str) -> tuple[Face, ...]:
    return tuple(face for name in PARTS if part in (name, _ALL) for face in split.part(name))


def _spread(faces: Sequence[Face], limit: int | None) -> Sequence[Face]:
    # Not the first ones: file names may begin with the age.
    if limit is None or limit >= len(faces):
        return faces
    return [faces[i * len(faces) // limit] for i in range(limit)]


def _timing(predictions: Predictions, data_seconds: float) -> dict[str, float]:
    return {
        "data_seconds": data_seconds,
        "wall_seconds": predictions.wall_seconds,
        "model_seconds": predictions.model_seconds,
        "model_share": predictions.model_seconds / predictions.wall_seconds,
    }


def _show(console: Console, title: str, evaluation: Evaluation, doubts: Sequence[str]) -> None:
    from agecompact.console.evaluation_tables import failure, group_tables, metrics_table
    from agecompact.evaluation.card_sections import failure_groups, failure_rule

    metrics, intervals = evaluation.metrics, evaluation.intervals
    predictions = evaluation.predictions
    console.print(metrics_table(title, metrics, intervals))
    for table in group_tables(metrics, intervals):
        console.print(table)
    failures = failure_groups(metrics, intervals)
    told = "; ".join(map(failure, failures)) or "none"
    console.print(f"fails on: {told}", markup=False)
    if failures:
        console.print(failure_rule(metrics), markup=False)
    console.print(
        f"{len(predictions.faces) / predictions.wall_seconds:.0f} faces a second, "
        f"{predictions.model_seconds / predictions.wall_seconds:.0%} of the time in the model; "
        f"{predictions.unreadable} files could not be read",
        markup=False,
    )
    for doubt in doubts:
        console.print(f"warning: {doubt}", markup=False, soft_wrap=True)
