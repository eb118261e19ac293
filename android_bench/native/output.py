"""Parses the runner's output: `key value` lines between `agecompact-runner 1` and `end`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from android_bench.failure import FailureKind, MeasurementFailure, last_lines

HEADER = "agecompact-runner 1"
END = "end"

# Exit codes of fail.h.
_EXIT_KINDS: Mapping[int, FailureKind] = {
    2: "usage",
    3: "library",
    4: "model",
    5: "golden",
    6: "mismatch",
    7: "inference",
    8: "cores",
}
_KEYS = (
    "model",
    "threads",
    "cores",
    "init_ns",
    "fully_accelerated",
    "first_inference_ns",
    "samples_ns",
    "peak_rss_bytes",
)
_ACCELERATED: Mapping[str, bool | None] = {"true": True, "false": False, "unknown": None}
# As C's %a prints a float, infinities and NaN included.
_HEX_FLOAT = re.compile(r"-?(0x[0-9a-f](\.[0-9a-f]+)?p[+-]\d{1,4}|inf|nan)")
_NUMBER = re.compile(r"[0-9]{1,19}")
_HEXADECIMAL = re.compile(r"[0-9a-f]{1,16}")

_T = TypeVar("_T")


@dataclass(frozen=True)
class RunnerOutput:
    """The complete output of one run.

    Attributes:
        model: The model that the golden pack belongs to.
        threads: Threads that LiteRT was given.
        cores: Mask of the cores that it was pinned to; None if it was not pinned.
        init_ns: Time to load the file and make it ready, without loading LiteRT's library.
        first_inference_ns: The first inference after that.
        samples_ns: The timed inferences, in order.
        fully_accelerated: Whether the accelerator took every op; None if LiteRT does not say.
        outputs: By output name, the values for each golden sample.
        peak_rss_bytes: Peak resident memory; None if the system does not report it.
    """

    model: str
    threads: int
    cores: int | None
    init_ns: int
    first_inference_ns: int
    samples_ns: tuple[int, ...]
    fully_accelerated: bool | None
    outputs: Mapping[str, tuple[tuple[float, ...], ...]]
    peak_rss_bytes: int | None


def parse(text: str, exit_code: int = 0) -> RunnerOutput:
    """Parses the output of one run.

    Args:
        text: Standard output of the runner.
        exit_code: Its exit code.

    Raises:
        MeasurementFailure: The runner reported an error, or its output is truncated or malformed.
    """
    lines = text.splitlines()
    if errors := [line for line in lines if line.startswith("error ")]:
        kind = _EXIT_KINDS.get(exit_code, "malformed")
        raise MeasurementFailure(kind, errors[-1].removeprefix("error "))
    if exit_code != 0:
        raise MeasurementFailure("crash", f"exit code {exit_code}: {last_lines(text)}")
    if not lines or lines[-1] != END or not text.endswith("\n"):
        raise MeasurementFailure("truncated", f"the output has no '{END}': {last_lines(text)}")
    if lines[0] != HEADER:
        raise MeasurementFailure("malformed", f"it begins with '{lines[0]}', not '{HEADER}'")
    values: dict[str, str] = {}
    outputs: dict[str, list[tuple[float, ...]]] = {}
    for line in lines[1:-1]:
        key, _, value = line.partition(" ")
        if key == "output":
            _add_output(outputs, value)
        elif key not in _KEYS or key in values:
            raise MeasurementFailure("malformed", f"line '{line[:80]}' is unknown or repeated")
        else:
            values[key] = value
    if missing := [key for key in _KEYS if key not in values]:
        raise MeasurementFailure("malformed", f"it lacks {', '.join(missing)}")
    return _build(values, outputs)


def _build(
    values: Mapping[str, str], outputs: Mapping[str, Sequence[tuple[float, ...]]]
) -> RunnerOutput:
    def read(key: str, convert: Callable[[str], _T]) -> _T:
        try:
            return convert(values[key])
        except (ValueError, KeyError):
            raise MeasurementFailure("malformed", f"{key} is '{values[key][:80]}'") from None

    if len({len(samples) for samples in outputs.values()}) != 1:
        raise MeasurementFailure("malformed", "its outputs have different numbers of samples")
    return RunnerOutput(
        model=values["model"],
        threads=read("threads", _number),
        cores=read("cores", _mask) or None,
        init_ns=read("init_ns", _number),
        first_inference_ns=read("first_inference_ns", _number),
        samples_ns=read("samples_ns", lambda value: tuple(map(_number, value.split(" ")))),
        fully_accelerated=read("fully_accelerated", _ACCELERATED.__getitem__),
        outputs={name: tuple(samples) for name, samples in outputs.items()},
        peak_rss_bytes=read("peak_rss_bytes", lambda v: None if v == "unknown" else _number(v)),
    )


def _add_output(outputs: dict[str, list[tuple[float, ...]]], line: str) -> None:
    name, _, rest = line.partition(" ")
    sample, *values = rest.split(" ")
    samples = outputs.setdefault(name, [])
    try:
        if not name or sample != str(len(samples)) or not values:
            raise ValueError(line)
        if not all(map(_HEX_FLOAT.fullmatch, values)):
            raise ValueError(line)
        samples.append(tuple(map(float.fromhex, values)))
    # An exponent of four digits can be too large.
    except (ValueError, OverflowError):
        why = f"output '{line[:80]}' is not the next sample's"
        raise MeasurementFailure("malformed", why) from None


def _number(text: str) -> int:
    # int() also accepts '1_000', ' 7' and the digits of other scripts.
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _mask(text: str) -> int:
    if not _HEXADECIMAL.fullmatch(text):
        raise ValueError(text)
    return int(text, 16)
