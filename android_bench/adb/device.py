"""What a device says of itself; None for what it does not tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agecompact.bench.circumstances import Machine
from android_bench.adb.client import Client

_CPUS = "/sys/devices/system/cpu"
_KHZ_PER_MHZ = 1e3
_SECTION = "@agecompact-section"
# One trip to the device: each costs some 50 ms over USB.
_QUERY = f"""
echo '{_SECTION} properties'; getprop 2>/dev/null
echo '{_SECTION} cores'
for core in {_CPUS}/cpu[0-9]*; do
  echo "${{core##*/cpu}} $(cat "$core/cpufreq/cpuinfo_max_freq" 2>/dev/null)"
done
echo '{_SECTION} cpuinfo'; cat /proc/cpuinfo 2>/dev/null
true
"""
_PROPERTY = re.compile(r"\[([\w.-]+)\]: \[(.*)\]")
# MIDR_EL1 parts of Arm's cores that phones have (Arm, Main ID Register, of each core's manual).
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
        max_frequency_mhz: Highest clock that its hardware has; None where it is not told.
    """

    number: int
    max_frequency_mhz: float | None


@dataclass(frozen=True)
class Facts:
    """What does not change while a device runs.

    Attributes:
        properties: Android's, by name.
        cores: In the order of their numbers.
        cpu: Names of the cores with their numbers, such as `4x Cortex-A78 + 4x Cortex-A55`.
    """

    properties: Mapping[str, str]
    cores: tuple[Core, ...]
    cpu: str | None

    def tell(self, *names: str) -> str | None:
        """The first of these properties that is set."""
        return next((self.properties[name] for name in names if self.properties.get(name)), None)


def query(client: Client) -> Facts:
    """Asks a device what it is.

    Raises:
        AdbFailure: It left.
    """
    sections = split(client.shell(_QUERY).stdout)
    return Facts(
        properties=parse_properties(sections.get("properties", "")),
        cores=parse_cores(sections.get("cores", "")),
        cpu=parse_cpuinfo(sections.get("cpuinfo", "")),
    )


def split(text: str) -> Mapping[str, str]:
    """Parts of an answer, by the names that its marks give them."""
    parts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(f"{_SECTION} "):
            lines = parts.setdefault(line.removeprefix(f"{_SECTION} "), [])
        else:
            lines.append(line)
    return {name: "\n".join(content) for name, content in parts.items()}


def section(name: str) -> str:
    """The shell command that begins a part of an answer."""
    return f"echo '{_SECTION} {name}'"


def parse_properties(text: str) -> Mapping[str, str]:
    """Reads what `getprop` prints."""
    return {m[1]: m[2].strip() for line in text.splitlines() if (m := _PROPERTY.match(line))}


def parse_cores(text: str) -> tuple[Core, ...]:
    """Reads `number kHz` lines; the clock may be missing."""
    cores = []
    for line in text.splitlines():
        number, _, khz = line.partition(" ")
        if number.isdecimal():
            clock = int(khz) / _KHZ_PER_MHZ if khz.strip().isdecimal() else 0.0
            cores.append(Core(int(number), clock or None))
    return tuple(sorted(cores, key=lambda core: core.number))


def parse_cpuinfo(text: str) -> str | None:
    """Names and numbers of the cores that `/proc/cpuinfo` tells of, the last and biggest first."""
    implementers = re.findall(r"^CPU implementer\s*: (0x[0-9a-fA-F]+)", text, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*: (0x[0-9a-fA-F]+)", text, re.MULTILINE)
    counts: dict[str, int] = {}
    for implementer, part in zip(implementers, parts, strict=False):
        of_arm = int(implementer, 16) == _ARM
        name = _PARTS.get(int(part, 16)) if of_arm else None
        name = name or f"core {implementer}/{part}"
        counts[name] = counts.get(name, 0) + 1
    return " + ".join(f"{n}x {name}" for name, n in reversed(counts.items())) or None


def fastest(cores: Sequence[Core], threads: int) -> str | None:
    """Mask of the fastest cores, hexadecimal as `taskset` takes it.

    Whole clusters of one clock, the fastest first, until there is a core for each thread: unpinned,
    one phone was seen to take 184 to 225 ms and 27 to 30 ms for the same network.

    Args:
        cores: Of the device.
        threads: Threads that are to run on them.

    Returns:
        The mask; None where a clock is unknown or all are of one clock, so that there is no choice.
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


def machine(facts: Facts) -> Machine:
    """A device as a record holds it."""
    release = facts.tell("ro.build.version.release")
    level = facts.tell("ro.build.version.sdk")
    maker = facts.tell("ro.product.manufacturer")
    model = facts.tell("ro.product.model")
    soc = " ".join(filter(None, (facts.tell("ro.soc.manufacturer"), facts.tell("ro.soc.model"))))
    return Machine(
        cpu=facts.cpu
        or facts.tell("ro.soc.model", "ro.board.platform", "ro.hardware")
        or "unknown",
        os=f"Android {release or 'of unknown version'}{f' (API {level})' if level else ''}",
        name=" ".join(filter(None, (maker, model))) or None,
        soc=soc or facts.tell("ro.board.platform", "ro.hardware"),
        abi=facts.tell("ro.product.cpu.abi"),
        cores=len(facts.cores) or None,
        os_build=facts.tell("ro.build.id", "ro.build.display.id"),
    )
