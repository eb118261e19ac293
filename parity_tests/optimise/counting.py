"""The instructions of an inference, as `bench` counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agecompact.artifacts.manifest import Build
from agecompact.bench.drivers import Settings, parse_place
from agecompact.bench.figures import OutputAccuracy
from agecompact.errors import GateError, UsageError
from parity_tests.golden import freeze
from parity_tests.inputs import Sample
from parity_tests.settings import CheckSettings
from parity_tests.tolerances import load, with_projects

DEFAULT = "emulated:cortex-a76"


@dataclass(frozen=True)
class Counted:
    """What a processor said of an artefact.

    Attributes:
        instructions: Of one inference.
        machine: The processor and its emulator.
        accuracy: Its answers for the golden pack, compared with those of the weights.
    """

    instructions: int
    machine: str
    accuracy: OutputAccuracy | None


def count(build: Build, file: str, where: str, faces: Sequence[Sample]) -> Counted:
    """Counts the instructions of a file of a build.

    A golden pack is written beside it, which the processor replays.

    Args:
        build: The build.
        file: Name of the file.
        where: As `bench --on` takes it.
        faces: Faces that the processor runs all of; empty for a few inputs of any kind.

    Raises:
        BackendMissingError: The place is not available on this machine.
        UsageError: There is no such place, or it counts no instructions.
        GateError: The file does not run there, or the network's outputs are unusable.
    """
    driver, place = parse_place(where)
    freeze(build, CheckSettings(tolerances=with_projects(load())), faces)
    # The pack begins with a face of its own.
    samples = len(faces) + 1 if faces else None
    records = driver.load()(build, Settings(place=place, samples=samples), lambda _: None)
    record = next((each for each in records if each.artifact.file == file), None)
    if record is not None and record.failure is not None:
        raise GateError(f"{file} does not run on {where}", why=record.failure)
    if record is None or record.instructions is None:
        raise UsageError(f"no instructions are counted on {where}", fix=f"--on {DEFAULT}")
    machine = record.machine.emulator or record.machine.cpu
    return Counted(record.instructions.total, machine, record.output_error)
