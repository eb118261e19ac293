"""What failed, why, and where its error originates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agecompact.artifacts.parity import Result
from agecompact.report.document import Listing, Section
from agecompact.report.evidence import Evidence
from agecompact.report.missing import command


def failures(evidence: Evidence) -> Section:
    """Every check that failed, and every conversion."""
    parts = tuple(_listings(evidence))
    text: tuple[str, ...] = ()
    if not any(artifact.results for artifact in evidence.artifacts):
        text = (f"Nothing was checked yet: {command('agecompact parity', evidence.root)}",)
    elif not parts:
        text = ("Nothing failed.",)
    return Section("failures", "Failures", text, parts)


def _listings(evidence: Evidence) -> Iterator[Listing]:
    for build in evidence.builds:
        for each in build.manifest.not_made:
            yield Listing(f"{each.file} was not made", each.reason)
    for artifact in evidence.artifacts:
        for result in artifact.results:
            if result.status == "failed":
                yield Listing(result.name, f"{result.kind}: {result.reason}", _lines(result))


def _lines(result: Result) -> tuple[str, ...]:
    """Where the error originates; the record's form is that of another stage, so it is checked."""
    lines: Any = (result.localisation or {}).get("lines")
    return tuple(map(str, lines)) if isinstance(lines, list | tuple) else ()
