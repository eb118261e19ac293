"""What a device is; None for what it does not report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agecompact.bench.circumstances import Machine
from agecompact.text import one_line
from android_bench.adb.client import Client

CPUS = "/sys/devices/system/cpu"
KHZ_PER_MHZ = 1e3

_SECTION = "@agecompact-section"
# One command for everything: each takes some 50 ms over USB.
_QUERY = f"""
echo '{_SECTION} properties'; getprop 2>/dev/null
echo '{_SECTION} cores'
for core in {CPUS}/cpu[0-9]*; do
  echo "${{core##*/cpu}} $(cat "$core/cpufreq/cpuinfo_max_freq" 2>/dev/null)"
done
echo '{_SECTION} cpuinfo'; cat /proc/cpuinfo 2>/dev/null
true
"""
# A mask has a bit for each core, so numbers have a limit.
_CORE = re.compile(r"[0-9]{1,3}")
_KHZ = re.compile(r"[0-9]{1,9}")
_PROPERTY = re.compile(r"\[([\w.-]+)\]: \[(.*)\]")
# Parts in MIDR_EL1 of Arm's cores in phones (Arm, Main ID Register, in each core's manual).
_PARTS: Mapping[int, str] = {
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0D: "Cortex-A77",
    0xD41: "Cortex-A78",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
    0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3",
    0xD80: "Cortex-A520",
    0xD81: "Cortex-A720",
    0xD82: "Cortex-X4",
    0xD85: "Cortex-X925",
    0xD87: "Cortex-A725",
}
_ARM = 0x41


@dataclass(frozen=True)
class Core:
    """A core.

    Attributes:
        number: Its number.
        max_frequency_mhz: Highest clock of its hardware; None if unknown.
    """

    number: int
    max_frequency_mhz: float | None


@dataclass(frozen=True)
class DeviceInfo:
    """What does not change while a device runs.

    Attributes:
        properties: Android's properties, by name.
        cores: By number.
        cpu: Names of the cores with their counts, such as `4x Cortex-A78 + 4x Cortex-A55`.
    """

    properties: Mapping[str, str]
    cores: tuple[Core, ...]
    cpu: str | None

    def first(self, *names: str) -> str | None:
        """The first of these properties that is set."""
        return next((self.properties[name] for name in names if self.properties.get(name)), None)


def query(client: Client) -> DeviceInfo:
    """Reads what a device is.

    Raises:
        AdbFailure: The device was lost.
    """
    sections = split_sections(client.shell(_QUERY).stdout)
    return DeviceInfo(
        properties=parse_properties(sections.get("properties", "")),
        cores=parse_cores(sections.get("cores", "")),
        cpu=parse_cpuinfo(sections.get("cpuinfo", "")),
    )


def section(name: str) -> str:
    """The shell command that begins a section of output."""
    return f"echo '{_SECTION} {name}'"


def split_sections(text: str) -> Mapping[str, str]:
    """Sections of output, by name."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(f"{_SECTION} "):
            lines = sections.setdefault(line.removeprefix(f"{_SECTION} "), [])
        else:
            lines.append(line)
    return {name: "\n".join(content) for name, content in sections.items()}


def parse_properties(text: str) -> Mapping[str, str]:
    """Parses the output of `getprop`."""
    matches = filter(None, map(_PROPERTY.match, text.splitlines()))
    return {match[1]: one_line(match[2].strip()) for match in matches}


def parse_cores(text: str) -> tuple[Core, ...]:
    """Parses `number kHz` lines; the clock may be missing."""
    cores = []
    for line in text.splitlines():
        number, _, khz = line.partition(" ")
        if _CORE.fullmatch(number):
            clock = int(khz) / KHZ_PER_MHZ if _KHZ.fullmatch(khz.strip()) else 0.0
            cores.append(Core(int(number), clock or None))
    return tuple(sorted(cores, key=lambda core: core.number))


def parse_cpuinfo(text: str) -> str | None:
    """Names and counts of the cores in `/proc/cpuinfo`, the last and biggest first."""
    implementers = re.findall(r"^CPU implementer\s*: (0x[0-9a-fA-F]+)", text, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*: (0x[0-9a-fA-F]+)", text, re.MULTILINE)
    counts: dict[str, int] = {}
    for implementer, part in zip(implementers, parts, strict=False):
        is_arms = int(implementer, 16) == _ARM
        name = _PARTS.get(int(part, 16)) if is_arms else None
        name = name or f"core {implementer}/{part}"
        counts[name] = counts.get(name, 0) + 1
    return " + ".join(f"{n}x {name}" for name, n in reversed(counts.items())) or None


def fastest_cores(cores: Sequence[Core], threads: int) -> str | None:
    """Mask of the fastest cores, hexadecimal as `taskset` takes it.

    It holds whole clusters of equal clock, the fastest first, until there is a core for each
    thread. One phone, without pinning, took 27 to 30 ms or 184 to 225 ms for the same network.

    Args:
        cores: The device's cores.
        threads: Threads that run on them.

    Returns:
        The mask; None if a clock is unknown or all clocks are equal.
    """
    clocks = [core.max_frequency_mhz for core in cores]
    known = [clock for clock in clocks if clock is not None]
    if len(known) < len(clocks) or len(set(known)) < 2:
        return None
    mask = 0
    for clock in sorted(set(known), reverse=True):
        for core in cores:
            mask |= (1 << core.number) if core.max_frequency_mhz == clock else 0
        if mask.bit_count() >= threads:
            break
    return f"{mask:x}"


def machine(info: DeviceInfo) -> Machine:
    """A device as records describe it."""
    release = info.first("ro.build.version.release")
    level = info.first("ro.build.version.sdk")
    maker, model = info.first("ro.product.manufacturer"), info.first("ro.product.model")
    soc_maker, soc_model = info.first("ro.soc.manufacturer"), info.first("ro.soc.model")
    soc = " ".join(filter(None, (soc_maker, soc_model)))
    cpu = info.cpu or info.first("ro.soc.model", "ro.board.platform", "ro.hardware")
    return Machine(
        cpu=cpu or "unknown",
        os=f"Android {release or 'of unknown version'}{f' (API {level})' if level else ''}",
        name=" ".join(filter(None, (maker, model))) or None,
        soc=soc or info.first("ro.board.platform", "ro.hardware"),
        abi=info.first("ro.product.cpu.abi"),
        cores=len(info.cores) or None,
        os_build=info.first("ro.build.id", "ro.build.display.id"),
    )
