"""The verbs `export` and `verify`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from agecompact.artifacts import manifest
from agecompact.console.common import emit, json_option, progress, screen
from agecompact.errors import ConversionError, GateError, UsageError
from agecompact.models import registry
from agecompact.weights import checkpoints
from export import pipeline, targets
from export.job import InputKind
from export.verify import check

_OUT = Path("build")


@click.command()
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.option("--all", "every", is_flag=True, help="Export every model that has released weights.")
@click.option("--weights", type=click.Path(path_type=Path), help="Weights, not the released ones.")
@click.option("--format", "formats", multiple=True, help="onnx, tflite or coreml; repeatable.")
@click.option("--precision", "precisions", multiple=True, help="fp32 or fp16; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), default=_OUT, show_default=True)
@click.option(
    "--dynamic-batch", is_flag=True, help="Leave the ONNX file's batch axis open, 1 to 64."
)
@click.option(
    "--input",
    "input_kind",
    type=click.Choice(["tensor", "image"]),
    default="tensor",
    show_default=True,
    help="Inputs of Core ML packages; images normalise inside the graph.",
)
@click.option(
    "--keep-going", is_flag=True, help="Note a conversion that fails, make the others, exit 4."
)
@json_option
def export(
    models: tuple[str, ...],
    every: bool,
    weights: Path | None,
    formats: tuple[str, ...],
    precisions: tuple[str, ...],
    out: Path,
    dynamic_batch: bool,
    input_kind: InputKind,
    keep_going: bool,
    json_target: str | None,
) -> None:
    """Convert weights to ONNX, TFLite and Core ML.

    Writes build/<model>/ with the artefacts and manifest.json. No --format means all formats, no
    --precision all precisions.
    """
    chosen = targets.select(formats, precisions)
    sources = _sources(models, every, weights)
    console = screen(json_target)
    written = []
    stages = len({target.format for target in chosen})
    with progress(console, "export", len(sources) * stages) as step:
        for source in sources:
            request = pipeline.Request(source, chosen, out, dynamic_batch, input_kind, keep_going)
            written.append(pipeline.export(request, step))
    for made in written:
        for entry in made.artifacts:
            console.print(f"{out / made.model / entry.file}  {entry.bytes:,} bytes")
    emit([json.loads(made.to_json()) for made in written], json_target)
    if missing := [each for made in written for each in made.not_made]:
        raise ConversionError(
            f"{len(missing)} artefacts were not made",
            why="\n     ".join(f"{each.file}: {each.reason}" for each in missing),
        )


@click.command()
@click.argument("build", type=click.Path(path_type=Path), default=_OUT)
@json_option
def verify(build: Path, json_target: str | None) -> None:
    """Re-check a build folder: every file's hash, and what each artefact says of itself."""
    builds = manifest.read_builds(build)
    faults = {b.manifest.model: check(b) for b in builds}
    emit({"schema_version": manifest.SCHEMA_VERSION, "faults": faults}, json_target)
    found = [fault for lines in faults.values() for fault in lines]
    if found:
        raise GateError(f"{build} is not intact", why="\n     ".join(found), fix="export it again")
    count = sum(len(b.manifest.artifacts) for b in builds)
    screen(json_target).print(f"{build}: {len(builds)} models, {count} artefacts, all intact")


def _sources(models: tuple[str, ...], every: bool, weights: Path | None) -> list[Path]:
    """The weights files to export: the released ones of the named models, or the one given."""
    for model_id in models:
        registry.get(model_id)
    if weights is not None:
        if every or len(models) > 1:
            raise UsageError("--weights is for one model")
        found = checkpoints.read(weights).model_id
        if models and models[0] != found:
            raise UsageError(f"{weights} are weights of '{found}', not of '{models[0]}'")
        return [weights]
    if every:
        return [checkpoints.released_path(model_id) for model_id in registry.MODELS]
    if not models:
        raise UsageError(
            "no model named",
            why=f"known: {', '.join(registry.MODELS)}",
            fix="agecompact export ssrnet, or agecompact export --all",
        )
    return [checkpoints.released_path(model_id) for model_id in models]
