"""The graph of an ncnn model, which is text: a line for each layer.

The format is described in ncnn's wiki, "param and model file structure".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GRAPH_FILE = "model.ncnn.param"
WEIGHTS_FILE = "model.ncnn.bin"
METADATA_FILE = "agecompact.json"

_MAGIC = "7767517"
INPUT = "Input"
# Copies a tensor for several readers.
SPLIT = "Split"
# Settings of an input: channels, height and width.
SIDES = ("2", "1", "0")
# Of any layer: a bit for each of ncnn's features that it does not use.
FEATURES = "31"
NO_HALF_ARITHMETIC, NO_HALF_STORAGE = 1, 2


@dataclass(frozen=True)
class Layer:
    """A line of the graph.

    Attributes:
        kind: Type of the layer, such as `Convolution`.
        name: Its name.
        inputs: Names of the tensors that it reads.
        outputs: Names of the tensors that it writes.
        settings: By number, as text.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[str, str]

    def line(self) -> str:
        """The layer as the file has it."""
        counts = f"{len(self.inputs)} {len(self.outputs)}"
        words = (*self.inputs, *self.outputs, *(f"{k}={v}" for k, v in self.settings.items()))
        return " ".join((f"{self.kind:<24} {self.name:<24} {counts}", *words))


def parse(text: str) -> tuple[Layer, ...]:
    """The layers of a graph.

    Raises:
        ValueError: It is not a graph of ncnn.
    """
    magic, counts, *lines = text.splitlines()
    if magic.strip() != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC}")
    layers = tuple(_layer(line.split()) for line in lines if line.strip())
    if len(layers) != int(counts.split()[0]):
        raise ValueError(f"it has {len(layers)} of {counts.split()[0]} layers")
    return layers


def written(layers: Iterable[Layer]) -> str:
    """The text of a graph, the inverse of `parse`."""
    held = tuple(layers)
    tensors = {name for layer in held for name in layer.outputs}
    return "\n".join((_MAGIC, f"{len(held)} {len(tensors)}", *(e.line() for e in held))) + "\n"


def _layer(words: list[str]) -> Layer:
    kind, name, read, made, *rest = words
    inputs, outputs = int(read), int(made)
    names, settings = rest[: inputs + outputs], rest[inputs + outputs :]
    if len(names) != inputs + outputs:
        raise ValueError(f"layer '{name}' lacks names of tensors")
    pairs = dict(each.split("=", 1) for each in settings)
    return Layer(kind, name, tuple(names[:inputs]), tuple(names[inputs:]), pairs)
