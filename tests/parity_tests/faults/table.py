"""Plants every fault of the catalogue and judges what parity says of it.

Prints the table for a build folder, as `agecompact export` made it:

    python -m tests.parity_tests.faults.table build
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from agecompact.artifacts.manifest import Build, read_builds
from parity_tests.check import check_builds
from parity_tests.localisation.observations import CAUSES as OBSERVED
from parity_tests.results import Result
from parity_tests.settings import CheckSettings
from tests.parity_tests.editing import edited_build
from tests.parity_tests.faults.catalogue import FAULTS
from tests.parity_tests.faults.planted import Planted

Judgement = Literal["right", "wrong", "unknown"]

_HEADER = "| fault | kind | originates at | cause | evidence |\n|---|---|---|---|---|"
_WIDEST = 120


@dataclass(frozen=True)
class Outcome:
    """What parity says of a planted fault.

    Attributes:
        fault: The fault.
        result: The first failed result for its artefact, or the last one that passed.
    """

    fault: Planted
    result: Result

    @property
    def caught(self) -> bool:
        """Whether it fails by a kind that is true of it."""
        return self.result.kind in self.fault.kinds

    @property
    def origin(self) -> Any:
        """Where localisation says that the error originates; None if it does not."""
        found = self.result.localisation
        return None if found is None else found["originates_at"]

    @property
    def place(self) -> Judgement:
        """Whether that is where the fault is."""
        if self.origin is None:
            return "unknown"
        named = {self.origin["scope"] or self.origin["op"], self.origin["candidate_tensor"]}
        return "right" if named & self.fault.places else "wrong"

    @property
    def cause(self) -> Judgement:
        """Whether the cause is true; a description of what is observed is not a cause."""
        said = self.origin["suspicion"] if self.origin else "unknown"
        causes = set(said.split(" or "))
        if causes & self.fault.causes:
            return "right"
        return "unknown" if causes <= {"unknown", *OBSERVED} else "wrong"


def outcomes(good: Build, faults: Sequence[Planted], folder: Path) -> tuple[Outcome, ...]:
    """Plants the faults of one model and checks them.

    Args:
        good: The model's build.
        faults: Faults of its artefacts.
        folder: An empty folder.
    """
    files = {f"{i}.{fault.file.rpartition('.')[2]}": fault for i, fault in enumerate(faults)}
    model = good.manifest.model
    edits = {name: (f"{model}_{fault.file}", fault.edit) for name, fault in files.items()}
    faulty = edited_build(good, folder, edits, rehash=True)
    results = check_builds([faulty], CheckSettings(budget=None))
    ran = [result for result in results if result.status != "skipped"]
    # Of several runtimes, one that fails comes last and replaces the others.
    by_file = {r.artifact: r for r in sorted(ran, key=lambda result: result.status == "failed")}
    return tuple(Outcome(fault, by_file[name]) for name, fault in files.items())


def of_model(model: str) -> tuple[Planted, ...]:
    """The catalogue's faults of one model."""
    return tuple(fault for fault in FAULTS if fault.model == model)


def row(outcome: Outcome) -> str:
    """A row of the table, in Markdown; `!` marks what is not right."""
    kind = outcome.result.kind or "passed"
    origin = outcome.origin or {"scope": "", "op": "-", "suspicion": "-", "evidence": ""}
    marks = {"right": "", "unknown": "", "wrong": " !"}
    cells = (
        outcome.fault.id,
        kind + ("" if outcome.caught else " !"),
        (origin["scope"] or origin["op"]) + marks[outcome.place],
        origin["suspicion"] + marks[outcome.cause],
        origin["evidence"][:_WIDEST],
    )
    return f"| {' | '.join(cells)} |"


def summary(found: Sequence[Outcome]) -> str:
    """The counts in one line."""
    located = [each for each in found if each.result.localisation is not None]
    return (
        f"{len(found)} faults, {sum(each.caught for each in found)} caught; "
        f"{len(located)} localised, {sum(each.place == 'right' for each in located)} in the right "
        f"place; causes: {sum(each.cause == 'right' for each in located)} right, "
        f"{sum(each.cause == 'unknown' for each in located)} unknown, "
        f"{sum(each.cause == 'wrong' for each in located)} wrong"
    )


def main(build: Path) -> None:
    """Prints the table for all models of a build folder."""
    print(_HEADER)
    found: list[Outcome] = []
    for good in read_builds(build):
        with TemporaryDirectory() as folder:
            of_one = outcomes(good, of_model(good.manifest.model), Path(folder))
        print(*map(row, of_one), sep="\n", flush=True)
        found += of_one
    print(f"\n{summary(found)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
