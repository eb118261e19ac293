"""Faults of graphs: what goes wrong between PyTorch and a file, and how each must be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: For the test's id.
        model: Registered id.
        format: Suffix of the artefact without its dot.
        plant: For `onnx` and `tflite`, changes the parsed file; for `network` exports, the module.
        scope: The module that must be accused.
        suspicion: What it must be suspected of.
        evidence: A part of the evidence.
        op: The candidate's op that must be accused; empty where the scope tells enough.
    """

    name: str
    model: str
    format: str
    plant: Callable[[Any], None]
    scope: str
    suspicion: str
    evidence: str = ""
    op: str = ""

    def __str__(self) -> str:
        return f"{self.model}-{self.format}-{self.name}"


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.name == name)


def constant(model: onnx.ModelProto, name: str, change: Callable[[np.ndarray], Any]) -> None:
    stored = next(i for i in model.graph.initializer if i.name == name)
    values = numpy_helper.to_array(stored).copy()
    made = change(values)
    stored.CopyFrom(numpy_helper.from_array(values if made is None else made, name))


def attribute(found: onnx.NodeProto, **values: Any) -> None:
    kept = [a for a in found.attribute if a.name not in values]
    del found.attribute[:]
    found.attribute.extend([*kept, *(helper.make_attribute(k, v) for k, v in values.items())])


def bias_zeroed(model: onnx.ModelProto) -> None:
    constant(model, node(model, "stages.1.x.reduce/Conv").input[2], lambda v: v.fill(0))


def folded_bias_zeroed(model: onnx.ModelProto) -> None:
    constant(model, node(model, "trunk.1.bn/Conv").input[2], lambda v: v.fill(0))


def not_transposed(model: onnx.ModelProto) -> None:
    found = node(model, "Transpose")
    for reader in model.graph.node:
        reader.input[:] = [found.input[0] if i == found.output[0] else i for i in reader.input]
    model.graph.node.remove(found)
    # What is flattened keeps its size, and the declared shapes of what comes between go.
    del model.graph.value_info[:]


def channels_reversed(model: onnx.ModelProto) -> None:
    constant(
        model,
        node(model, "trunk.0.bn/Conv").input[1],
        lambda v: np.ascontiguousarray(v[:, ::-1]),
    )


