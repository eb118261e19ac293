"""Which backend opens which file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agecompact.errors import UsageError, import_extra
from agecompact.metadata import ArtifactMetadata, MetadataError
from agecompact.runtimes.base import Backend


@dataclass(frozen=True)
class Runtime:
    """One backend.

    Attributes:
        name: As results name it.
        suffix: Of the files it opens.
        module: Its module, loaded when first used, or `module:object`.
        extra: The extra of `pyproject.toml` that installs it, or None for the base.
        label: What users are told ran the file.
    """

    name: str
    suffix: str
    module: str
    extra: str | None
    label: str

    def load(self) -> Backend:
        """Imports the backend.

        Raises:
            BackendMissingError: Its extra is not installed.
        """
        module, _, attribute = self.module.partition(":")
        loaded = import_extra(module, self.extra or "all")
        return cast(Backend, getattr(loaded, attribute) if attribute else loaded)


# Of the runtimes that open the same files the first is the one that users mean.
_CORE_ML = (
    Runtime("coreml", ".mlpackage", "agecompact.runtimes.coreml", "coreml", "Core ML, CPU"),
    Runtime(
        "coreml-gpu",
        ".mlpackage",
        "agecompact.runtimes.coreml:CPU_AND_GPU",
        "coreml",
        "Core ML, CPU and GPU",
    ),
    Runtime(
        "coreml-ane",
        ".mlpackage",
        "agecompact.runtimes.coreml:CPU_AND_NE",
        "coreml",
        "Core ML, CPU and Neural Engine",
    ),
    Runtime(
        "coreml-all", ".mlpackage", "agecompact.runtimes.coreml:ALL", "coreml", "Core ML, all units"
    ),
    Runtime("mil", ".mlpackage", "agecompact.runtimes.mil", "coreml", "reference runtime"),
    Runtime(
        "mil-float32",
        ".mlpackage",
        "agecompact.runtimes.mil:FLOAT32",
        "coreml",
        "reference runtime, float32 arithmetic",
    ),
)
_RUNTIMES = (
    Runtime("pytorch", ".safetensors", "agecompact.runtimes.pytorch", None, "PyTorch"),
    Runtime(
        "pytorch-float64",
        ".safetensors",
        "agecompact.runtimes.pytorch:FLOAT64",
        None,
        "PyTorch, float64 arithmetic",
    ),
    Runtime("onnxruntime", ".onnx", "agecompact.runtimes.onnxruntime", None, "ONNX Runtime"),
    Runtime("litert", ".tflite", "agecompact.runtimes.litert", "tflite", "LiteRT"),
    *_CORE_ML,
)

# Core ML's compute units, as Apple spells them, and the runtime of each.
COMPUTE_UNITS: Mapping[str, str] = {
    "cpuOnly": "coreml",
    "cpuAndGPU": "coreml-gpu",
    "cpuAndNeuralEngine": "coreml-ane",
    "all": "coreml-all",
}

BY_NAME: Mapping[str, Runtime] = {runtime.name: runtime for runtime in _RUNTIMES}


def of_suffix(suffix: str) -> tuple[Runtime, ...]:
    """Every runtime that opens files of a suffix; the one that users mean by them comes first."""
    return tuple(runtime for runtime in _RUNTIMES if runtime.suffix == suffix)


def runtime_of(path: Path) -> Runtime:
    """The runtime that users mean by a file: of a Core ML package, Core ML itself.

    Raises:
        UsageError: No such file, or no runtime opens files of that kind.
    """
    found = of_suffix(path.suffix)
    if not found:
        known = dict.fromkeys(runtime.suffix for runtime in _RUNTIMES)
        raise UsageError(
            f"cannot tell what {path} is", why=f"its name ends in none of {', '.join(known)}"
        )
    if not path.exists():
        raise UsageError(f"no file at {path}")
    return found[0]


def read_metadata(path: Path) -> ArtifactMetadata:
    """The self-description inside an artefact, by which it is run without its Python model.

    Raises:
        UsageError: The file is broken.
        MetadataError: It opens, but was not written by agecompact.
        BackendMissingError: The format's extra is not installed.
    """
    text = runtime_of(path).load().read_metadata(str(path))
    if text is None:
        raise MetadataError(
            f"{path} holds no agecompact metadata",
            why="it was not written by agecompact export, or its metadata was stripped",
            fix="export it again",
        )
    return ArtifactMetadata.from_json(text)
