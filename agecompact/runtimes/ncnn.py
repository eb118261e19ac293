"""ncnn on the CPU.

A model is a folder: the graph as text, the weights, and agecompact's metadata. ncnn has no batch:
its maps are `(channels, height, width)`, and a call takes one face. All options but the number of
threads are ncnn's defaults, as in an app: half precision where the file allows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import ncnn
import numpy as np

from agecompact.errors import AgecompactError, UsageError
from agecompact.filetypes import fix_for
from agecompact.runtimes import ncnn_graph as graph
from agecompact.runtimes.base import (
    Array,
    Arrays,
    Backend,
    Interface,
    Port,
    Session,
    Step,
    Trace,
)


class _Session(Session):
    def __init__(self, path: str, threads: int) -> None:
        self._layers = read_layers(path)
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        for load, name in (
            (self._net.load_param, graph.GRAPH_FILE),
            (self._net.load_model, graph.WEIGHTS_FILE),
        ):
            if load(str(Path(path) / name)) != 0:
                raise _unusable(path, f"ncnn cannot load {name}")
        read = {name for layer in self._layers for name in layer.inputs}
        self._outputs = tuple(n for each in self._layers for n in each.outputs if n not in read)
        self._interface = self._ports(path)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        return self._run(_bound(inputs), self._outputs)

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return partial(self._run, _bound(inputs), self._outputs)

    def trace(self, inputs: Arrays) -> Trace:
        bound = _bound(inputs)
        copied = {
            name: layer.inputs[0]
            for layer in self._layers
            if layer.kind == graph.SPLIT
            for name in layer.outputs
        }
        layers = [layer for layer in self._layers if layer.kind not in (graph.INPUT, graph.SPLIT)]
        values = self._run(bound, tuple(name for layer in layers for name in layer.outputs))
        return tuple(
            Step(
                op=layer.kind,
                output=name,
                inputs=tuple(copied.get(each, each) for each in layer.inputs),
                scope="",
                value=values[name],
            )
            for layer in layers
            for name in layer.outputs
        )

    def interface(self) -> Interface:
        return self._interface

    def _run(self, bound: dict[str, Array], wanted: tuple[str, ...]) -> dict[str, Array]:
        extractor = self._net.create_extractor()
        # Else it drops what its readers have read.
        extractor.set_light_mode(wanted == self._outputs)
        # A Mat reads the array's memory, so both live as long as the extractor.
        mats = {name: ncnn.Mat(value) for name, value in bound.items()}
        for name, mat in mats.items():
            extractor.input(name, mat)
        found = {}
        for name in wanted:
            code, mat = extractor.extract(name)
            if code != 0:
                raise UsageError(f"ncnn cannot compute '{name}'", why=f"its code is {code}")
            found[name] = np.array(mat)[np.newaxis]
        return found

    def _ports(self, path: str) -> Interface:
        """The graph gives the sides of its inputs; those of its outputs show in a call."""
        layers = [layer for layer in self._layers if layer.kind == graph.INPUT]
        sides = {
            name: tuple(_side(path, layer, each) for each in graph.SIDES)
            for layer in layers
            for name in layer.outputs
        }
        zeros: dict[str, Array] = {n: np.zeros(each, np.float32) for n, each in sides.items()}
        made = self._run(zeros, self._outputs)
        return Interface(
            {name: Port((1, *each), "float32") for name, each in sides.items()},
            {name: Port(value.shape, str(value.dtype)) for name, value in made.items()},
        )


def _side(path: str, layer: graph.Layer, number: str) -> int:
    try:
        return int(layer.settings[number])
    except (KeyError, ValueError):
        why = f"its input '{layer.name}' does not say its size"
        raise _unusable(path, why) from None


def _bound(inputs: Arrays) -> dict[str, Array]:
    return {name: np.ascontiguousarray(v[0], np.float32) for name, v in inputs.items()}


def _unusable(path: str, why: str) -> UsageError:
    return UsageError(
        f"{path} is not an ncnn model", why=why, fix=fix_for(Path(path), wanted="ncnn")
    )


def read_layers(path: str) -> tuple[graph.Layer, ...]:
    """The layers of a model.

    Raises:
        UsageError: It is not an ncnn model.
    """
    try:
        return graph.parse((Path(path) / graph.GRAPH_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from None


class _Ncnn(Backend):
    """The metadata is a file beside the graph. Inputs are NCHW, without N in ncnn itself."""

    def read_metadata(self, path: str) -> str | None:
        read_layers(path)
        try:
            return (Path(path) / graph.METADATA_FILE).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def describe(self, path: str) -> dict[str, Any]:
        interface = self.open_session(path, 1).interface()
        kinds = Counter(layer.kind for layer in read_layers(path))
        return {
            "inputs": {name: port.described() for name, port in interface.inputs.items()},
            "outputs": {name: port.described() for name, port in interface.outputs.items()},
            "ops": dict(kinds.most_common()),
        }

    def open_session(self, path: str, threads: int) -> Session:
        try:
            return _Session(path, threads)
        except AgecompactError:
            raise
        except Exception as error:  # Of pybind11 or NumPy, for a damaged file.
            raise _unusable(path, str(error)) from None

    def version(self) -> str:
        return f"ncnn {distribution_version('ncnn')}"


BACKEND = _Ncnn()
