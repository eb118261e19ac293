"""Makes and measures the candidates of one network in a work folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from agecompact.artifacts import manifest
from agecompact.artifacts.manifest import Build, Entry
from agecompact.contract import Contract
from agecompact.errors import ConversionError, UsageError
from agecompact.files import canonical_json, sha256_of
from agecompact.models.spec import ModelSpec
from agecompact.serialization import unstructure
from export import pipeline
from export.int8 import record
from export.int8.fallback import with_float
from export.int8.source import calibrated, opened
from export.publish import outdated
from export.source import Source
from parity_tests.optimise import counting
from parity_tests.optimise.candidates import Candidate
from parity_tests.optimise.judging import Judge
from parity_tests.optimise.records import Count, Errors, Made, Origin

# An emulated processor takes up to seconds for a face.
_FACES_THERE = 100


@dataclass(frozen=True)
class Measurer:
    """Makes and measures candidates; each has a build root of its own in the work folder.

    Attributes:
        source: The weights.
        given: The file that the user named for them; None for released weights.
        network_sha256: `network_hash` of the network.
        calibration_sha256: Hash of the faces to calibrate with, or of the calibration file; None
            without any.
        folder: The work folder.
        judge: Measures errors.
        place: Where instructions are counted, as `bench --on` takes it; None for files of a format
            whose instructions are not counted.
    """

    source: Source
    given: Path | None
    network_sha256: str
    calibration_sha256: str | None
    folder: Path
    judge: Judge
    place: str | None

    @property
    def faces_sha256(self) -> str:
        """Hash of the faces that errors are measured on."""
        return self.judge.faces_sha256

    def origin(self, candidate: Candidate) -> Origin:
        """What a candidate would be made from now."""
        calibrated = candidate.target.precision.calibrated
        return Origin(
            weights_sha256=self.source.sha256,
            network_sha256=self.network_sha256,
            calibration_sha256=self.calibration_sha256 if calibrated else None,
        )

    def stale(self, candidate: Candidate, made: Made) -> str:
        """Why an artefact that was made earlier is of no use now; empty if it is."""
        if made.origin != self.origin(candidate):
            return "its weights, its network or its faces have changed"
        if why := outdated(made.versions):
            return why
        path = self._root(candidate) / self.source.model_id / made.file
        # Core ML packages are folders.
        if not path.exists() or sha256_of(path) != made.sha256:
            return "it is gone, or has changed"
        return ""

    def make(self, candidate: Candidate) -> Made:
        """Exports a candidate.

        Raises:
            ConversionError: It cannot be converted.
            AgecompactError: As `pipeline.export` raises it.
        """
        root = self._root(candidate)
        if candidate.float_share:
            candidate = replace(candidate, calibration=self._derived(candidate))
        pipeline.export(candidate.request(self.source.path, root, self.given))
        entry = self._entry(candidate)
        return Made(
            origin=self.origin(candidate),
            versions=dict(entry.versions),
            file=entry.file,
            sha256=entry.sha256,
            bytes=entry.bytes,
        )

    def errors(self, candidate: Candidate) -> Errors:
        """Measures the errors of a candidate that was made.

        Raises:
            UsageError: It does not run.
            GateError: An answer is NaN or infinite.
        """
        return self.judge.errors(self.build(candidate).path(self._entry(candidate)))

    def count(self, candidate: Candidate) -> Count:
        """Counts the instructions of a candidate that was made.

        Raises:
            AgecompactError: As `counting.count` raises it.
        """
        assert self.place is not None
        build, file = self.build(candidate), self._entry(candidate).file
        faces = self.judge.samples(_FACES_THERE) if candidate.is_inexact_here else []
        counted = counting.count(build, file, self.place, faces)
        return Count(
            place=self.place,
            machine=counted.machine,
            instructions=counted.instructions,
            there=self.judge.errors_there(counted.accuracy) if faces else None,
        )

    def build(self, candidate: Candidate) -> Build:
        """The build of a candidate that was made."""
        return manifest.read(self._root(candidate) / self.source.model_id)

    @cached_property
    def _float_file(self) -> bytes:
        """The float32 TFLite file, which calibrations are of."""
        return pipeline.float_tflite(self.source.path)

    def _derived(self, candidate: Candidate) -> Path:
        """Writes the calibration of a candidate that is partly float32, in its build root.

        Raises:
            ConversionError: The network's calibration does not fit its graph.
        """
        path = self._root(candidate) / f"{self.source.model_id}{record.SUFFIX}"
        try:
            # The export of int8 left what faces gave in the cache.
            found = opened(candidate.calibration, self.source)
            known = calibrated(self._float_file, self.source, found)
            record.write(path, with_float(self._float_file, known, candidate.float_share))
        except UsageError as error:
            # The plain int8 candidate fails for the same reason, which ends no run either.
            raise ConversionError(error.what, why=error.why, fix=error.fix) from None
        return path.absolute()

    def _root(self, candidate: Candidate) -> Path:
        return self.folder / "candidates" / candidate.name

    def _entry(self, candidate: Candidate) -> Entry:
        file = candidate.target.file_name(self.source.model_id)
        artifacts = self.build(candidate).manifest.artifacts
        return next(entry for entry in artifacts if entry.file == file)


def network_hash(spec: ModelSpec, contract: Contract) -> str:
    """Hash of a network besides its weights: its contract, its settings, and a project's code."""
    module = spec.factory.rpartition(":")[0]
    code = sha256_of(Path(module)) if module.endswith(".py") else spec.factory
    config: Mapping[str, object] = dict(spec.config)
    described = canonical_json([unstructure(contract), code, repr(sorted(config.items()))])
    return hashlib.sha256(described.encode()).hexdigest()
