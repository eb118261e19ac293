"""The table of formats and their runtimes, the only place that enumerates them.

To add a format, add an entry to `FORMATS`, a converter and a runtime. Converters, runtimes and size
readers are named `module:attribute`, so that this module imports none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agecompact.errors import UsageError, unknown_name
from agecompact.precisions import PRECISIONS, Precision

# `everywhere`: if it is named, or where it is installed with `--everywhere`; `named`: only if it is
# named.
When = Literal["always", "everywhere", "named"]


@dataclass(frozen=True)
class Converter:
    """Makes all precisions of a format in one process.

    Attributes:
        function: `module:function`, called with an `export.job.Job`.
        source: Name of the format that it converts; None for the PyTorch network itself.
        timeout_s: The process is stopped after this time.
    """

    function: str
    source: str | None
    timeout_s: float


@dataclass(frozen=True)
class Runtime:
    """A backend that opens the files of a format.

    Attributes:
        name: Its name in results.
        backend: A `runtimes.base.Backend`, as `module:object`.
        label: Its name for people.
        processor: What it computes on, for tables of processors.
        compute_unit: Core ML's compute unit, as Apple spells it; None for other formats.
        extra: The extra in `pyproject.toml` that it needs; None if it needs no other than the
            format's.
        module: A module of that extra: the runtime is not installed where this is not found.
        accelerator: The hardware that must run every op; empty for a CPU.
        precisions: Names of the precisions that it runs; empty for all of the format.
        arithmetic: Name of the precision that it computes float ops in; empty for that of the file.
        run: When `parity` checks files in it.
        slow: Whether it may take a second for one image, so that files are checked on the fixed
            inputs alone.
        launcher: `module:function` that returns a `runtimes.launching.Launcher` for its worker
            processes; empty if they run in this Python.
    """

    name: str
    backend: str
    label: str
    processor: str = "CPU"
    compute_unit: str | None = None
    extra: str | None = None
    module: str = ""
    accelerator: str = ""
    precisions: tuple[str, ...] = ()
    arithmetic: str = ""
    run: When = "always"
    slow: bool = False
    launcher: str = ""


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: Its name in manifests and for `--format`.
        suffix: Suffix of its files.
        extra: The extra in `pyproject.toml` that its converter, runtimes and size reader need; None
            if they need none.
        precisions: Names of the precisions that an export makes. Other formats are converted from
            the first.
        converter: Its converter; None for the source weights.
        runtimes: Runtimes that open it. The first is the default.
        size_reader: `module:function` that measures the bytes of a file's weights and metadata.
        on_request: Names of the precisions that an export makes only if they are asked for.
        takes_images: Whether its files can be made to take pictures and normalise them.
        made: When an export makes it.
        of_network: Whether it is made of a PyTorch network, and not of an ONNX file.
        module: A module of the extra: the converter is not installed where this is not found. Empty
            for a format that is always made.
    """

    name: str
    suffix: str
    extra: str | None
    precisions: tuple[str, ...]
    converter: Converter | None
    runtimes: tuple[Runtime, ...]
    size_reader: str
    on_request: tuple[str, ...] = ()
    takes_images: bool = False
    made: When = "always"
    of_network: bool = False
    module: str = ""

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of all its precisions."""
        return self.precisions + self.on_request


@dataclass(frozen=True)
class Target:
    """An artefact to export: a format in a precision."""

    format: Format
    precision: Precision

    def file_name(self, model_id: str) -> str:
        """The artefact's file name, `<model>_<precision><suffix>`."""
        return f"{model_id}_{self.precision.name}{self.format.suffix}"


_APPLE = "Apple's runtime"


def _core_ml(name: str, attribute: str, units: str, compute_unit: str) -> Runtime:
    backend = f"agecompact.runtimes.coreml:{attribute}"
    return Runtime(name, backend, f"Core ML, {units}", _APPLE, compute_unit)


def _mil(name: str, attribute: str, label: str) -> Runtime:
    return Runtime(name, f"agecompact.runtimes.mil:{attribute}", label, "Core ML's reference")


