"""The verbs `export` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.artifacts import manifest, onnx_source
from agecompact.console.common import emit, json_option, progress, say, screen
from agecompact.console.groups import BUILD, BUILDS, PATH, weights_option
from agecompact.console.models import model_file, named_model
from agecompact.errors import ConversionError, GateError, UsageError
from agecompact.files import size_of
from agecompact.formats import EXPORTED, Target
from agecompact.models import project, registry
from agecompact.precisions import PRECISIONS
from agecompact.runtimes.reading import Reader
from agecompact.serialization import unstructure
from agecompact.weights import checkpoints
from export import pipeline, signing, source, targets
from export.int8 import record
from export.int8.faces import pictures
from export.int8.source import no_faces, released
from export.job import InputKind
from export.publish import Removed
from export.verify import check

if TYPE_CHECKING:
    from rich.console import Console

_FORMATS = ", ".join(EXPORTED)
_PRECISIONS = ", ".join(precision.flag for precision in PRECISIONS.values())


@dataclass(frozen=True)
class _Chosen:
    """Weights to export.

    Attributes:
        weights: The weights file.
        given: The file that the user named for them; None for released weights.
    """

    weights: Path
    given: Path | None


@click.command()
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.option("--all", "every", is_flag=True, help="Export every model that has released weights.")
@weights_option
@click.option("--format", "formats", multiple=True, help=f"One of {_FORMATS}; repeatable.")
@click.option(
    "--everywhere",
    is_flag=True,
    help="Also make the formats of other runtimes whose extras are installed, such as coreai.",
)
@click.option("--precision", "precisions", multiple=True, help=f"One of {_PRECISIONS}; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), default=BUILDS, show_default=True)
@click.option("--dynamic-batch", is_flag=True, help="Let the ONNX file take batches of 1 to 64.")
@click.option(
    "--input",
    "input_kind",
    type=click.Choice(["tensor", "image"]),
    default="tensor",
    show_default=True,
    help="Inputs of TFLite files and Core ML packages: float32 tensors, or pictures as cameras "
    "give them, bytes in RGB, which the graph normalises.",
)
@click.option(
    "--calibration",
    type=PATH,
    metavar="PATH",
    help="A folder of face chips that int8, int16 and mixed are made with, some hundred of all "
    "ages; or for int8 and int16 a calibration file. Released weights have a calibration of their "
    "own.",
)
@click.option(
    "--keep-going", is_flag=True, help="If a conversion fails, make the others, then exit 4."
)
@json_option
def export(
    models: tuple[str, ...],
    every: bool,
    weights: Path | None,
    formats: tuple[str, ...],
    everywhere: bool,
    precisions: tuple[str, ...],
    out: Path,
    dynamic_batch: bool,
    input_kind: InputKind,
    calibration: Path | None,
    keep_going: bool,
    json_target: str | None,
) -> None:
    """Convert weights to ONNX, TFLite and Core ML, and to formats of other runtimes.

    Writes build/<model>/ with the artefacts and manifest.json. Without --format, these three are
    made; without --precision, those that are not only made on request. An existing build's other
    artefacts are kept if they come from the same weights and tools; what is removed is listed.
    """
    chosen = targets.select(formats, precisions, everywhere=everywhere)
    # With --everywhere, those that a network does not suit are left out.
    others = {t.format.name for t in chosen if t.format.made == "everywhere"}
    optional = frozenset(others - set(formats))
    _check_input_kind(input_kind, chosen)
    _check_calibration(calibration, chosen)
    console = screen(json_target)
    sources = _sources(models, every, weights, console)
    if calibration is None:
        _check_without(chosen, sources)
    if not formats and any(each.weights.suffix == onnx_source.SUFFIX for each in sources):
        left = dict.fromkeys(t.format.name for t in chosen if t.format.of_network)
        chosen = tuple(target for target in chosen if not target.format.of_network)
        if left:
            say(
                console, f"left out: {', '.join(left)}, made of PyTorch networks, not of ONNX files"
            )
    written = []
    names = {(target.format.name, target.precision.name) for target in chosen}
    count = len(tuple(pipeline.jobs(chosen, optional)))
    with progress(console, "export", len(sources) * count) as stages:
        for each in sources:
            request = pipeline.Request(
                each.weights,
                chosen,
                out,
                dynamic_batch,
                input_kind,
                keep_going,
                each.given,
                calibration.absolute() if calibration else None,
                optional=optional,
            )
            written.append(pipeline.export(request, stages))
    for build in written:
        for entry in build.manifest.artifacts:
            kept = ", kept" if entry.file in build.kept else ""
            path = out / build.manifest.model / entry.file
            say(console, f"{path}  {entry.bytes:,} bytes{kept}")
    _say_removed(console, [removed for each in written for removed in each.removed])
    emit(unstructure([each.manifest for each in written]), json_target)
    missing = [
        entry
        for each in written
        for entry in each.manifest.not_made
        if (entry.format, entry.precision) in names
    ]
    if missing:
        raise ConversionError(
            f"{len(missing)} artefacts were not made",
            why="\n     ".join(f"{each.file}: {each.reason}" for each in missing),
        )


def _check_calibration(given: Path | None, chosen: Sequence[Target]) -> None:
    """Refuses something to calibrate with that nothing needs, or that does not suit."""
    wanted = [target.precision for target in chosen if target.precision.calibrated]
    if given is None:
        return
    if not wanted:
        flags = [each.flag for each in PRECISIONS.values() if each.calibrated]
        raise UsageError(
            f"--calibration is only for {', '.join(flags[:-1])} and {flags[-1]}",
            fix=f"add --precision {flags[0]}",
        )
    if given.is_dir():
        pictures(given)
        return
    record.read(given)
    if others := [each.flag for each in wanted if each.calibration == "faces"]:
        raise UsageError(
            f"{others[0]} needs faces to calibrate with",
            why=f"{given} is a calibration file, which is for int8 and int16",
            fix="name a folder of face chips with --calibration FOLDER",
        )


def _check_without(chosen: Sequence[Target], sources: Sequence[_Chosen]) -> None:
    """Refuses precisions that need faces without any, unless a calibration was released."""
    wanted = {each.precision for each in chosen if each.precision.calibrated}
    if others := sorted(each.flag for each in wanted if each.calibration == "faces"):
        raise no_faces(others[0])
    if wanted and any(released(source.read(each.weights)) is None for each in sources):
        raise no_faces()


def _say_removed(console: Console, removed: Sequence[Removed]) -> None:
    """Says what an older build had that the new one does not have."""
    for each in removed:
        say(console, f"removed {each.path}: {each.why}")
    commands = dict.fromkeys(each.again for each in removed if each.again)
    if commands:
        say(console, "to make them again:" if len(removed) > 1 else "to make it again:")
        for command in commands:
            say(console, f"  {command}")


@click.command()
@click.argument("build", type=BUILD, default=BUILDS)
@click.option("--key", type=PATH, metavar="FILE", help="Public key of the signature, PEM.")
@click.option(
    "--certificate",
    "roots",
    type=PATH,
    metavar="FILE",
    multiple=True,
    help="Certificate of the root that the signer's leads to, PEM; repeatable.",
)
@json_option
def verify(build: Path, key: Path | None, roots: tuple[Path, ...], json_target: str | None) -> None:
    """Check the hash and the metadata of every file of a build, and that it holds nothing else.

    With --key or --certificate, also check the signature that `agecompact sign` made.
    """
    if key is not None and roots:
        raise UsageError(
            "a signature is checked by a key or by certificates",
            fix="leave out --key or --certificate",
        )
    trusted = signing.Trusted(key, roots) if key is not None or roots else None
    folders = manifest.build_folders(build)
    with Reader() as reader:
        faults = {folder.name: check(folder, reader) for folder in folders}
    if trusted is not None:
        for folder in folders:
            if said := signing.fault(folder, trusted):
                faults[folder.name].append(said)
    emit({"schema_version": manifest.Manifest.SCHEMA_VERSION, "faults": faults}, json_target)
    found = [fault for lines in faults.values() for fault in lines]
    if found:
        raise GateError(
            f"{build} is not intact",
            why="\n     ".join(found),
            fix="export the models again, and move what is not part of the build",
        )
    count = sum(len(manifest.read(folder).manifest.artifacts) for folder in folders)
    signed = " and signed" if trusted else ""
    text = f"{build}: {len(folders)} models, {count} artefacts, all intact{signed}"
    say(screen(json_target), text)


@click.command()
@click.argument("build", type=BUILD, default=BUILDS)
@click.option(
    "--key", type=PATH, metavar="FILE", required=True, help="Private key of an elliptic curve, PEM."
)
@click.option("--certificate", type=PATH, metavar="FILE", help="The certificate of the key, PEM.")
@click.option(
    "--chain",
    type=PATH,
    metavar="FILE",
    multiple=True,
    help="Certificates from that to the root, PEM; repeatable.",
)
@json_option
def sign(
    build: Path,
    key: Path,
    certificate: Path | None,
    chain: tuple[Path, ...],
    json_target: str | None,
) -> None:
    """Sign a build, so that a changed, added or removed file is noticed.

    Writes model.sig into the folder of each model, by OpenSSF Model Signing, without a network.
    Sign last: what other verbs add to the folder afterwards is not covered, and is refused.
    """
    signer = signing.Signer(key, certificate, chain)
    written = [signing.sign(folder, signer) for folder in manifest.build_folders(build)]
    emit([{"signature": str(path)} for path in written], json_target)
    console = screen(json_target)
    for path in written:
        say(console, str(path))


@click.command("compile")
@click.argument("file", type=PATH)
@click.option(
    "--for",
    "generation",
    default="htp-v75",
    show_default=True,
    metavar="NAME",
    help="Generation of Qualcomm's NPU.",
)
@click.option("--out", type=PATH, metavar="FILE", help="Default: beside the file.")
@json_option
def compile_file(file: Path, generation: str, out: Path | None, json_target: str | None) -> None:
    """Compile an ONNX file for Qualcomm's NPU.

    Writes a context binary in an ONNX file, which ONNX Runtime on a phone with this generation
    loads without compiling. Exits 4 if the NPU does not take the whole file.
    """
    from export.context import compile_for

    written = out or file.with_name(f"{file.stem}_{generation}.onnx")
    compile_for(file, written, generation)
    emit({"file": str(written), "bytes": size_of(written)}, json_target)
    say(screen(json_target), f"{written}  {size_of(written):,} bytes")


def _check_input_kind(input_kind: InputKind, chosen: Sequence[Target]) -> None:
    """Refuses image inputs where no chosen format has them.

    Raises:
        UsageError: No format that has them was asked for.
    """
    if input_kind == "image" and not any(target.format.takes_images for target in chosen):
        able = [each.name for each in EXPORTED.values() if each.takes_images]
        raise UsageError(
            f"only {' and '.join(able)} have image inputs",
            why=f"the formats are {', '.join(dict.fromkeys(t.format.name for t in chosen))}",
            fix=f"leave out --input, or add --format {able[0]}",
        )


def _sources(
    models: tuple[str, ...], every: bool, weights: Path | None, console: Console
) -> list[_Chosen]:
    """The weights files to export: the given one, or those of the named models.

    One that is made of a state dict exists until the verb ends.
    """
    if weights is not None and (every or len(models) > 1):
        raise UsageError("--weights exports one model", fix="export each weights file on its own")
    if every:
        models = tuple(filter(checkpoints.is_released, registry.MODELS))
    if not models and weights is None:
        raise UsageError(
            "no model named",
            why=f"known: {', '.join(registry.MODELS)}",
            fix="agecompact export ssrnet, or agecompact export --all",
        )
    chosen = [named_model(model) for model in models]
    for name, _ in chosen:
        registry.get(name)
    context, sources = click.get_current_context(), []
    unnamed: list[tuple[str | None, Path | None]] = [(None, None)]
    for model_id, own in chosen or unnamed:
        naming = "agecompact export {model} --weights {path}"
        opening = model_file(model_id, weights or own, None, console, naming=naming)
        sources.append(_Chosen(context.with_resource(opening), _given(model_id, weights)))
    return sources


def _given(model_id: str | None, weights: Path | None) -> Path | None:
    """The file that the user named: a project file, or weights; None for released weights."""
    owner = project.active().get(model_id or "")
    return weights or (owner.path if owner else None)
