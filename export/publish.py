"""Puts an export in the place of an older build, and keeps what is still valid of that.

An artefact that this export did not make is kept if it comes from the same weights, contract and
versions of the tools. What no longer fits is removed, and the caller learns what and why: other
artefacts, the golden pack, and parity results for files that are gone. Measurements are kept, since
each names the hash of its file, and so are files that are not agecompact's.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agecompact.artifacts import golden, manifest
from agecompact.artifacts.confined import regular
from agecompact.artifacts.manifest import Build, Entry, Manifest, NotMade
from agecompact.errors import AgecompactError, UsageError
from agecompact.files import locked, sha256_of, updated_path
from agecompact.formats import OFFERED, format_of
from agecompact.models.project import is_project
from agecompact.runtimes.reading import Reader
from agecompact.scratch import PREFIX

_PARITY = ("parity.json", "parity.xml")


@dataclass(frozen=True)
class Removed:
    """Something of the older build that no longer fits.

    Attributes:
        path: Where it was.
        why: Why it was removed.
        again: The command that makes it again; empty if there is none.
    """

    path: Path
    why: str
    again: str


@dataclass(frozen=True)
class Published:
    """A build that was written.

    Attributes:
        manifest: Its manifest.
        kept: Names of the artefacts that are the older build's.
        removed: What the older build had besides.
    """

    manifest: Manifest
    kept: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()


def publish(made: Manifest, scratch: Path, out: Path, source: Path | None) -> Published:
    """Moves a finished export to `out/<model>/` in one step.

    Args:
        made: What was made: `scratch/<weights>` and `scratch/<format>/<artefact>`.
        scratch: Its folder.
        out: The build root.
        source: The file that the user gave: weights, or a project file; None for the released
            weights.

    Raises:
        OutputError: The build cannot be written.
    """
    folder = out / made.model
    # Other exports wait for the lock of `out`, and what adds files to the build for its own.
    inside = locked(folder) if folder.is_dir() else nullcontext()
    with inside, updated_path(folder) as temporary:
        temporary.mkdir()
        old = _read(folder)
        published = _merge(made, old, folder, source)
        results = tuple(_stale_results(old, published.manifest, folder))
        leave = {result.path for result in (*published.removed, *results)}
        if folder.is_dir():
            _copy(folder, temporary, leave, made)
        (scratch / made.weights).rename(temporary / made.weights)
        for entry in made.artifacts:
            (scratch / entry.format / entry.file).rename(temporary / entry.file)
        manifest.write(temporary, published.manifest)
        # Before the exchange: a verdict may be missing, but never be another file's.
        for result in results:
            result.path.unlink(missing_ok=True)
    return replace(published, removed=published.removed + results)


def _read(folder: Path) -> Build | None:
    try:
        return manifest.read_builds(folder)[0]
    except UsageError:
        return None


def _merge(made: Manifest, old: Build | None, folder: Path, source: Path | None) -> Published:
    remade = {entry.file for entry in made.artifacts}
    failed = {entry.file for entry in made.not_made}
    kept: list[Entry] = []
    removed: list[Removed] = []
    for file, entry in _artifacts(old, made, folder).items():
        if file in remade:
            continue
        why = "its conversion failed" if file in failed else _why_stale(entry, old, made)
        if why or entry is None:
            pictures = entry is not None and _takes_pictures(folder / file)
            again = _export(made, file, folder.parent, source, pictures=pictures)
            removed.append(Removed(folder / file, why, again))
        else:
            kept.append(entry)
    merged = replace(
        made,
        artifacts=tuple(sorted((*made.artifacts, *kept), key=_position)),
        not_made=(
            *made.not_made,
            *(n for n in _still_missing(old, made) if n.file not in remade | failed),
        ),
    )
    pack = folder / golden.FOLDER
    if why := _why_pack_is_stale(pack, old, merged):
        again = shlex.join(["agecompact", "parity", "freeze", str(folder)])
        removed.append(Removed(pack, why, again))
    return Published(merged, tuple(entry.file for entry in kept), tuple(removed))


def _still_missing(old: Build | None, made: Manifest) -> tuple[NotMade, ...]:
    same = old is not None and old.manifest.weights_sha256 == made.weights_sha256
    return old.manifest.not_made if old is not None and same else ()


def _artifacts(old: Build | None, made: Manifest, folder: Path) -> dict[str, Entry | None]:
    """The older build's artefacts by name; without entries if its manifest cannot be read."""
    if old is not None:
        return {entry.file: entry for entry in old.manifest.artifacts}
    names = [target.file_name(made.model) for target in OFFERED]
    return {name: None for name in names if (folder / name).exists()}


