"""The instructions of an inference, as `bench` counts them."""

from __future__ import annotations

from dataclasses import dataclass

from agecompact.artifacts.manifest import Build
from agecompact.bench.drivers import Settings, parse_place
from agecompact.errors import GateError, UsageError
from parity_tests import tolerances
from parity_tests.golden import freeze
from parity_tests.optimise.records import Count
from parity_tests.settings import CheckSettings

DEFAULT = "emulated:cortex-a76"


@dataclass(frozen=True)
class Counter:
    """Counts the instructions of an artefact.

    Attributes:
        place: As `bench --on` takes it.
        unit: Unit of the answer, in which errors are compared.
    """

    place: str
    unit: str

    def count(self, build: Build, file: str) -> Count:
        """Counts the instructions of a file of a build.

        A golden pack is written beside it, which the processor replays.

        Raises:
            BackendMissingError: The place is not available on this machine.
            UsageError: There is no such place, or it counts no instructions.
            GateError: The file does not run there, or the network's outputs are unusable.
        """
        driver, place = parse_place(self.place)
        gates = tolerances.with_projects(tolerances.load(None))
        freeze(build, CheckSettings(tolerances=gates))
        records = driver.load()(build, Settings(place=place), lambda _: None)
        record = next((each for each in records if each.artifact.file == file), None)
        if record is not None and record.failure is not None:
            raise GateError(f"{file} does not run on {self.place}", why=record.failure)
        if record is None or record.instructions is None:
            raise UsageError(f"no instructions are counted on {self.place}", fix=f"--on {DEFAULT}")
        accuracy = record.output_error
        compared = accuracy is not None and accuracy.unit == self.unit
        return Count(
            place=self.place,
            machine=record.machine.emulator or record.machine.cpu or self.place,
            instructions=record.instructions.total,
            greatest_error=accuracy.max_error if accuracy is not None and compared else None,
        )