def _browser(
    name: str, attribute: str, library: str, accelerator: str, *, slow: bool = False
) -> Runtime:
    return Runtime(
        name,
        f"agecompact.runtimes.browser:{attribute}",
        f"{library} ({accelerator}), in a browser",
        f"browser, {accelerator}",
        extra="web",
        module="playwright",
        run="everywhere",
        slow=slow,
    )


def _htp(version: int, soc: str, run: When = "named") -> Runtime:
    return Runtime(
        f"htp-v{version}",
        f"agecompact.runtimes.htp:V{version}",
        f"Qualcomm HTP v{version} ({soc}), simulated",
        "NPU",
        extra="npu",
        module="onnxruntime_qnn",
        accelerator="NPU",
        arithmetic="float16",
        run=run,
        slow=True,
    )


def _arm(name: str, backend: str, label: str) -> Runtime:
    return Runtime(
        name,
        f"agecompact.runtimes.{backend}",
        f"{label}, on an emulated Cortex-A76",
        "ARM CPU, emulated",
        run="everywhere",
        slow=True,
        launcher="android_bench.emulated.arm_python:launcher",
    )


_FORMATS = (
    Format(
        name="pytorch",
        suffix=".safetensors",
        extra=None,
        precisions=("float32",),
        converter=None,
        runtimes=(
            Runtime("pytorch", "agecompact.runtimes.pytorch:FLOAT32", "PyTorch"),
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
        runtimes=(
            Runtime("onnxruntime", "agecompact.runtimes.onnxruntime:BACKEND", "ONNX Runtime"),
            Runtime(
                "onnx-float64",
                "agecompact.runtimes.onnx_float64:BACKEND",
                "onnx.reference, float64 arithmetic",
            ),
            _arm("ort-arm", "onnxruntime:BACKEND", "ONNX Runtime"),
            _browser("ort-wasm", "ONNX_WASM", "ONNX Runtime Web", "wasm"),
            _browser("ort-wgpu", "ONNX_WEBGPU", "ONNX Runtime Web", "WebGPU", slow=True),
            _htp(75, "Snapdragon 8 Gen 3", "everywhere"),
            _htp(69, "Snapdragon 8 Gen 1"),
            _htp(73, "Snapdragon 8 Gen 2"),
            _htp(79, "Snapdragon 8 Elite"),
            _htp(81, "Snapdragon 8 Elite Gen 5"),
        ),
        size_reader="agecompact.bench.size:onnx_parts",
        on_request=("float16", "int8", "int16"),
    ),
    Format(
        name="tflite",
        suffix=".tflite",
        extra="tflite",
        precisions=("float32", "float16"),
        converter=Converter("export.to_tflite:convert", "onnx", 1800),
        runtimes=(
            Runtime("litert", "agecompact.runtimes.litert:BACKEND", "LiteRT"),
            _arm("litert-arm", "litert:BACKEND", "LiteRT"),
            Runtime(
                "litert-gpu",
                "agecompact.runtimes.litert_gpu:BACKEND",
                "LiteRT, GPU",
                "GPU",
                extra="gpu",
                module="ai_edge_litert",
                accelerator="GPU",
                run="everywhere",
            ),
            _browser("litert-wasm", "LITERT_WASM", "LiteRT.js", "wasm"),
            _browser("litert-wgpu", "LITERT_WEBGPU", "LiteRT.js", "WebGPU"),
        ),
        size_reader="agecompact.bench.size:tflite_parts",
        on_request=("float16-arithmetic", "int8", "int8-dynamic", "int8-weights"),
        takes_images=True,
    ),
    Format(
        name="coreml",
        suffix=".mlpackage",
        extra="coreml",
        precisions=("float32", "float16"),
        # Not from ONNX, which coremltools no longer reads.
        # Mixed palettes try every layer in several widths.
        converter=Converter("export.to_coreml:convert", None, 3600),
        runtimes=(
            _core_ml("coreml", "CPU_ONLY", "CPU", "cpuOnly"),
            _core_ml("coreml-gpu", "CPU_AND_GPU", "CPU and GPU", "cpuAndGPU"),
            _core_ml("coreml-ane", "CPU_AND_NE", "CPU and Neural Engine", "cpuAndNeuralEngine"),
            _core_ml("coreml-all", "ALL", "all units", "all"),
            _mil("mil", "MIL", "reference runtime"),
            _mil("mil-float32", "FLOAT32", "reference runtime, float32 arithmetic"),
        ),
        of_network=True,
        size_reader="agecompact.bench.size:mlpackage_parts",
        on_request=("int8-weights", "palette8", "palette6", "palette4", "mixed"),
        takes_images=True,
    ),
    Format(
        name="coreai",
        suffix=".aimodel",
        extra="coreai",
        made="everywhere",
        of_network=True,
        module="coreai_torch",
        precisions=("float32", "float16"),
        converter=Converter("export.to_coreai:convert", None, 1800),
        runtimes=(
            Runtime(
                "coreai", "agecompact.runtimes.coreai:BACKEND", "Core AI, CPU", _APPLE, slow=True
            ),
        ),
        size_reader="agecompact.bench.size:aimodel_parts",
    ),
    Format(
        name="executorch",
        suffix=".pte",
        extra="executorch",
        made="everywhere",
        of_network=True,
        module="executorch",
        precisions=("float32",),
        # Its int8 files come from the calibration of the TFLite graph.
        converter=Converter("export.to_executorch:convert", "onnx", 1800),
        runtimes=(
            Runtime("executorch", "agecompact.runtimes.executorch:BACKEND", "ExecuTorch, XNNPACK"),
            _arm("executorch-arm", "executorch_native:BACKEND", "ExecuTorch, XNNPACK"),
        ),
        size_reader="agecompact.bench.size:pte_parts",
        on_request=("int8",),
    ),
    Format(
        name="ncnn",
        suffix=".ncnn",
        extra="ncnn",
        made="everywhere",
        of_network=True,
        module="pnnx",
        precisions=("float32", "float16"),
        converter=Converter("export.to_ncnn:convert", None, 900),
        runtimes=(
            Runtime("ncnn", "agecompact.runtimes.ncnn:BACKEND", "ncnn"),
            _arm("ncnn-arm", "ncnn:BACKEND", "ncnn"),
        ),
        size_reader="agecompact.bench.size:ncnn_parts",
    ),
)

FORMATS: Mapping[str, Format] = {each.name: each for each in _FORMATS}
# Formats with a converter; the others are sources.
EXPORTED: Mapping[str, Format] = {n: f for n, f in FORMATS.items() if f.converter is not None}
RUNTIMES: Mapping[str, Runtime] = {r.name: r for f in _FORMATS for r in f.runtimes}
COMPUTE_UNITS: Mapping[str, Runtime] = {
    r.compute_unit: r for r in RUNTIMES.values() if r.compute_unit is not None
}
# All that can be made, and what is made by default.
OFFERED: tuple[Target, ...] = tuple(
    Target(each, PRECISIONS[name]) for each in EXPORTED.values() for name in each.offered
)
TARGETS: tuple[Target, ...] = tuple(
    t for t in OFFERED if t.format.made == "always" and t.precision.name in t.format.precisions
)


def format_of(path: Path) -> Format:
    """The format of a file, from its suffix.

    Raises:
        UsageError: No format has this suffix.
    """
    for each in FORMATS.values():
        if each.suffix == path.suffix:
            return each
    suffixes = ", ".join(each.suffix for each in FORMATS.values())
    raise UsageError(
        f"cannot tell what {path} is",
        why=f"the suffix is none of {suffixes}",
        fix="name a file with one of these suffixes",
    )


def runtime_named(name: str) -> Runtime:
    """Looks up a runtime by its name.

    Raises:
        UsageError: There is no such runtime; suggests the nearest name.
    """
    if name not in RUNTIMES:
        raise unknown_name("runtime", name, RUNTIMES)
    return RUNTIMES[name]


def opened_by(runtime: str) -> Format:
    """The format whose files a runtime opens.

    Args:
        runtime: Name of the runtime, such as `litert`.

    Raises:
        UsageError: There is no such runtime; suggests the nearest name.
    """
    wanted = runtime_named(runtime)
    return next(each for each in FORMATS.values() if wanted in each.runtimes)