def channels_scaled(model: onnx.ModelProto) -> None:
    factors = np.float32([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    constant(model, node(model, "features.0.1/Conv").input[1], lambda v: v * factors)


def crops_exchanged(model: onnx.ModelProto) -> None:
    read = node(model, "Concat").input
    read[:] = [read[2], read[1], read[0]]


def features_exchanged(model: onnx.ModelProto) -> None:
    read = node(model, "Concat:2").input
    read[:] = [read[1], read[0], read[2]]


def relu6_for_relu(model: onnx.ModelProto) -> None:
    found = node(model, "x_stream.blocks.0.2/Relu")
    for name, value in (("low", 0.0), ("high", 1.5)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    found.op_type = "Clip"
    found.input.extend(["low", "high"])


def without_relu(model: onnx.ModelProto) -> None:
    found = node(model, "trunk.2.relu/Relu")
    for reader in model.graph.node:
        reader.input[:] = [found.input[0] if i == found.output[0] else i for i in reader.input]
    model.graph.node.remove(found)


def padded_below(model: onnx.ModelProto) -> None:
    attribute(node(model, "features.0.1/Conv"), pads=[0, 0, 2, 2], auto_pad="NOTSET")


def pooled_from_above(model: onnx.ModelProto) -> None:
    found = node(model, "stages.1.x.pool/AveragePool")
    attribute(found, pads=[1, 1, 0, 0], count_include_pad=1, auto_pad="NOTSET")


def mean_for_max(model: onnx.ModelProto) -> None:
    found = node(model, "s_stream.pool/MaxPool")
    found.op_type = "AveragePool"
    kept = [a for a in found.attribute if a.name in ("kernel_shape", "strides")]
    del found.attribute[:]
    found.attribute.extend(kept)


def other_axis(model: onnx.ModelProto) -> None:
    attribute(node(model, "Softmax"), axis=0)


def swish_for_hardswish(model: onnx.ModelProto) -> None:
    found = node(model, "features.7.block.0.2/HardSwish")
    place = list(model.graph.node).index(found)
    read, wrote = found.input[0], found.output[0]
    model.graph.node.remove(found)
    model.graph.node.insert(place, helper.make_node("Sigmoid", [read], ["gate"], "gate"))
    model.graph.node.insert(place + 1, helper.make_node("Mul", [read, "gate"], [wrote], "swish"))


def another_span(model: onnx.ModelProto) -> None:
    last_mul = [n for n in model.graph.node if n.op_type == "Mul"][-1]
    name = next(i for i in last_mul.input if any(x.name == i for x in model.graph.initializer))
    constant(model, name, lambda v: np.full_like(v, 93.0))


def tflite_conv(model: Any, number: int, kind: str = "CONV_2D") -> tuple[Any, Any]:
    """Weights and bias, if any, as writable arrays, of a file's nth op of a kind."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    convolutions = [
        op
        for op in graph.operators
        if model.operatorCodes[op.opcodeIndex].builtinCode == getattr(schema.BuiltinOperator, kind)
    ]
    arrays = []
    # A Linear without a bias reads tensor -1.
    for index in (i for i in convolutions[number].inputs[1:] if i >= 0):
        buffer = model.buffers[graph.tensors[index].buffer]
        buffer.data = np.array(buffer.data, np.uint8)
        arrays.append(buffer.data.view(np.float32).reshape(graph.tensors[index].shape))
    return arrays[0], arrays[-1]


def tflite_channel_tampered(model: Any) -> None:
    tflite_conv(model, 1)[0][5] *= 1.05


def tflite_channels_reversed(model: Any) -> None:
    weight, _ = tflite_conv(model, 0)
    weight[:] = weight[..., ::-1].copy()


def tflite_bias_zeroed(model: Any) -> None:
    tflite_conv(model, 2)[1].fill(0)


def tflite_dead(model: Any) -> None:
    tflite_conv(model, 3)[1].fill(-1e4)


def tflite_without_relu(model: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    fused = [
        op
        for op in graph.operators
        if getattr(op.builtinOptions, "fusedActivationFunction", 0)
        == schema.ActivationFunctionType.RELU
    ]
    fused[2].builtinOptions.fusedActivationFunction = 0


def another_epsilon(path: str) -> Callable[[nn.Module], None]:
    def plant(network: nn.Module) -> None:
        norm = network.get_submodule(path)
        assert isinstance(norm, nn.BatchNorm2d)
        norm.eps = 1e-5

    return plant


def relu6_module(network: nn.Module) -> None:
    parent = network.get_submodule("x_stream.blocks.1")
    assert isinstance(parent, nn.Sequential)
    parent[2] = nn.Hardtanh(0.0, 1.0)


def cast_before_folding(network: nn.Module) -> None:
    network.half().float()


def crops_stacked_backwards(network: nn.Module) -> None:
    right: Callable[..., torch.Tensor] = type(network)._context  # type: ignore[attr-defined]

    def backwards(self: nn.Module, crops: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return right(self, crops[::-1])

    # A method, so that a copy of the network is bound to itself.
    network._context = MethodType(backwards, network)  # type: ignore[assignment]


def bias_dropped(path: str) -> Callable[[nn.Module], None]:
    def plant(network: nn.Module) -> None:
        with torch.no_grad():
            network.get_parameter(path).zero_()

    return plant


EDITED = (
    Fault(
        "bias", "ssrnet", "onnx", bias_zeroed, "stages.1.x.reduce", "bias dropped", "10 channels",
    ),
    Fault("folded-bias", "c3ae", "onnx", folded_bias_zeroed, "trunk.1.bn", "bias dropped"),
    Fault("flatten", "c3ae-plain", "onnx", not_transposed, "", "flatten order", "CHW"),
    Fault("channels", "c3ae-plain", "onnx", channels_reversed, "trunk.0.bn", "RGB/BGR order"),
    Fault(
        "std", "mobileagenet", "onnx", channels_scaled, "features.0.1", "value range / mean / std",
        "0.229, 0.224, 0.225",
    ),
    Fault("crops", "c3ae", "onnx", crops_exchanged, "", "crop order", "inner, middle, outer"),
    Fault("features", "c3ae", "onnx", features_exchanged, "", "inputs swapped"),
    Fault(
        "relu6", "ssrnet", "onnx", relu6_for_relu, "x_stream.blocks.0.2",
        "activation replaced or clipped", "clipped to 0..1.5",
    ),
    Fault("no-relu", "c3ae", "onnx", without_relu, "trunk.2.relu", "activation removed"),
    Fault(
        "padding", "mobileagenet", "onnx", padded_below, "features.0.1", "padding side", "0 above",
    ),
    Fault(
        "pool", "ssrnet", "onnx", pooled_from_above, "stages.1.x.pool", "padding side", "above 1",
    ),
    Fault("pool-kind", "ssrnet", "onnx", mean_for_max, "s_stream.pool", "pool kind", "mean"),
    Fault("softmax", "c3ae", "onnx", other_axis, "", "softmax axis", "axis 0"),
    Fault(
        "swish", "mobileagenet", "onnx", swish_for_hardswish, "features.7.block.0.2",
        "activation replaced", "swish",
    ),
    Fault("span", "mobileagenet", "onnx", another_span, "", "scale", "0.98936"),
    Fault(
        "weights", "c3ae-plain", "tflite", tflite_channel_tampered, "trunk.1.bn", "weights differ",
        "channel 5 of 32",
    ),
    Fault(
        "channels", "c3ae-plain", "tflite", tflite_channels_reversed, "trunk.0.bn", "RGB/BGR order",
    ),
    Fault("bias", "c3ae-plain", "tflite", tflite_bias_zeroed, "trunk.2.bn", "bias dropped"),
    Fault("dead", "c3ae-plain", "tflite", tflite_dead, "trunk.3.relu", "dead"),
    Fault(
        "no-relu", "c3ae-plain", "tflite", tflite_without_relu, "trunk.2.relu",
        "activation removed",
    ),
)  # fmt: skip

EXPORTED = (
    Fault(
        "epsilon", "c3ae", "onnx", another_epsilon("trunk.3.bn"), "trunk.3.bn", "BN epsilon",
        "1e-05 for 0.001",
    ),
    Fault(
        "epsilon", "ssrnet", "mlpackage", another_epsilon("s_stream.blocks.2.1"),
        "s_stream.blocks.2.1", "BN epsilon",
    ),
    Fault(
        "relu6", "ssrnet", "mlpackage", relu6_module, "x_stream.blocks.1.2",
        "activation replaced or clipped",
    ),
    Fault("crops", "c3ae", "mlpackage", crops_stacked_backwards, "", "crop order"),
    Fault(
        "bias", "c3ae-plain", "mlpackage", bias_dropped("trunk.4.conv.bias"), "trunk.4.conv",
        "bias dropped",
    ),
)  # fmt: skip
