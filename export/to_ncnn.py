"""PyTorch to ncnn, by pnnx.

pnnx reads TorchScript and writes the graph and the weights. It leaves ops that ncnn does not have
in the graph, or warns and goes on; here both are errors.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import fx

from agecompact import children
from agecompact.contract import Contract
from agecompact.errors import ConversionError
from agecompact.formats import FORMATS, Target
from agecompact.imports import import_extra
from agecompact.models.complexity import example_inputs, fold_batch_norm
from agecompact.models.returned import conform
from agecompact.precisions import PRECISIONS
from agecompact.runtimes import ncnn_graph as ncnn
from agecompact.scratch import scratch_folder
from agecompact.weights import checkpoints
from export import source as sources
from export.job import Conversion, Job, metadata_for, versions_of
from export.ncnn_half import store_half
from export.torch_graph import simplify

_TOOLS = ("torch", "pnnx")
# How to store the weights in each precision.
_STORE: Mapping[str, Callable[[Sequence[ncnn.Layer], bytes], bytes]] = {
    "float32": lambda layers, content: content,  # noqa: ARG005
    "float16": store_half,
}
# What pnnx says of an op that it cannot write.
_REFUSED = re.compile(r"^.*(?:is not supported|unsupported).*$", re.MULTILINE)
# pnnx optimises for minutes where it finds much to do; ours take seconds.
_TIMEOUT_S = 300.0


def convert(job: Job) -> Conversion:
    """Converts the network of a weights file; inputs and outputs are float32, NCHW.

    Raises:
        ConversionError: The source is an ONNX file, or ncnn does not have an op.
    """
    sources.require_network(job.weights, "ncnn models", "ncnn")
    warnings.filterwarnings("ignore")
    weights = checkpoints.read(job.weights)
    contract, source = weights.contract, sources.of_weights(weights)
    network = conform(fold_batch_norm(weights.network()), contract).eval()
    inputs = example_inputs(contract, 1)
    graph = torch.export.export(network, tuple(inputs)).module()
    assert isinstance(graph, fx.GraphModule)
    simplify(graph)
    versions = versions_of(*_TOOLS)
    layers, content = _converted(graph, inputs)
    named = _in_float32(_named(layers, contract))
    for precision in job.precisions:
        target = Target(FORMATS["ncnn"], PRECISIONS[precision])
        folder = job.folder / target.file_name(weights.model_id)
        folder.mkdir()
        described = metadata_for(source, target, versions)
        (folder / ncnn.GRAPH_FILE).write_text(ncnn.written(named), encoding="utf-8")
        (folder / ncnn.WEIGHTS_FILE).write_bytes(_STORE[precision](layers, content))
        (folder / ncnn.METADATA_FILE).write_text(described.to_json(), encoding="utf-8")
    return Conversion("pnnx", versions)


def _converted(
    graph: fx.GraphModule, inputs: Sequence[torch.Tensor]
) -> tuple[tuple[ncnn.Layer, ...], bytes]:
    """The layers of a graph, and their weights in float32."""
    with scratch_folder() as scratch:
        _run_pnnx(graph, inputs, scratch)
        layers = ncnn.parse((scratch / "net.ncnn.param").read_text(encoding="utf-8"))
        content = (scratch / "net.ncnn.bin").read_bytes()
    kinds = {layer.kind for layer in layers}
    # Those of PyTorch and of pnnx's own format: `aten::roll`, `torch.unbind`.
    if foreign := sorted(kind for kind in kinds if "::" in kind or "." in kind):
        raise _refusal(f"ncnn has no {', '.join(foreign)}")
    return layers, content


def _run_pnnx(graph: fx.GraphModule, inputs: Sequence[torch.Tensor], folder: Path) -> None:
    """Writes `net.ncnn.param` and `net.ncnn.bin`."""
    traced = torch.jit.trace(graph, tuple(inputs), check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, str(folder / "net.pt"))
    shapes = ",".join(f"[{','.join(map(str, each.shape))}]f32" for each in inputs)
    program = import_extra("pnnx", "ncnn").EXEC_PATH
    command = [program, "net.pt", f"inputshape={shapes}", "fp16=0"]
    try:
        done = children.run(command, timeout_s=_TIMEOUT_S, cwd=folder)
    except children.TimedOut:
        raise _refusal(f"pnnx did not end within {_TIMEOUT_S:g} s") from None
    said = done.stdout + done.stderr
    refused = _REFUSED.search(said)
    if refused is not None or done.returncode != 0:
        last = (said.strip() or f"pnnx ended with {done.returncode}").splitlines()[-1]
        raise _refusal(refused.group() if refused else last)


def _named(layers: Sequence[ncnn.Layer], contract: Contract) -> list[ncnn.Layer]:
    """The layers with the contract's names in place of `in0`, `out0` and so on."""
    names = {f"in{place}": name for place, name in enumerate(contract.input_names)}
    names |= {f"out{place}": name for place, name in enumerate(contract.output_names)}
    sizes = (contract.channels, contract.height, contract.width)
    sides = dict(sorted(zip(ncnn.SIDES, map(str, sizes), strict=True)))
    return [
        replace(
            layer,
            name=names.get(layer.name, layer.name),
            inputs=tuple(names.get(each, each) for each in layer.inputs),
            outputs=tuple(names.get(each, each) for each in layer.outputs),
            settings=sides if layer.kind == ncnn.INPUT else layer.settings,
        )
        for layer in layers
    ]


def _in_float32(layers: Sequence[ncnn.Layer]) -> list[ncnn.Layer]:
    """The layers as they compute in float32, whatever an app sets.

    By default, ncnn computes in half precision on ARM and stores it on x86, which costs up to half
    a year. All layers are alike: those that read float32 do not convert what others, such as copies
    of a tensor, wrote in half precision, but take it for float32.
    """
    mask = str(ncnn.NO_HALF_ARITHMETIC | ncnn.NO_HALF_STORAGE)
    return [replace(each, settings={**each.settings, ncnn.FEATURES: mask}) for each in layers]


def _refusal(why: str) -> ConversionError:
    return ConversionError(
        "ncnn cannot run this network",
        why=why,
        fix="leave out --format ncnn, or change the network",
    )
