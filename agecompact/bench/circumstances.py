"""Where, with what and in what state an artefact was measured. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agecompact.checked import (
    AtLeastOne,
    Celsius,
    Checked,
    Count,
    Hexadecimal,
    Megahertz,
    NotNegative,
    Text,
)

# Android's words and Apple's; `light` is the first at which Android lowers a clock.
ThermalStatus = Literal[
    "none",
    "light",
    "moderate",
    "severe",
    "critical",
    "emergency",
    "shutdown",
    "nominal",
    "fair",
    "serious",
]


@dataclass(frozen=True, kw_only=True)
class Machine(Checked):
    """Where it was measured; times of different machines do not compare.

    Attributes:
        cpu: The processor; the emulated one where `emulator` is set, such as `cortex-a76`.
        os: Operating system and version.
        name: What people call the device, such as `Pixel 8`.
        soc: System on a chip.
        abi: Such as `x86_64` or `arm64-v8a`.
        cores: Logical processors.
        os_build: The system's build number.
        emulator: Emulator, version and options; None on real hardware.
    """

    cpu: Text
    os: Text
    name: Text | None = None
    soc: Text | None = None
    abi: Text | None = None
    cores: AtLeastOne | None = None
    os_build: Text | None = None
    emulator: Text | None = None


@dataclass(frozen=True, kw_only=True)
class Thermal(Checked):
    """How hot the machine was at one moment.

    Attributes:
        status: The operating system's own word.
        battery_temperature_c: Of the battery, degrees Celsius.
        cpu_temperature_c: Of the processor.
        cpu_frequency_mhz: Its clock at that moment; of the fastest core that is used.
    """

    status: ThermalStatus | None = None
    battery_temperature_c: Celsius | None = None
    cpu_temperature_c: Celsius | None = None
    cpu_frequency_mhz: Megahertz | None = None


@dataclass(frozen=True, kw_only=True)
class Conditions(Checked):
    """What the machine was doing meanwhile.

    Attributes:
        governor: The kernel's frequency governor, of the cores that were used.
        max_frequency_mhz: Highest clock that it allows them.
        low_power_mode: Whether the system was saving its battery.
        load_average: Processes that wanted to run in the minute before, on average.
        before: How hot it was before the first timed inference.
        after: And after the last; of several rounds in processes of their own, the worst that was
            found after any.
    """

    governor: Text | None = None
    max_frequency_mhz: Megahertz | None = None
    low_power_mode: bool | None = None
    load_average: NotNegative | None = None
    before: Thermal | None = None
    after: Thermal | None = None


@dataclass(frozen=True, kw_only=True)
class Delegate(Checked):
    """What was to compute the graph, and what did.

    Attributes:
        asked: What was asked for: `xnnpack`, `gpu`, Core ML's `cpuOnly`, ...
        got: What took part of the graph at least; None where nobody tells.
        partitions: Pieces of the graph that it took; 1 is best, 0 is a refusal.
        fallback_ops: Ops left to the runtime's own kernels, by name; empty if none were.
        ops_by_unit: Ops by the unit that ran them, as Core ML's compute plan tells it.
    """

    asked: Text
    got: Text | None = None
    partitions: Count | None = None
    fallback_ops: Mapping[str, AtLeastOne] | None = None
    ops_by_unit: Mapping[str, Count] | None = None


@dataclass(frozen=True, kw_only=True)
class Runtime(Checked):
    """What ran the file, or would have.

    Attributes:
        name: Such as `litert`, `onnxruntime`, `pytorch`, `coreml`, `benchmark_model`.
        version: The runtime and its version; None where it was never reached.
        threads: Threads given to it; None where it takes no such number, as Core ML.
        batch: Faces an inference.
        core_mask: Cores that it was pinned to, hexadecimal as `taskset` takes it; None if unpinned.
        delegate: What was to compute the graph, and what did; None where there is no choice.
    """

    name: Text
    version: Text | None = None
    threads: AtLeastOne | None = None
    batch: AtLeastOne = 1
    core_mask: Hexadecimal | None = None
    delegate: Delegate | None = None
