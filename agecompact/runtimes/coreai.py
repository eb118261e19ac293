"""Apple Core AI, in Apple's own runtime: on macOS, and on the CPU of x86-64 Linux.

It is slow on Linux, 20 ms to 2 s for a face: fit to prove a file, not to measure its speed.
"""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.artifacts import metadata
from agecompact.errors import AgecompactError, UsageError
from agecompact.filetypes import fix_for
from agecompact.imports import resolve
from agecompact.runtimes.base import Array, Arrays, Backend, Interface, Port, Session, Trace

# The function that apps call.
FUNCTION = "main"
METADATA_FILE = "metadata.json"
# Where the runtime keeps what the author adds.
_CUSTOM = "creatorDefinedMetadata"
# As the compiler prints them: `%3 = coreai.decomposable.relu %2 : ...`.
_OPS = re.compile(r"= coreai\.(?:decomposable\.)?(\w+)")
_NO_OPS = frozenset({"constant"})


class _Session(Session):
    def __init__(self, path: str) -> None:
        authoring, self._runtime = _modules()
        self._loop = asyncio.new_event_loop()
        asset = authoring.AIModelAsset.load(path)
        # `AIModel.load` ends the process on Linux; this does not.
        self._model = self._loop.run_until_complete(asset.executable().__aenter__())
        self._call = self._model.load_function(FUNCTION)
        if self._call is None:
            raise unusable(path, f"it has no function '{FUNCTION}'")
        described = self._call.desc
        self._interface = Interface(
            {n: _port(described.input_descriptor(n)) for n in described.input_names},
            {n: _port(described.output_descriptor(n)) for n in described.output_names},
        )

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        return self._run(self._bound(inputs))

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return partial(self._run, self._bound(inputs))

    def trace(self, inputs: Arrays) -> Trace:  # noqa: ARG002 - not supported.
        raise UsageError("Core AI does not say which op wrote a tensor")

    def interface(self) -> Interface:
        return self._interface

    def _bound(self, inputs: Arrays) -> dict[str, Any]:
        make = self._runtime.NDArray
        return {name: make(np.ascontiguousarray(value)) for name, value in inputs.items()}

    def _run(self, inputs: dict[str, Any]) -> dict[str, Array]:
        made = self._loop.run_until_complete(self._call(inputs))
        # Copies: the arrays belong to the runtime, which uses them again.
        return {name: np.array(value.numpy()) for name, value in made.items()}


def _port(descriptor: Any) -> Port:
    return Port(tuple(int(side) for side in descriptor.shape), str(descriptor.dtype))


def _modules() -> tuple[Any, Any]:
    # coreai-core warns about the version of torch, which it does not need to run a model.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(
            resolve(name, extra="coreai") for name in ("coreai.authoring", "coreai.runtime")
        )


def unusable(path: str | Path, why: str) -> UsageError:
    """The error for what is not a whole Core AI model."""
    return UsageError(
        f"{path} is not a Core AI model", why=why, fix=fix_for(Path(path), wanted="coreai")
    )


def read_about(path: str) -> dict[str, Any]:
    """What the file says about itself: author, licence, date, and what was added.

    Raises:
        UsageError: It is not a Core AI model.
    """
    try:
        content = json.loads((Path(path) / METADATA_FILE).read_text())
    except (OSError, ValueError) as error:
        raise unusable(path, str(error)) from None
    if not isinstance(content, dict):
        raise unusable(path, f"{METADATA_FILE} is not an object")
    return content


class _CoreAI(Backend):
    """The metadata is an entry that the author adds. Inputs are NCHW."""

    def read_metadata(self, path: str) -> str | None:
        custom = read_about(path).get(_CUSTOM)
        found = custom.get(metadata.KEY) if isinstance(custom, dict) else None
        return found if isinstance(found, str) else None

    def describe(self, path: str) -> dict[str, Any]:
        about = read_about(path)
        session = self.open_session(path, 1).interface()
        return {
            "author": about.get("author", ""),
            "licence": about.get("license", ""),
            "producer": about.get("producer", ""),
            "inputs": {name: port.described() for name, port in session.inputs.items()},
            "outputs": {name: port.described() for name, port in session.outputs.items()},
            "ops": dict(Counter(_ops(path)).most_common()),
        }

    def open_session(self, path: str, threads: int) -> Session:  # noqa: ARG002 - no such option.
        try:
            return _Session(path)
        except AgecompactError:
            raise
        except Exception as error:  # The runtime's exceptions share no other base class.
            raise unusable(path, str(error)) from None

    def version(self) -> str:
        return f"coreai-core {distribution_version('coreai-core')}"


def _ops(path: str) -> list[str]:
    """Types of the ops of a model; of a function that is called, those of its body."""
    authoring, _ = _modules()
    text = str(authoring.AIModelAsset.load(path).program)
    return [op for op in _OPS.findall(text) if op not in _NO_OPS]


BACKEND = _CoreAI()
