"""What can be asked to compute a graph, and how each engine asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agecompact.errors import unknown_name
from android_bench.benchmark_model.flags import Family

XNNPACK = "xnnpack"


@dataclass(frozen=True)
class Delegate:
    """A delegate.

    Attributes:
        name: As `--delegate` takes it, and as records name it.
        flags: What asks for it, by tool; a tool that has no such flag is left out.
        runner: Why agecompact's own runner cannot have it; None where it can.
    """

    name: str
    flags: Mapping[Family, tuple[str, ...]]
    runner: str | None = None

    def names_of_flags(self, family: Family) -> tuple[str, ...]:
        """Names of its flags that ask for it, without those that only turn another off."""
        words = self.flags.get(family, ())
        return tuple(w[2:].partition("=")[0] for w in words if w.endswith("=true"))


_BIONIC = "for it is linked with glibc, and Android's drivers with Android's own C library"

DELEGATES: Mapping[str, Delegate] = {
    delegate.name: delegate
    for delegate in (
        Delegate(
            "none",
            {"tflite": ("--use_xnnpack=false",)},
            runner="for LiteRT's CPU accelerator is XNNPACK",
        ),
        Delegate(XNNPACK, {"tflite": ("--use_xnnpack=true",), "litert": ("--use_cpu=true",)}),
        Delegate(
            "gpu",
            {"tflite": ("--use_gpu=true",), "litert": ("--use_gpu=true", "--use_cpu=false")},
            runner=_BIONIC,
        ),
        Delegate("nnapi", {"tflite": ("--use_nnapi=true",)}, runner=_BIONIC),
    )
}


def named(name: str) -> Delegate:
    """A delegate.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in DELEGATES:
        raise unknown_name("delegate", name, DELEGATES)
    return DELEGATES[name]


def refusal_by_runner(name: str) -> str | None:
    """Why agecompact's own runner cannot have a delegate, and what can; None where it can have it.

    Raises:
        UsageError: There is none of that name.
    """
    why = named(name).runner
    if why is None:
        return None
    return (
        f"agecompact's runner cannot have it, {why}; "
        f"fix: --engine benchmark-model --benchmark-model PATH --delegate {name}"
    )
