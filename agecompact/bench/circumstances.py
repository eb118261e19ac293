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

# android.os.PowerManager.THERMAL_STATUS_*, in the order of their numbers. `light` is the first at
# which Android lowers a clock.
AndroidThermalStatus = Literal[
    "none", "light", "moderate", "severe", "critical", "emergency", "shutdown"
]
# Apple's names too.
ThermalStatus = Literal[AndroidThermalStatus, "nominal", "fair", "serious"]


@dataclass(frozen=True, kw_only=True)
class Machine(Checked):
    """The machine that ran the artefact; times of different machines are not comparable.

    Attributes:
        cpu: The processor; the emulated one if `emulator` is set, such as `cortex-a76`.
        os: Operating system and version.
        name: Product name of the device, such as `Pixel 8`.
        soc: System on a chip.
        abi: Such as `x86_64` or `arm64-v8a`.
        cores: Number of logical processors.
        os_build: Build number of the operating system.
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
    """Temperature and clock of the machine at one moment.

    Attributes:
        status: Thermal status as the operating system reports it.
        battery_temperature_c: Battery temperature, degrees Celsius.
        cpu_temperature_c: Processor temperature, degrees Celsius.
        cpu_frequency_mhz: Current clock of the fastest core in use.
    """

    status: ThermalStatus | None = None
    battery_temperature_c: Celsius | None = None
    cpu_temperature_c: Celsius | None = None
    cpu_frequency_mhz: Megahertz | None = None


@dataclass(frozen=True, kw_only=True)
class Conditions(Checked):
    """State of the machine during the measurement.

    Attributes:
        governor: The kernel's frequency governor for the cores in use.
        max_frequency_mhz: Highest clock that the governor allows on them.
        low_power_mode: Whether the battery saver was on.
        load_average: Average number of runnable processes over the preceding minute.
        before: State before the first timed inference.
        after: State after the last one; the worst of all rounds if each has its own process.
    """

    governor: Text | None = None
    max_frequency_mhz: Megahertz | None = None
    low_power_mode: bool | None = None
    load_average: NotNegative | None = None
    before: Thermal | None = None
    after: Thermal | None = None


@dataclass(frozen=True, kw_only=True)
class Delegate(Checked):
    """The delegate that was requested and the one that ran.

    Attributes:
        asked: The delegate that was requested: `xnnpack`, `gpu`, Core ML's `cpuOnly`, ...
        got: The delegate that ran at least part of the graph; None if unknown.
        partitions: Number of subgraphs that it took; 1 is best, 0 means that it took none.
        fallback_ops: Ops left to the runtime's own kernels, with their counts; empty for none.
        ops_by_unit: Number of ops by compute unit, from Core ML's compute plan.
    """

    asked: Text
    got: Text | None = None
    partitions: Count | None = None
    fallback_ops: Mapping[str, AtLeastOne] | None = None
    ops_by_unit: Mapping[str, Count] | None = None


@dataclass(frozen=True, kw_only=True)
class Runtime(Checked):
    """The runtime that ran the file, or failed to.

    Attributes:
        name: Such as `litert`, `onnxruntime`, `pytorch`, `coreml`, `benchmark_model`.
        version: The runtime and its version; None if it never started.
        threads: Number of threads; None for a runtime without that option, such as Core ML.
        batch: Faces per inference.
        core_mask: Cores that it was pinned to, hexadecimal as for `taskset`; None if not pinned.
        delegate: The delegate requested and the one that ran; None for a runtime without any.
        library_bytes: What a page downloads for the runtime, beside the model; None for others.
    """

    name: Text
    version: Text | None = None
    threads: AtLeastOne | None = None
    batch: AtLeastOne = 1
    core_mask: Hexadecimal | None = None
    delegate: Delegate | None = None
    library_bytes: AtLeastOne | None = None
