"""The whole report of a build folder.

A section is a function from the evidence to a `Section`. One that lacks its figures says which
command makes them.
"""

from __future__ import annotations

from collections.abc import Callable

from agecompact.report import verdict
from agecompact.report.accuracy import accuracy
from agecompact.report.agreement import agreement
from agecompact.report.costs import instructions, sizes
from agecompact.report.document import Report, Section
from agecompact.report.evidence import Evidence
from agecompact.report.failures import failures
from agecompact.report.origin import origin
from agecompact.report.preprocessing import preprocessing
from agecompact.report.summary import summaries, to_grid
from agecompact.report.tradeoff import tradeoff


def artifacts(evidence: Evidence) -> Section:
    """All artefacts, one row each."""
    return Section(
        "artefacts",
        "Artefacts",
        (
            "Parity: error against PyTorch. Latency: ratio to the float32 TFLite file on one "
            "host. Instructions: for one face, counted on an emulated ARM core.",
        ),
        (to_grid(summaries(evidence.artifacts)),),
    )


SECTIONS: tuple[Callable[[Evidence], Section], ...] = (
    artifacts,
    agreement,
    accuracy,
    preprocessing,
    instructions,
    sizes,
    tradeoff,
    failures,
    origin,
)


def compose(evidence: Evidence) -> Report:
    """The report on a build folder."""
    models = ", ".join(build.manifest.model for build in evidence.builds)
    return Report(
        title=f"Report on {models}",
        verdict=verdict.of(evidence),
        sections=tuple(section(evidence) for section in SECTIONS),
    )
