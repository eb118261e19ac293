"""All that a build folder holds about its artefacts, without what is about other files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from agecompact.artifacts import confined, parity, preprocessing, trials
from agecompact.artifacts.manifest import Build, Entry, read_builds
from agecompact.artifacts.parity import Result
from agecompact.artifacts.trials import Records
from agecompact.bench import size, store
from agecompact.bench.record import Record, Size
from agecompact.bench.validity import validated
from agecompact.errors import AgecompactError, UsageError
from agecompact.evaluation import stored
from agecompact.evaluation.stored import Stored
from agecompact.weights import cards

_T = TypeVar("_T")
# Name and hash of a file.
_Key = tuple[str, str | None]


@dataclass(frozen=True)
class Artifact:
    """An artefact, and what was found out about the file as it is now.

    Attributes:
        build: Its build.
        entry: Its entry in the manifest.
        sha256: Hash of the file as it is now; empty if it cannot be read.
        results: What parity found, in every runtime and for every output.
        records: What it costs, validated by the current rules.
        size: What its bytes are; None if unknown.
    """

    build: Build
    entry: Entry
    sha256: str
    results: tuple[Result, ...] = ()
    records: tuple[Record, ...] = ()
    size: Size | None = None

    @property
    def model(self) -> str:
        """Id of its model."""
        return self.build.manifest.model

    @property
    def file(self) -> str:
        """Its file name."""
        return self.entry.file

    @property
    def short_name(self) -> str:
        """Its file name without the model, for charts that have the model in a heading."""
        return self.file.removeprefix(f"{self.model}_")

    @property
    def decisive(self) -> Result | None:
        """The result that decides about it; None if it was not checked.

        A file is checked in several runtimes. The first failure decides; else the first pass, whose
        runtime is the closest to a phone's; else it was skipped everywhere.
        """
        # Of equal ones, the first.
        return max(self.results, key=_weight, default=None)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation on labelled faces of a file that belongs to the build.

    Attributes:
        model: Id of the model.
        name: The artefact's file name, or `weights`.
        stored: The figures.
    """

    model: str
    name: str
    stored: Stored


@dataclass(frozen=True)
class Preprocessed:
    """What mistakes in preprocessing cost with a file that belongs to the build.

    Attributes:
        model: Id of the model.
        name: The artefact's file name, or `weights of <model>`.
        record: The figures.
    """

    model: str
    name: str
    record: preprocessing.Record


@dataclass(frozen=True)
class Evidence:
    """What a build folder holds.

    Attributes:
        root: The folder.
        builds: Its builds.
        artifacts: Their artefacts, in the manifests' order.
        evaluations: Evaluations on labelled faces, those of the weights first.
        trials: What `optimise` measured of each model, if it did.
        preprocessed: What mistakes in preprocessing cost, by file.
    """

    root: Path
    builds: tuple[Build, ...]
    artifacts: tuple[Artifact, ...]
    evaluations: tuple[Evaluation, ...] = ()
    trials: tuple[Records, ...] = ()
    preprocessed: tuple[Preprocessed, ...] = ()


def read(root: Path, evaluations: Iterable[Path] = (), *, with_sizes: bool = False) -> Evidence:
    """Reads a build folder.

    Args:
        root: A folder with `<model>/manifest.json`, and with `parity.json` and `latency.json` if
            those stages have run. Every file is hashed, and results of other content are left out.
        evaluations: Files that `evaluate --json` wrote.
        with_sizes: Whether to measure what the bytes of an artefact are if no bench has done it,
            which takes about a second for each.

    Raises:
        UsageError: No build was found, a file cannot be read, or an evaluation is of a file that is
            not in the builds.
    """
    checked = _by_file((r.artifact, r.sha256, r) for r in _results(root / parity.FILE_NAME))
    measured = _by_file((r.artifact.file, r.artifact.sha256, r) for r in _records(root))
    builds = read_builds(root)
    artifacts = []
    for build in builds:
        for entry in build.manifest.artifacts:
            sha256 = _sha256(build.path(entry))
            records = measured.get((entry.file, sha256), ())
            found = Artifact(build, entry, sha256, checked.get((entry.file, sha256), ()), records)
            artifacts.append(_with_size(found, measure=with_sizes))
    return Evidence(
        root,
        builds,
        tuple(artifacts),
        (*_of_cards(builds), *(_of_file(path, builds, artifacts) for path in evaluations)),
        tuple(_trials(root, builds)),
        tuple(each for build in builds for each in _preprocessed(build, artifacts)),
    )


