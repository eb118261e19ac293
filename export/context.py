"""Compiles ONNX files for Qualcomm's NPU: a phone loads the result without compiling it itself."""

from __future__ import annotations

from pathlib import Path

from agecompact.errors import ConversionError, UsageError, unknown_name
from agecompact.files import atomic_path
from agecompact.formats import RUNTIMES
from agecompact.isolation import IsolationFailure, call
from agecompact.runtimes.channel import MEMORY_BYTES
from agecompact.runtimes.registry import missing

_NPU = "NPU"
_TIMEOUT_S = 900.0
# The generations that files can be compiled for.
GENERATIONS = tuple(n for n, each in RUNTIMES.items() if each.accelerator == _NPU)


def compile_for(path: Path, out: Path, generation: str) -> None:
    """Writes a context binary, in an ONNX file with one `EPContext` node.

    Args:
        path: The ONNX file.
        out: The file to write, whole or not at all.
        generation: One of `GENERATIONS`, such as `htp-v75`.

    Raises:
        UsageError: There is no such file or generation.
        BackendMissingError: The extra `npu` is not installed.
        ConversionError: The NPU does not take the whole file.
    """
    if generation not in GENERATIONS:
        raise unknown_name("generation of the NPU", generation, GENERATIONS)
    if not path.is_file():
        raise UsageError(f"no file at {path}", fix="check the path")
    if found := missing(RUNTIMES[generation]):
        raise found
    with atomic_path(out) as partial:
        try:
            # The library prints, and may end its process.
            call(
                "export.context:compiled",
                path,
                partial,
                RUNTIMES[generation].backend,
                seconds=_TIMEOUT_S,
                memory_bytes=MEMORY_BYTES,
            )
        except IsolationFailure as failure:
            raise ConversionError(
                f"{path} cannot be compiled for {RUNTIMES[generation].label}",
                why=failure.reason,
            ) from None


def compiled(path: str, out: str, backend: str) -> None:
    """Compiles a file in this process; see `compile_for`."""
    from agecompact.imports import resolve

    resolve(backend, extra="npu").compile(Path(path), Path(out))
