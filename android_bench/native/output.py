"""What the runner prints: `key value` lines between `agecompact-runner 1` and `end`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from android_bench.native.failure import FailureKind, RunnerFailure, last_lines

HEADER = "agecompact-runner 1"
END = "end"

# Exit codes of runner.c.
_EXIT_KINDS: Mapping[int, FailureKind] = {
    2: "usage",
    3: "library",
    4: "model",
    5: "golden",
    6: "mismatch",
    7: "inference",
    8: "cores",
}
_ACCELERATED: Mapping[str, bool | None] = {"true": True, "false": False, "unknown": None}
# C's %a, and its words for what is no number.
_HEX_FLOAT = re.compile(r"-?(0x[0-9a-f](\.[0-9a-f]+)?p[+-]\d{1,4}|inf|nan)")
_NUMBER = re.compile(r"[0-9]{1,19}")
_HEXADECIMAL = re.compile(r"[0-9a-f]{1,16}")

_T = TypeVar("_T")


@dataclass(frozen=True)
class RunnerOutput:
    """A complete answer of the runner.

    Attributes:
        model: Model that the golden pack is of.
        threads: Threads it asked LiteRT for.
        cores: Mask of the cores it was pinned to; None if it was not.
        init_ns: Time to load the file and make it ready; LiteRT's library was loaded before.
        first_inference_ns: The first inference after that.
        samples_ns: Timed inferences, in the order taken.
        fully_accelerated: Whether the accelerator took every op, or None where LiteRT did not say.
        outputs: By output name, the answer to each golden sample.
        peak_rss_bytes: Most memory it held, or None where the system did not say.
    """

    model: str
    threads: int
    cores: int | None
    init_ns: int
    first_inference_ns: int
    samples_ns: tuple[int, ...]
    fully_accelerated: bool | None
    outputs: Mapping[str, tuple[float, ...]]
    peak_rss_bytes: int | None


def parse(text: str, exit_code: int = 0) -> RunnerOutput:
    """Reads an answer.

    Args:
        text: Standard output of the runner.
        exit_code: What it exited with.

    Raises:
        RunnerFailure: It reported an error, its answer was cut off, or is not one of its answers.
    """
    lines = text.splitlines()
    if errors := [line for line in lines if line.startswith("error ")]:
        kind = _EXIT_KINDS.get(exit_code, "malformed")
        raise RunnerFailure(kind, errors[-1].removeprefix("error "))
    if exit_code != 0:
        raise RunnerFailure("crash", f"exit code {exit_code}: {last_lines(text)}")
    if not lines or lines[-1] != END or not text.endswith("\n"):
        raise RunnerFailure("truncated", f"its answer has no end: {last_lines(text)}")
    if lines[0] != HEADER:
        raise RunnerFailure("malformed", f"it begins with '{lines[0]}', not '{HEADER}'")
    values: dict[str, str] = {}
    outputs: dict[str, list[float]] = {}
    for line in lines[1:-1]:
        key, _, value = line.partition(" ")
        if key == "output":
            _add_output(outputs, value)
        elif key not in _KEYS or key in values:
            raise RunnerFailure("malformed", f"line '{line[:80]}' is unknown, or there twice")
        else:
            values[key] = value
    if missing := [key for key in _KEYS if key not in values]:
        raise RunnerFailure("malformed", f"it lacks {', '.join(missing)}")
    return _build(values, outputs)


def _build(values: Mapping[str, str], outputs: Mapping[str, Sequence[float]]) -> RunnerOutput:
    def read(key: str, convert: Callable[[str], _T]) -> _T:
        try:
            return convert(values[key])
        except (ValueError, KeyError):
            raise RunnerFailure("malformed", f"{key} is '{values[key][:80]}'") from None

    if len({len(answers) for answers in outputs.values()}) != 1:
        raise RunnerFailure("malformed", "its outputs are not of the same samples")
    return RunnerOutput(
        model=values["model"],
        threads=read("threads", _number),
        cores=read("cores", _mask) or None,
        init_ns=read("init_ns", _number),
        first_inference_ns=read("first_inference_ns", _number),
        samples_ns=read("samples_ns", lambda value: tuple(map(_number, value.split(" ")))),
        fully_accelerated=read("fully_accelerated", _ACCELERATED.__getitem__),
        outputs={name: tuple(answers) for name, answers in outputs.items()},
        peak_rss_bytes=read("peak_rss_bytes", lambda v: None if v == "unknown" else _number(v)),
    )


def _add_output(outputs: dict[str, list[float]], value: str) -> None:
    name, _, rest = value.partition(" ")
    place, _, answer = rest.partition(" ")
    answers = outputs.setdefault(name, [])
    if not name or place != str(len(answers)) or not _HEX_FLOAT.fullmatch(answer):
        raise RunnerFailure("malformed", f"output '{value[:80]}' is no next sample's answer")
    answers.append(float.fromhex(answer))


def _number(text: str) -> int:
    # int() would take '1_000', ' 7' and digits of other scripts.
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _mask(text: str) -> int:
    if not _HEXADECIMAL.fullmatch(text):
        raise ValueError(text)
    return int(text, 16)


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
