"""The processors that can be emulated, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agecompact.errors import unknown_name
from agecompact.serialization import read_toml, structure

_FILE = Path(__file__).with_name("cpus.toml")


@dataclass(frozen=True)
class WideInstruction:
    """The instruction that does the most multiply-accumulates.

    Attributes:
        name: Its name and the shape of its result.
        macs: How many it does.
    """

    name: str
    macs: int


@dataclass(frozen=True)
class Cpu:
    """A processor.

    Attributes:
        name: As qemu's `-cpu` takes it.
        implementer: Field of the register MIDR_EL1, as are the next three; 0x41 is Arm.
        part: As `/proc/cpuinfo` shows it.
        variant: Major revision.
        revision: Minor revision.
        features: What Linux reports that it can do, separated by spaces.
        widest: The widest instruction by arithmetic, such as `float32`.
    """

    name: str
    implementer: int
    part: int
    variant: int
    revision: int
    features: str
    widest: Mapping[str, WideInstruction]

    def cpuinfo(self) -> str:
        """`/proc/cpuinfo` of Linux on one core of it."""
        return (
            "processor\t: 0\n"
            "BogoMIPS\t: 48.00\n"
            f"Features\t: {self.features}\n"
            f"CPU implementer\t: 0x{self.implementer:x}\n"
            "CPU architecture: 8\n"
            f"CPU variant\t: 0x{self.variant:x}\n"
            f"CPU part\t: 0x{self.part:03x}\n"
            f"CPU revision\t: {self.revision}\n\n"
        )

    def bound(self, macs: int, arithmetic: str) -> tuple[int, str] | None:
        """The fewest instructions that a network's multiply-accumulates take.

        Args:
            macs: Multiply-accumulates of one inference.
            arithmetic: The number type that they are computed in.

        Returns:
            The bound, and the instruction that it assumes; None if this processor has none.
        """
        widest = self.widest.get(arithmetic)
        if widest is None:
            return None
        basis = f"{widest.macs} {arithmetic} MACs an instruction ({widest.name})"
        return math.ceil(macs / widest.macs), basis


@cache
def known() -> Mapping[str, Cpu]:
    """The processors, by name."""
    content = read_toml(_FILE, what="processors")
    return {
        name: structure({"name": name, **fields}, Cpu, where=f"{_FILE}: {name}")
        for name, fields in content.items()
    }


def named(name: str) -> Cpu:
    """The processor of a name.

    Raises:
        UsageError: There is no such processor; the nearest name is suggested.
    """
    if name not in known():
        raise unknown_name("processor", name, known())
    return known()[name]
