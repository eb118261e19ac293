"""The runner's output as parts of a record, the same on a phone and in the emulator."""

from __future__ import annotations

from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.accuracy import OutputMismatch, output_accuracy
from agecompact.bench.circumstances import Delegate
from agecompact.bench.figures import OutputAccuracy
from android_bench.failure import MeasurementFailure
from android_bench.native.output import RunnerOutput

XNNPACK = "xnnpack"

_XNNPACK_CREATED = "Created TensorFlow Lite XNNPACK delegate for CPU"


def delegate(output: RunnerOutput, log: str) -> Delegate:
    """LiteRT's CPU delegate, and whether it was used.

    Args:
        output: What the runner printed.
        log: What LiteRT logged.
    """
    return Delegate(
        asked=XNNPACK,
        got=XNNPACK if _XNNPACK_CREATED in log else None,
        fallback_ops={} if output.fully_accelerated else None,
    )


def accuracy(
    output: RunnerOutput, pack: GoldenPack, file: str, *, samples: int | None = None
) -> OutputAccuracy:
    """Compares the runner's outputs with PyTorch's, as `output_accuracy` does.

    Raises:
        MeasurementFailure: The outputs are not those of the pack.
    """
    if unknown := output.outputs.keys() - pack.outputs.keys():
        reason = f"the golden pack has no output '{', '.join(sorted(unknown))}'"
        raise MeasurementFailure("wrong-output", reason)
    try:
        return output_accuracy(output.outputs, pack, file, samples=samples)
    except OutputMismatch as mismatch:
        raise MeasurementFailure("wrong-output", str(mismatch)) from None
