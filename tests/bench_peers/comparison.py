"""The run: every model by every tool, a row at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agecompact.evaluation.prediction import NetworkModel, Values
from agecompact.weights import checkpoints
from tests.bench_peers import rows
from tests.bench_peers.measure import Instruments, answers, measured
from tests.bench_peers.peers import PEERS, Peer
from tests.bench_peers.rows import Comparison, Row, Unusable
from tests.bench_peers.workshop import Workshop, digest_of


@dataclass(frozen=True)
class Subject:
    """A model, with PyTorch's answers."""

    model: str
    weights: checkpoints.Weights
    instruments: Instruments

    @cached_property
    def _network(self) -> NetworkModel:
        import torch

        torch.set_num_threads(1)
        return NetworkModel(self.weights.network(), self.weights.contract)

    @cached_property
    def _all(self) -> Values:
        return answers(self._network, self.weights.contract, self.instruments.faces.chips)

    def reference(self, peer: Peer) -> Values:
        """PyTorch's answers in float32 for the faces of a tool, `(faces,)` years."""
        if not peer.runs_emulated:
            return self._all
        chips = self.instruments.faces_of(peer).chips
        return answers(self._network, self.weights.contract, chips)


@dataclass(frozen=True)
class Run:
    """What to compare.

    Attributes:
        models: Ids of models with released weights, which give an age in years.
        chosen: The tools.
        workshop: Makes their files.
        instruments: Measure them.
        store: The JSON file that holds the rows.
        blank: What the store says of the faces.
        again: Make and measure rows even if nothing has changed.
    """

    models: tuple[str, ...]
    chosen: tuple[Peer, ...]
    workshop: Workshop
    instruments: Instruments
    store: Path
    blank: Comparison
    again: bool = False

    def start(self) -> Comparison:
        """The rows of earlier runs with the same kind of faces.

        Raises:
            UsageError: The store cannot be read.
        """
        old = rows.read(self.store)
        alike = old and (old.faces, old.calibration) == (self.blank.faces, self.blank.calibration)
        return old if old and alike else self.blank

    def compare(self, report: Callable[[str], None]) -> Comparison:
        """Compares the tools, and writes the store after each row.

        Args:
            report: Receives a line for each row.

        Raises:
            UsageError: A model has no weights, or the store cannot be read.
            OutputError: A file cannot be written.
        """
        found = self.start()
        for model in self.models:
            weights = checkpoints.read(checkpoints.released_path(model))
            subject = Subject(model, weights, self.instruments)
            sources: dict[str, Path | Unusable] = {}
            for peer in self.chosen:
                row, is_new = self._row(subject, peer, found.row(model, peer.name), sources)
                found = found.with_row(row)
                if is_new:
                    rows.write(self.store, found)
                report(f"{model}: {peer.title}: {_state(row, is_new)}")
        return found

    def _row(
        self, subject: Subject, peer: Peer, old: Row | None, sources: dict[str, Path | Unusable]
    ) -> tuple[Row, bool]:
        """The row of a tool, and whether it was made now."""
        try:
            source = self._source(subject, peer, sources)
        except Unusable as failure:
            return self._failed(subject, peer, "", failure), True
        digest = digest_of(
            made=self.workshop.digest(peer, subject.weights.path, source),
            faces=self.instruments.faces.digest,
            emulated=self.instruments.emulated_faces if peer.runs_emulated else 1,
            bundle=self.instruments.bundle.index.guest_sha256 if self.instruments.bundle else "",
        )
        if old and old.digest == digest and not self.again:
            return old, False
        try:
            file = self.workshop.make(peer, subject.weights, source, again=self.again)
            contract, reference = subject.weights.contract, subject.reference(peer)
            figures = measured(file, peer, contract, reference, self.instruments)
        except Unusable as failure:
            return self._failed(subject, peer, digest, failure), True
        row = Row(
            model=subject.model,
            peer=peer.name,
            digest=digest,
            versions=peer.versions(),
            figures=figures,
        )
        return row, True

    def _source(
        self, subject: Subject, peer: Peer, sources: dict[str, Path | Unusable]
    ) -> Path | None:
        """The file that a tool converts; each is made, or fails, once.

        Raises:
            Unusable: It cannot be made.
        """
        if peer.source is None:
            return None
        if peer.source not in sources:
            maker = PEERS[peer.source]
            try:
                deeper = self._source(subject, maker, sources)
                sources[peer.source] = self.workshop.make(
                    maker, subject.weights, deeper, again=False
                )
            except Unusable as failure:
                sources[peer.source] = Unusable(f"{maker.title}: {failure}")
        made = sources[peer.source]
        if isinstance(made, Unusable):
            raise made
        return made

    def _failed(self, subject: Subject, peer: Peer, digest: str, failure: Unusable) -> Row:
        return Row(
            model=subject.model,
            peer=peer.name,
            digest=digest,
            versions=peer.versions(),
            failure=str(failure),
        )


def _state(row: Row, is_new: bool) -> str:
    state = row.failure or "measured"
    return state if is_new else f"{state} (of an earlier run)"
