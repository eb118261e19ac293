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
        module: Its module, loaded when first used.
        extra: The extra of `pyproject.toml` that installs it, or None for the base.
    """

    name: str
    suffix: str
    module: str
    extra: str | None

    def load(self) -> Backend:
        """Imports the backend.

        Raises:
            BackendMissingError: Its extra is not installed.
        """
        return cast(Backend, import_extra(self.module, self.extra or "all"))


_RUNTIMES = (
    Runtime("pytorch", ".safetensors", "agecompact.runtimes.pytorch", None),
    Runtime("onnxruntime", ".onnx", "agecompact.runtimes.onnxruntime", None),
    Runtime("litert", ".tflite", "agecompact.runtimes.litert", "tflite"),
    Runtime("coreml", ".mlpackage", "agecompact.runtimes.coreml", "coreml"),
)

BY_SUFFIX: Mapping[str, Runtime] = {runtime.suffix: runtime for runtime in _RUNTIMES}


def runtime_of(path: Path) -> Runtime:
    """The runtime that opens a file, by its suffix.

    Raises:
        UsageError: No such file, or no runtime opens files of that kind.
    """
    if path.suffix not in BY_SUFFIX:
        raise UsageError(
            f"cannot tell what {path} is",
            why=f"its name ends in none of {', '.join(BY_SUFFIX)}",
        )
    if not path.exists():
        raise UsageError(f"no file at {path}")
    return BY_SUFFIX[path.suffix]


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
