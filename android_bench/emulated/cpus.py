"""The processors that can be emulated, as data."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from agecompact.errors import unknown_name

Arithmetic = Literal["float32", "float16", "int8"]

_FILE = Path(__file__).with_name("cpus.toml")
_ARITHMETIC: tuple[Arithmetic, ...] = ("float32", "float16", "int8")
# LiteRT 2.3.0 turns float16 weights into float32 as it loads them, and computes in float32 even
# where the processor has half-precision arithmetic: the counts of both files are the same.
_OF_PRECISION: Mapping[str, Arithmetic] = {"float32": "float32", "float16": "float32"}


@dataclass(frozen=True)
class Widest:
    """The instruction that does most multiply-accumulates at once.

    Attributes:
        instruction: Its name and the shape of its result.
        macs: Multiply-accumulates that it does.
    """

    instruction: str
    macs: int


@dataclass(frozen=True)
class Cpu:
    """A processor.

    Attributes:
        name: As qemu's `-cpu` takes it.
        implementer: Of its identification register MIDR_EL1; 0x41 is Arm.
        part: Likewise, as `/proc/cpuinfo` tells it; `variant` and `revision` too.
        variant: Major revision.
        revision: Minor revision.
        features: What Linux announces it can do, apart by spaces.
        widest: By arithmetic; what it lacks is left out.
    """

    name: str
    implementer: int
    part: int
    variant: int
    revision: int
    features: str
    widest: Mapping[Arithmetic, Widest]

    def cpuinfo(self) -> str:
        """What Linux on one core of it would show as `/proc/cpuinfo`."""
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

    def bound(self, macs: int, precision: str) -> tuple[int, str] | None:
        """The fewest instructions that a network's multiply-accumulates take.

        Args:
            macs: Multiply-accumulates of one inference.
            precision: Of the artefact, as its manifest names it.

        Returns:
            The bound and what it takes for granted; None for a precision whose arithmetic is not
            known.
        """
        arithmetic = _OF_PRECISION.get(precision, "int8" if "int8" in precision else None)
        widest = self.widest.get(arithmetic) if arithmetic else None
        if widest is None:
            return None
        basis = f"{widest.macs} {arithmetic} MACs an instruction ({widest.instruction})"
        return math.ceil(macs / widest.macs), basis


@cache
def known() -> Mapping[str, Cpu]:
    """The processors, by name."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: _build(name, fields) for name, fields in content.items()}


def named(name: str) -> Cpu:
    """A processor.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in known():
        raise unknown_name("processor", name, known())
    return known()[name]


def _build(name: str, fields: Mapping[str, Any]) -> Cpu:
    widest = {a: Widest(**fields[a]) for a in _ARITHMETIC if a in fields}
    plain = {key: value for key, value in fields.items() if key not in widest}
    return Cpu(name=name, widest=widest, **plain)
