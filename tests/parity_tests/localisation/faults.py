"""Faults between PyTorch and a file, and what localisation must report for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tests.parity_tests.editing import (
    ArrayEdit,
    OnnxEdit,
    TfliteEdit,
    after,
    attributes,
    bypassed,
    initializer,
    inputs_of,
    node,
    reversed_channels,
    tflite_ops,
    tflite_weights,
)

NetworkEdit = Callable[[nn.Module], Any]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        plant: Changes the parsed file; in a fault of an export, PyTorch's network.
        scope: The module at fault.
        cause: The diagnosis.
        evidence: A part of the evidence.
        op: The candidate's op at fault; empty if any.
    """

    plant: Callable[[Any], Any]
    scope: str
    cause: str
    evidence: str = ""
    op: str = ""


def zeroed(values: np.ndarray) -> None:
    values.fill(0)


def scaled(values: np.ndarray) -> np.ndarray:
    return values * np.float32([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)


def shuffled(values: np.ndarray) -> None:
    """The same weights in other places."""
    values[:] = np.random.default_rng(0).permutation(values.ravel()).reshape(values.shape)


def one_moved(values: np.ndarray) -> None:
    values[3, 2, 1, 0] += 0.25


def channel_scaled(values: np.ndarray) -> None:
    values[5] *= 1.05


def relu6_for_relu(model: onnx.ModelProto) -> None:
    found = node(model, "x_stream.blocks.0.2/Relu")
    for name, value in (("low", 0.0), ("high", 1.5)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    found.op_type = "Clip"
    found.input.extend(["low", "high"])


def mean_for_max(model: onnx.ModelProto) -> None:
    node(model, "s_stream.pool/MaxPool").op_type = "AveragePool"
    attributes("s_stream.pool/MaxPool", "storage_order", "dilations", "ceil_mode")(model)


def swish_for_hardswish(model: onnx.ModelProto) -> None:
    found = node(model, "features.7.block.0.2/HardSwish")
    place = list(model.graph.node).index(found)
    read, wrote = found.input[0], found.output[0]
    model.graph.node.remove(found)
    model.graph.node.insert(place, helper.make_node("Sigmoid", [read], ["gate"], "gate"))
    model.graph.node.insert(place + 1, helper.make_node("Mul", [read, "gate"], [wrote], "swish"))


def another_span(model: onnx.ModelProto) -> None:
    last = [n for n in model.graph.node if n.op_type == "Mul"][-1]
    stored = {i.name for i in model.graph.initializer}
    place = next(i for i, name in enumerate(last.input) if name in stored)
    initializer(last.name, lambda values: np.full_like(values, 93.0), place)(model)


def quantised(name: str, top: float, restored_top: float | None = None) -> OnnxEdit:
    """Stores a tensor as 8 bits from 0 to `top`, and restores it."""

    def plant(model: onnx.ModelProto) -> None:
        for step, end in (("step", top), ("restored step", restored_top or top)):
            value = helper.make_tensor(step, TensorProto.FLOAT, [], [end / 255])
            model.graph.initializer.append(value)
        model.graph.initializer.append(helper.make_tensor("zero", TensorProto.UINT8, [], [0]))
        after(
            model,
            name,
            ("QuantizeLinear", ("step", "zero"), {}),
            ("DequantizeLinear", ("restored step", "zero"), {}),
        )

    return plant


def narrowed(name: str) -> OnnxEdit:
    """Stores a tensor as float16, and restores it."""
    half, full = {"to": TensorProto.FLOAT16}, {"to": TensorProto.FLOAT}
    return lambda model: after(model, name, ("Cast", (), half), ("Cast", (), full))


def tflite_quantised(number: int, top: float) -> TfliteEdit:
    """Stores the n-th convolution's output as 8 bits from 0 to `top`, and restores it."""

    def plant(model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        graph = model.subgraphs[0]

        def tensor(name: str, type_: int, like: Any) -> int:
            made = schema.TensorT()
            made.name, made.shape, made.type, made.buffer = name.encode(), like.shape, type_, 0
            graph.tensors.append(made)
            return len(graph.tensors) - 1

        def op(builtin: int, read: int, wrote: int) -> Any:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = builtin
            code.version = 1
            model.operatorCodes.append(code)
            made = schema.OperatorT()
            made.opcodeIndex, made.inputs, made.outputs = (
                len(model.operatorCodes) - 1,
                [read],
                [wrote],
            )
            return made

        convolution = tflite_ops(model, "CONV_2D")[number]
        place, wrote = graph.operators.index(convolution), int(convolution.outputs[0])
        like = graph.tensors[wrote]
        stored = tensor("quantised", schema.TensorType.INT8, like)
        graph.tensors[stored].quantization = schema.QuantizationParametersT()
        graph.tensors[stored].quantization.scale = [top / 255]
        graph.tensors[stored].quantization.zeroPoint = [-128]
        restored = tensor("restored", schema.TensorType.FLOAT32, like)
        for reader in graph.operators:
            reader.inputs = [restored if int(i) == wrote else int(i) for i in reader.inputs]
        graph.operators.insert(place + 1, op(schema.BuiltinOperator.QUANTIZE, wrote, stored))
        graph.operators.insert(place + 2, op(schema.BuiltinOperator.DEQUANTIZE, stored, restored))

    return plant


def tflite_without_relu(model: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    fused = [
        op
        for op in model.subgraphs[0].operators
        if getattr(op.builtinOptions, "fusedActivationFunction", 0)
        == schema.ActivationFunctionType.RELU
    ]
    fused[2].builtinOptions.fusedActivationFunction = 0


def epsilon(path: str) -> NetworkEdit:
    return lambda network: setattr(network.get_submodule(path), "eps", 1e-5)


def parameter(path: str, change: ArrayEdit) -> NetworkEdit:
    """Changes a parameter of PyTorch's network."""
    return lambda network: change(network.get_parameter(path).data.numpy())


def relu6_module(network: nn.Module) -> None:
    parent = network.get_submodule("x_stream.blocks.1")
    assert isinstance(parent, nn.Sequential)
    parent[2] = nn.Hardtanh(0.0, 1.0)


def crops_stacked_backwards(network: nn.Module) -> None:
    right: Callable[..., torch.Tensor] = type(network)._context  # type: ignore[attr-defined]

    def backwards(self: nn.Module, crops: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return right(self, crops[::-1])

    # A method, so that a copy of the network is bound to itself.
    network._context = MethodType(backwards, network)  # type: ignore[assignment]


_CLIPPED, _COARSE, _WEIGHTS = "quantisation clipped range", "quantisation step", "weights differ"
_TOP = "features.0.1/Conv"
_RELU = "trunk.1.relu/Relu"
_BLOCK = "x_stream.blocks.1.2/Relu"

# By the file that they are planted in, and name.
IN_FILES: Mapping[str, Mapping[str, Fault]] = {
    "ssrnet.onnx": {
        "bias": Fault(
            initializer("stages.1.x.reduce/Conv", zeroed, 2), "stages.1.x.reduce",
            "bias dropped", "10 channels",
        ),
        "relu6": Fault(
            relu6_for_relu, "x_stream.blocks.0.2", "clipped",
            "clipped to at most 1.5",
        ),
        "pool": Fault(
            attributes(
                "stages.1.x.pool/AveragePool", pads=[1, 1, 0, 0], count_include_pad=1,
                auto_pad="NOTSET",
            ),
            "stages.1.x.pool", "padding side", "above 1",
        ),
        "pool-kind": Fault(mean_for_max, "s_stream.pool", "pool kind", "mean"),
        "clips": Fault(
            quantised(_BLOCK, 0.5), "x_stream.blocks.1.2", _CLIPPED, "within 0..0.5",
            op="DequantizeLinear",
        ),
        "coarse": Fault(
            quantised(_BLOCK, 255.0), "x_stream.blocks.1.2", _COARSE, "steps of 1,",
            op="DequantizeLinear",
        ),
        "scales": Fault(
            quantised(_BLOCK, 30.0, 40.0), "x_stream.blocks.1.2", "unknown",
            op="DequantizeLinear",
        ),
    },
    "c3ae.onnx": {
        "folded-bias": Fault(
            initializer("trunk.1.bn/Conv", zeroed, 2), "trunk.1.bn", "bias dropped",
        ),
        "crops": Fault(inputs_of("Concat", (2, 1, 0)), "", "crop order", "inner, middle, outer"),
        "features": Fault(inputs_of("Concat:2", (1, 0, 2)), "", "inputs swapped"),
        "no-relu": Fault(bypassed("trunk.2.relu/Relu"), "trunk.2.relu", "activation removed"),
        "softmax": Fault(attributes("Softmax", axis=0), "", "softmax axis", "axis 0"),
    },
    "c3ae-plain.onnx": {
        "flatten": Fault(bypassed("Transpose"), "", "flatten order", "CHW"),
        "channels": Fault(
            initializer("trunk.0.bn/Conv", reversed_channels(1)), "trunk.0.bn",
            "RGB/BGR order",
        ),
        "clips": Fault(
            quantised(_RELU, 0.5), "trunk.1.relu", _CLIPPED,
            "within 0..0.5, the tensor reaches 0..", op="DequantizeLinear",
        ),
        "half": Fault(narrowed(_RELU), "trunk.1.relu", "narrowed to float16", op="Cast"),
        "replaced": Fault(
            initializer("trunk.1.bn/Conv", shuffled), "trunk.1.bn", _WEIGHTS,
            " of 9,216, by up to", op="Conv",
        ),
        "replaced-linear": Fault(
            initializer("age/Gemm", shuffled), "age", _WEIGHTS, "channel",
            op="Gemm",
        ),
        "one": Fault(
            initializer("trunk.2.bn/Conv", one_moved), "trunk.2.bn", _WEIGHTS,
            "1 of 9,216, by up to 0.25 ", op="Conv",
        ),
    },
    "mobileagenet.onnx": {
        "std": Fault(
            initializer(_TOP, scaled), "features.0.1", "value range / mean / std",
            "0.229, 0.224, 0.225",
        ),
        "padding": Fault(
            attributes(_TOP, pads=[0, 0, 2, 2], auto_pad="NOTSET"), "features.0.1",
            "padding side", "0 above",
        ),
        "swish": Fault(swish_for_hardswish, "features.7.block.0.2", "activation replaced", "swish"),
        "span": Fault(another_span, "", "constant differs", "it is 93, not 94"),
        "clips-below": Fault(
            quantised(_TOP, 4.0), "features.0.1", _CLIPPED, "within 0..",
            op="DequantizeLinear",
        ),
        "replaced-depthwise": Fault(
            initializer("features.7.block.1.1/Conv", shuffled),
            "features.7.block.1.1", _WEIGHTS, "all 240 channels", op="Conv",
        ),
    },
    "c3ae-plain.tflite": {
        "weights": Fault(
            tflite_weights(1, channel_scaled), "trunk.1.bn", _WEIGHTS, "channel 5 of 32",
        ),
        "channels": Fault(tflite_weights(0, reversed_channels(3)), "trunk.0.bn", "RGB/BGR order"),
        "bias": Fault(tflite_weights(2, zeroed, bias=True), "trunk.2.bn", "bias dropped"),
        "dead": Fault(
            tflite_weights(3, lambda v: v.fill(-1e4), bias=True), "trunk.3.bn", "bias differs",
        ),
        # The converter moved the bias of the Linear before it into its own.
        "after-a-moved-bias": Fault(
            tflite_weights(1, lambda v: v * np.float32(1.1), kind="FULLY_CONNECTED"), "age",
            _WEIGHTS, "all are multiplied by 1.1",
        ),
        "bias-after-a-moved-bias": Fault(
            tflite_weights(1, lambda v: v + np.float32(2), kind="FULLY_CONNECTED", bias=True),
            "age", "bias differs", "shifted by up to 2",
        ),
        "no-relu": Fault(tflite_without_relu, "trunk.2.relu", "activation removed"),
        "clips": Fault(
            tflite_quantised(1, 0.5), "trunk.1.relu", _CLIPPED, "within 0..0.5",
            op="QUANTIZE[int8]",
        ),
        "coarse": Fault(
            tflite_quantised(1, 510.0), "trunk.1.relu", _COARSE, "steps of 2,",
            op="QUANTIZE[int8]",
        ),
        "replaced": Fault(
            tflite_weights(2, shuffled), "trunk.2.bn", _WEIGHTS, " of 9,216, by up to",
            op="CONV_2D+RELU",
        ),
        "replaced-linear": Fault(
            tflite_weights(0, shuffled, kind="FULLY_CONNECTED"), "features",
            _WEIGHTS, "by up to",
        ),
    },
    "mobileagenet.tflite": {
        "replaced-depthwise": Fault(
            tflite_weights(3, shuffled, kind="DEPTHWISE_CONV_2D"),
            "features.4.block.1.1", _WEIGHTS, "channels", op="DEPTHWISE_CONV_2D+RELU",
        ),
    },
}  # fmt: skip

# By the file that is exported from a faulty network, and name.
IN_EXPORTS: Mapping[str, Mapping[str, Fault]] = {
    "c3ae.onnx": {
        "epsilon": Fault(epsilon("trunk.3.bn"), "trunk.3.bn", "BN epsilon", "1e-05, 0.001"),
    },
    "ssrnet.mlpackage": {
        "epsilon": Fault(epsilon("s_stream.blocks.2.1"), "s_stream.blocks.2.1", "BN epsilon"),
        "relu6": Fault(relu6_module, "x_stream.blocks.1.2", "activation replaced", "clip to 0..1"),
        "replaced": Fault(
            parameter("x_stream.blocks.2.0.weight", shuffled), "x_stream.blocks.2.1",
            _WEIGHTS, " of 9,216, by up to", op="conv",
        ),
    },
    "c3ae.mlpackage": {
        "crops": Fault(crops_stacked_backwards, "", "crop order"),
    },
    "c3ae-plain.mlpackage": {
        "bias": Fault(parameter("trunk.4.conv.bias", zeroed), "trunk.4.conv", "bias dropped"),
        "replaced-linear": Fault(
            parameter("age.weight", shuffled), "age", _WEIGHTS, "by up to",
            op="linear",
        ),
    },
}  # fmt: skip
