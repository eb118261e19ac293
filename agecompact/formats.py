"""The table of formats and precisions. Nothing else enumerates them.

A new precision is an entry in `PRECISIONS`, its name in the formats that have it, and what their
converters make of it. A new format is an entry in `FORMATS`, a converter and a runtime. Converters,
runtimes and size readers are named as `module:attribute`, so that this module imports none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import UsageError, unknown_name


@dataclass(frozen=True)
class Precision:
    """How weights are stored; inputs and outputs are float32 in every precision.

    Attributes:
        name: As manifests and file names spell it.
        flag: As `--precision` takes it.
        stored_bits: Bits of a stored weight.
        rounding_unit: Largest relative error of one rounding: half of the last place.
        arithmetic: The number type that LiteRT's CPU kernels compute in.
    """

    name: str
    flag: str
    stored_bits: int
    rounding_unit: float
    arithmetic: str


@dataclass(frozen=True)
class Converter:
    """What makes every precision of a format, in one process.

    Attributes:
        function: `module:function`, called with an `export.job.Job`.
        source: The format it converts from; None for the PyTorch network itself.
        timeout_s: After which it is stopped.
    """

    function: str
    source: str | None
    timeout_s: float


@dataclass(frozen=True)
class Runtime:
    """A backend that opens the files of a format.

    Attributes:
        name: As results name it.
        backend: `module`, or `module:object`, of a `runtimes.base.Backend`.
        label: What ran the file, for people.
        compute_unit: Core ML's, as Apple spells it; None elsewhere.
    """

    name: str
    backend: str
    label: str
    compute_unit: str | None = None


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: As manifests and `--format` spell it.
        suffix: Of its files.
        extra: The extra of `pyproject.toml` that converts, opens and measures it; None for the
            base.
        precisions: Names of the precisions that it is made in; the others are made from the first.
        converter: What makes it; None for the source weights.
        runtimes: What opens it. The first is the one that users mean.
        size_reader: `module:function` that tells the bytes of a file's weights and metadata.
    """

    name: str
    suffix: str
    extra: str | None
    precisions: tuple[str, ...]
    converter: Converter | None
    runtimes: tuple[Runtime, ...]
    size_reader: str


@dataclass(frozen=True)
class Target:
    """An artefact that can be made: a format in a precision."""

    format: Format
    precision: Precision

    def file_name(self, model_id: str) -> str:
        """The artefact's file name, `<model>_<precision><suffix>`."""
        return f"{model_id}_{self.precision.name}{self.format.suffix}"


PRECISIONS: Mapping[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("float32", "fp32", 32, 2.0**-24, arithmetic="float32"),
        # LiteRT 2.3.0 converts float16 weights to float32 as it loads them, even on processors with
        # half-precision arithmetic: both files take the same number of instructions.
        Precision("float16", "fp16", 16, 2.0**-11, arithmetic="float32"),
    )
}

_CORE_ML = "agecompact.runtimes.coreml"

_FORMATS = (
    Format(
        name="pytorch",
        suffix=".safetensors",
        extra=None,
        precisions=("float32",),
        converter=None,
        runtimes=(
            Runtime("pytorch", "agecompact.runtimes.pytorch", "PyTorch"),
            Runtime(
                "pytorch-float64",
                "agecompact.runtimes.pytorch:FLOAT64",
                "PyTorch, float64 arithmetic",
            ),
        ),
        size_reader="agecompact.bench.size:safetensors_parts",
    ),
    Format(
        name="onnx",
        suffix=".onnx",
        extra=None,
        precisions=("float32",),
        converter=Converter("export.to_onnx:convert", None, 600),
        runtimes=(Runtime("onnxruntime", "agecompact.runtimes.onnxruntime", "ONNX Runtime"),),
        size_reader="agecompact.bench.size:onnx_parts",
    ),
    Format(
        name="tflite",
        suffix=".tflite",
        extra="tflite",
        precisions=("float32", "float16"),
        converter=Converter("export.to_tflite:convert", "onnx", 1800),
        runtimes=(Runtime("litert", "agecompact.runtimes.litert", "LiteRT"),),
        size_reader="agecompact.bench.size:tflite_parts",
    ),
    Format(
        name="coreml",
        suffix=".mlpackage",
        extra="coreml",
        precisions=("float32", "float16"),
        # Not from ONNX: coremltools no longer reads it.
        converter=Converter("export.to_coreml:convert", None, 1800),
        runtimes=(
            Runtime("coreml", _CORE_ML, "Core ML, CPU", "cpuOnly"),
            Runtime("coreml-gpu", f"{_CORE_ML}:CPU_AND_GPU", "Core ML, CPU and GPU", "cpuAndGPU"),
            Runtime(
                "coreml-ane",
                f"{_CORE_ML}:CPU_AND_NE",
                "Core ML, CPU and Neural Engine",
                "cpuAndNeuralEngine",
            ),
            Runtime("coreml-all", f"{_CORE_ML}:ALL", "Core ML, all units", "all"),
            Runtime("mil", "agecompact.runtimes.mil", "reference runtime"),
            Runtime(
                "mil-float32",
                "agecompact.runtimes.mil:FLOAT32",
                "reference runtime, float32 arithmetic",
            ),
        ),
        size_reader="agecompact.bench.size:mlpackage_parts",
    ),
)

FORMATS: Mapping[str, Format] = {each.name: each for each in _FORMATS}
# Formats that are exported; the others are sources.
EXPORTED: Mapping[str, Format] = {n: f for n, f in FORMATS.items() if f.converter is not None}
RUNTIMES: Mapping[str, Runtime] = {r.name: r for f in _FORMATS for r in f.runtimes}
COMPUTE_UNITS: Mapping[str, Runtime] = {
    r.compute_unit: r for r in RUNTIMES.values() if r.compute_unit is not None
}
TARGETS: tuple[Target, ...] = tuple(
    Target(each, PRECISIONS[name]) for each in EXPORTED.values() for name in each.precisions
)


def format_named(name: str) -> Format:
    """The format of a name.

    Raises:
        UsageError: No such format; the nearest name is suggested.
    """
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    return FORMATS[name]


def precision_named(name: str) -> Precision:
    """The precision of a name.

    Raises:
        UsageError: No such precision; the nearest name is suggested.
    """
    if name not in PRECISIONS:
        raise unknown_name("precision", name, PRECISIONS)
    return PRECISIONS[name]


def format_of(path: Path) -> Format:
    """The format of a file, by its suffix.

    Raises:
        UsageError: No format has that suffix.
    """
    for each in FORMATS.values():
        if each.suffix == path.suffix:
            return each
    suffixes = ", ".join(each.suffix for each in FORMATS.values())
    raise UsageError(
        f"cannot tell what {path} is",
        why=f"its name ends in none of {suffixes}",
        fix="name a file with one of these suffixes",
    )


def runtime_named(name: str) -> Runtime:
    """The runtime of a name.

    Raises:
        UsageError: No such runtime; the nearest name is suggested.
    """
    if name not in RUNTIMES:
        raise unknown_name("runtime", name, RUNTIMES)
    return RUNTIMES[name]


def opened_by(runtime: str) -> Format:
    """The format whose files a runtime opens, such as `litert`.

    Raises:
        UsageError: No such runtime; the nearest name is suggested.
    """
    wanted = runtime_named(runtime)
    return next(each for each in FORMATS.values() if wanted in each.runtimes)