def _why_stale(entry: Entry | None, old: Build | None, made: Manifest) -> str:
    """Why an artefact of the older build does not belong to the new one; empty if it does."""
    if entry is None or old is None:
        return f"{manifest.FILE_NAME} could not be read"
    if old.manifest.weights_sha256 != made.weights_sha256:
        return "it was made from other weights"
    if old.manifest.contract != made.contract:
        return "the contract has changed"
    if (old.manifest.source, old.manifest.terms) != (made.source, made.terms):
        return "the source or the terms of the weights have changed"
    if why := outdated(entry.versions):
        return why
    path = old.path(entry)
    if not path.exists() or sha256_of(path) != entry.sha256:
        return "it has changed since it was exported"
    return ""


def outdated(versions: Mapping[str, str]) -> str:
    """Why tools of these versions would make another artefact now; empty if they would not."""
    for tool, then in versions.items():
        now = _installed(tool)
        # A tool that is not installed says nothing: the conversion may run in another environment.
        if now not in (None, then):
            return f"it was made with {tool} {then}, and {now} is installed"
    return ""


def _installed(tool: str) -> str | None:
    try:
        return version(tool)
    except PackageNotFoundError:
        return None


def _why_pack_is_stale(pack: Path, old: Build | None, merged: Manifest) -> str:
    try:
        found = golden.read_if_there(pack)
    except UsageError as error:
        return error.summary
    if found is None:
        return ""
    if found.weights_sha256 != merged.weights_sha256:
        return "it was made from other weights"
    if old is None or old.manifest.contract != merged.contract:
        return "the contract has changed"
    missing = [entry.file for entry in merged.artifacts if entry.file not in found.tolerances]
    return f"it does not cover {', '.join(missing)}" if missing else ""


def _stale_results(old: Build | None, merged: Manifest, folder: Path) -> Iterator[Removed]:
    """Parity results with a verdict on a file that is gone or has other content."""
    before = {entry.sha256 for entry in old.manifest.artifacts} if old else set()
    gone = before - {entry.sha256 for entry in merged.artifacts}
    for place in (folder.parent, folder):
        report = place / _PARITY[0]
        if not report.is_file():
            continue
        text = report.read_text(encoding="utf-8", errors="replace")
        if old is None or any(sha256 in text for sha256 in gone):
            again = shlex.join(["agecompact", "parity", str(place)])
            for path in (place / name for name in _PARITY):
                if path.exists():
                    yield Removed(path, "it has results of files that were replaced", again)


def _copy(folder: Path, temporary: Path, leave: set[Path], made: Manifest) -> None:
    """Copies what is kept of the older build."""
    new = {made.weights, manifest.FILE_NAME, *(entry.file for entry in made.artifacts)}
    for path in folder.iterdir():
        if path in leave or path.name in new or path.name.startswith(PREFIX):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, temporary / path.name, symlinks=True)
        else:
            shutil.copy2(path, temporary / path.name, follow_symlinks=False)


def _takes_pictures(path: Path) -> bool:
    """Whether an artefact's inputs are pictures; not if it cannot be read."""
    try:
        if not format_of(path).takes_images:
            return False
        with Reader() as reader:
            return reader.metadata(regular(path)).contract.takes_levels
    except AgecompactError:
        return False


def _export(
    made: Manifest, file: str, out: Path, source: Path | None, *, pictures: bool = False
) -> str:
    target = next((t for t in OFFERED if t.file_name(made.model) == file), None)
    if target is None:
        return ""
    if source is not None and is_project(source):
        what = [str(source)]
    else:
        what = [made.model, *([] if source is None else ["--weights", str(source)])]
    format_, precision = target.format, target.precision
    asked = ["--precision", precision.flag] if precision.name in format_.on_request else []
    if precision.calibrated and source is not None:
        asked += ["--calibration", "FOLDER"]
    if pictures:
        asked += ["--input", "image"]
    return shlex.join(
        ["agecompact", "export", *what, "--format", format_.name, *asked, "--out", str(out)]
    )


def _position(entry: Entry) -> int:
    names = [(target.format.name, target.precision.name) for target in OFFERED]
    key = (entry.format, entry.precision)
    return names.index(key) if key in names else len(names)
