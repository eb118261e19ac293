"""The delegates that can be requested, and how each engine requests them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from android_bench.benchmark_model.flags import Family
from android_bench.native.results import XNNPACK


@dataclass(frozen=True)
class Delegate:
    """A delegate.

    Attributes:
        name: As `--delegate` takes it and records name it.
        flags: The flags that request it, by tool; a tool without such a flag is left out.
        runner_refusal: Why agecompact's runner cannot use it; None if it can.
    """

    name: str
    flags: Mapping[Family, tuple[str, ...]]
    runner_refusal: str | None = None

    def flag_names(self, family: Family) -> tuple[str, ...]:
        """Names of the flags that request it, without those that turn another one off."""
        words = self.flags.get(family, ())
        return tuple(w[2:].partition("=")[0] for w in words if w.endswith("=true"))


_GLIBC = "it is linked with glibc, and Android's drivers with Android's own C library"

DELEGATES: Mapping[str, Delegate] = {
    delegate.name: delegate
    for delegate in (
        Delegate(
            "none",
            {"tflite": ("--use_xnnpack=false",)},
            runner_refusal="LiteRT always uses XNNPACK on the CPU",
        ),
        Delegate(XNNPACK, {"tflite": ("--use_xnnpack=true",), "litert": ("--use_cpu=true",)}),
        Delegate(
            "gpu",
            {"tflite": ("--use_gpu=true",), "litert": ("--use_gpu=true", "--use_cpu=false")},
            runner_refusal=_GLIBC,
        ),
        Delegate("nnapi", {"tflite": ("--use_nnapi=true",)}, runner_refusal=_GLIBC),
    )
}


def runner_refusal(name: str) -> str | None:
    """Why agecompact's runner cannot use a delegate, and what can; None if it can."""
    reason = DELEGATES[name].runner_refusal
    if reason is None:
        return None
    return (
        f"agecompact's runner cannot use it: {reason}; "
        f"fix: --engine benchmark-model --benchmark-model PATH --delegate {name}"
    )