def _trials(root: Path, builds: Sequence[Build]) -> Iterable[Records]:
    for build in builds:
        model = build.manifest.model
        found = trials.read(root / trials.FOLDER / model, model)
        if found.records:
            yield found


def _preprocessed(build: Build, artifacts: Sequence[Artifact]) -> Iterable[Preprocessed]:
    """The records of a build's files as they are now; else that of its released weights' card."""
    model, sha256 = build.manifest.model, build.manifest.weights_sha256
    names = {a.sha256: a.file for a in artifacts if a.build is build and a.sha256}
    names[sha256] = f"weights of {model}"
    records = preprocessing.read(build.folder, model).records
    found = [record for record in records if record.sha256 in names]
    if not found:
        card = preprocessing.of_card(cards.released(sha256, model))
        found = [card] if card is not None else []
    for record in found:
        yield Preprocessed(model, names[record.sha256], record)


def _results(path: Path) -> tuple[Result, ...]:
    return parity.read(path) if path.is_file() else ()


def _records(root: Path) -> tuple[Record, ...]:
    path = root / store.FILE_NAME
    return tuple(map(validated, store.read(path))) if path.is_file() else ()


def _by_file(items: Iterable[tuple[str, str | None, _T]]) -> Mapping[_Key, tuple[_T, ...]]:
    found: dict[_Key, list[_T]] = defaultdict(list)
    for name, sha256, item in items:
        found[name, sha256].append(item)
    return {key: tuple(each) for key, each in found.items()}


def _sha256(path: Path) -> str:
    """The hash of an artefact as it is now; empty if it cannot be read, so that nothing matches."""
    try:
        return confined.sha256_of(path)
    except UsageError:
        return ""


def _with_size(artifact: Artifact, *, measure: bool) -> Artifact:
    known = [record.artifact.size for record in artifact.records if record.artifact.size]
    if known:
        return replace(artifact, size=known[0])
    if not measure or not artifact.sha256:
        return artifact
    entry, manifest = artifact.entry, artifact.build.manifest
    try:
        path = artifact.build.path(entry)
        measured = size.measure(path, entry.precision, manifest.folded_parameters)
    except AgecompactError:
        # Parity reports what is wrong with a broken file; here only its parts are unknown.
        return artifact
    return replace(artifact, size=measured)


def _of_cards(builds: Sequence[Build]) -> Iterable[Evaluation]:
    """The evaluations in the cards of released weights."""
    for build in builds:
        manifest = build.manifest
        card = cards.released(manifest.weights_sha256, manifest.model)
        if "evaluation" in card:
            yield Evaluation(manifest.model, "weights", stored.of_card(card))


def _of_file(path: Path, builds: Sequence[Build], artifacts: Sequence[Artifact]) -> Evaluation:
    found = stored.read(path)
    for artifact in artifacts:
        if artifact.sha256 and artifact.sha256 == found.sha256:
            return Evaluation(artifact.model, artifact.file, found)
    for build in builds:
        if build.manifest.weights_sha256 == found.sha256:
            return Evaluation(build.manifest.model, "weights", found)
    raise UsageError(
        f"{path} is an evaluation of another file",
        why=f"'{found.file}' with the hash {(found.sha256 or '')[:12]} is not in the build",
        fix="evaluate the file again: agecompact evaluate --artifact FILE --json evaluation.json",
    )


def _weight(result: Result) -> int:
    return ("skipped", "passed", "failed").index(result.status)
