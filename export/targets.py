"""The formats and precisions that models are exported to, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agecompact.errors import UsageError, unknown_name

Format = Literal["onnx", "tflite", "coreml"]
Precision = Literal["float32", "float16"]

PRECISION_FLAGS: dict[str, Precision] = {"fp32": "float32", "fp16": "float16"}


@dataclass(frozen=True)
class Target:
    """One artefact that can be made.

    Attributes:
        format: The file format.
        precision: Of the stored weights; inputs and outputs are float32 in all of them.
        suffix: Of the file name, `<model>_<precision><suffix>`.
    """

    format: Format
    precision: Precision
    suffix: str

    def file_name(self, model_id: str) -> str:
        """The artefact's file name."""
        return f"{model_id}_{self.precision}{self.suffix}"


@dataclass(frozen=True)
class Stage:
    """A converter, which makes every target of one format in one process.

    Attributes:
        format: What it makes.
        converter: `module:function`, called with a `export.job.Job`.
        extra: The extra of `pyproject.toml` that it needs, or None for the base.
        needs: The format it converts from, or None for the PyTorch network itself.
        timeout_s: After which it is given up.
    """

    format: Format
    converter: str
    extra: str | None
    needs: Format | None
    timeout_s: float


STAGES: dict[Format, Stage] = {
    stage.format: stage
    for stage in (
        Stage("onnx", "export.to_onnx:convert", None, None, 600),
        Stage("tflite", "export.to_tflite:convert", "tflite", "onnx", 1800),
        # Core ML converts from the network itself: coremltools reads no ONNX any more.
        Stage("coreml", "export.to_coreml:convert", "coreml", None, 1800),
    )
}

TARGETS: tuple[Target, ...] = (
    Target("onnx", "float32", ".onnx"),
    Target("tflite", "float32", ".tflite"),
    Target("tflite", "float16", ".tflite"),
    Target("coreml", "float32", ".mlpackage"),
    Target("coreml", "float16", ".mlpackage"),
)


def get(format_: Format, precision: Precision) -> Target:
    """The target of a format and a precision, which the registry holds."""
    return next(t for t in TARGETS if (t.format, t.precision) == (format_, precision))


def select(formats: Iterable[str], precisions: Iterable[str]) -> tuple[Target, ...]:
    """The targets of the named formats and precisions; nothing named means all.

    What a chosen target is converted from is chosen too.

    Args:
        formats: Format names.
        precisions: Precision flags, `fp32` or `fp16`.

    Raises:
        UsageError: An unknown name, or a format that has none of the precisions.
    """
    formats, precisions = tuple(formats), tuple(precisions)
    for name in formats:
        if name not in STAGES:
            raise unknown_name("format", name, STAGES)
    for flag in precisions:
        if flag not in PRECISION_FLAGS:
            raise unknown_name("precision", flag, PRECISION_FLAGS)
    wanted = {PRECISION_FLAGS[flag] for flag in precisions or PRECISION_FLAGS}
    chosen = {t for t in TARGETS if t.format in (formats or STAGES) and t.precision in wanted}
    for name in formats:
        if not any(t.format == name for t in chosen):
            known = ", ".join(sorted(t.precision for t in TARGETS if t.format == name))
            raise UsageError(
                f"{name} is not exported in {' or '.join(sorted(wanted))}", why=f"it knows {known}"
            )
    needed = {STAGES[t.format].needs for t in chosen}
    return tuple(
        t for t in TARGETS if t in chosen or (t.format in needed and t.precision == "float32")
    )
