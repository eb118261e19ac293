"""Faults of what is stored: tensors quantised or cast between two layers, and weights replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from tests.parity_tests.localisation.graph_faults import Fault, constant, node, tflite_conv


def after(
    model: onnx.ModelProto, name: str, ops: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...]
) -> None:
    """Puts ops in a row between a node and all that read it; each is a type, constants, options."""
    found = node(model, name)
    place, wrote = list(model.graph.node).index(found), found.output[0]
    read = found.output[0] = f"{wrote}/before"
    for number, (op, constants, options) in enumerate(ops):
        to = wrote if number == len(ops) - 1 else f"{wrote}/{number}"
        made = helper.make_node(op, [read, *constants], [to], f"put in {number}", **options)
        model.graph.node.insert(place + 1 + number, made)
        read = to


def onnx_quantised(name: str, top: float) -> Callable[[onnx.ModelProto], None]:
    """A tensor as 8 bits that reach from 0 to `top`, and back."""

    def plant(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(
            helper.make_tensor("step", TensorProto.FLOAT, [], [top / 255])
        )
        model.graph.initializer.append(helper.make_tensor("zero", TensorProto.UINT8, [], [0]))
        given = ("step", "zero")
        after(model, name, (("QuantizeLinear", given, {}), ("DequantizeLinear", given, {})))

    return plant


def onnx_narrowed(name: str) -> Callable[[onnx.ModelProto], None]:
    """A tensor as float16, and back."""

    def plant(model: onnx.ModelProto) -> None:
        half, full = {"to": TensorProto.FLOAT16}, {"to": TensorProto.FLOAT}
        after(model, name, (("Cast", (), half), ("Cast", (), full)))

    return plant


def tflite_quantised(number: int, top: float) -> Callable[[Any], None]:
    """The nth convolution's answer as 8 bits that reach from 0 to `top`, and back."""

    def plant(model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        graph = model.subgraphs[0]
        kind = schema.BuiltinOperator

        def code(builtin: int) -> int:
            made = schema.OperatorCodeT()
            made.builtinCode = made.deprecatedBuiltinCode = builtin
            made.version = 1
            model.operatorCodes.append(made)
            return len(model.operatorCodes) - 1

        def tensor(name: str, type_: int, like: Any) -> int:
            made = schema.TensorT()
            made.name, made.shape, made.type, made.buffer = name.encode(), like.shape, type_, 0
            graph.tensors.append(made)
            return len(graph.tensors) - 1

        def op(builtin: int, read: int, wrote: int) -> Any:
            made = schema.OperatorT()
            made.opcodeIndex, made.inputs, made.outputs = code(builtin), [read], [wrote]
            return made

        place = [
            i
            for i, x in enumerate(graph.operators)
            if model.operatorCodes[x.opcodeIndex].builtinCode == kind.CONV_2D
        ][number]
        wrote = int(graph.operators[place].outputs[0])
        like = graph.tensors[wrote]
        stored = tensor("quantised", schema.TensorType.INT8, like)
        graph.tensors[stored].quantization = schema.QuantizationParametersT()
        graph.tensors[stored].quantization.scale = [top / 255]
        graph.tensors[stored].quantization.zeroPoint = [-128]
        restored = tensor("restored", schema.TensorType.FLOAT32, like)
        for reader in graph.operators:
            reader.inputs = [restored if int(i) == wrote else int(i) for i in reader.inputs]
        graph.operators.insert(place + 1, op(kind.QUANTIZE, wrote, stored))
        graph.operators.insert(place + 2, op(kind.DEQUANTIZE, stored, restored))

    return plant


def shuffled(weights: np.ndarray) -> np.ndarray:
    """The same weights, each in another's place."""
    return np.random.default_rng(0).permutation(weights.ravel()).reshape(weights.shape)


def onnx_replaced(name: str) -> Callable[[onnx.ModelProto], None]:
    """All weights of a node replaced."""
    return lambda model: constant(model, node(model, name).input[1], shuffled)


def tflite_replaced(number: int, kind: str) -> Callable[[Any], None]:
    """All weights of the nth op of a kind replaced."""

    def plant(model: Any) -> None:
        weights, _ = tflite_conv(model, number, kind)
        weights[:] = shuffled(weights)

    return plant


def scaled_apart(name: str) -> Callable[[onnx.ModelProto], None]:
    """A tensor quantised by one step and restored by another."""

    def plant(model: onnx.ModelProto) -> None:
        onnx_quantised(name, 30.0)(model)
        step = helper.make_tensor("other step", TensorProto.FLOAT, [], [40 / 255])
        model.graph.initializer.append(step)
        next(n for n in model.graph.node if n.op_type == "DequantizeLinear").input[1] = step.name

    return plant


def one_moved(model: onnx.ModelProto) -> None:
    def change(weights: np.ndarray) -> None:
        weights[3, 2, 1, 0] += 0.25

    constant(model, node(model, "trunk.2.bn/Conv").input[1], change)


def replaced(path: str) -> Callable[[nn.Module], None]:
    """All of a parameter of PyTorch's network replaced."""

    def plant(network: nn.Module) -> None:
        with torch.no_grad():
            parameter = network.get_parameter(path)
            parameter.copy_(torch.from_numpy(shuffled(parameter.numpy())))

    return plant


_CLIPPED, _COARSE = "quantisation clipped range", "quantisation step"

STORED = (
    Fault(
        "clips", "c3ae-plain", "onnx", onnx_quantised("trunk.1.relu/Relu", 0.5), "trunk.1.relu",
        _CLIPPED, "within 0..0.5, the tensor reaches 0..", op="DequantizeLinear",
    ),
    Fault(
        "clips", "ssrnet", "onnx", onnx_quantised("x_stream.blocks.1.2/Relu", 0.5),
        "x_stream.blocks.1.2", _CLIPPED, "within 0..0.5", op="DequantizeLinear",
    ),
    Fault(
        "coarse", "ssrnet", "onnx", onnx_quantised("x_stream.blocks.1.2/Relu", 255.0),
        "x_stream.blocks.1.2", _COARSE, "steps of 1,", op="DequantizeLinear",
    ),
    Fault(
        "clips-below", "mobileagenet", "onnx", onnx_quantised("features.0.1/Conv", 4.0),
        "features.0.1", _CLIPPED, "within 0..", op="DequantizeLinear",
    ),
    Fault(
        "scales", "ssrnet", "onnx", scaled_apart("x_stream.blocks.1.2/Relu"),
        "x_stream.blocks.1.2", "unknown", op="DequantizeLinear",
    ),
    Fault(
        "half", "c3ae-plain", "onnx", onnx_narrowed("trunk.1.relu/Relu"), "trunk.1.relu",
        "narrowed to float16", op="Cast",
    ),
    Fault(
        "clips", "c3ae-plain", "tflite", tflite_quantised(1, 0.5), "trunk.1.relu", _CLIPPED,
        "within 0..0.5", op="QUANTIZE[int8]",
    ),
    Fault(
        "coarse", "c3ae-plain", "tflite", tflite_quantised(1, 510.0), "trunk.1.relu", _COARSE,
        "steps of 2,", op="QUANTIZE[int8]",
    ),
    Fault(
        "replaced", "c3ae-plain", "onnx", onnx_replaced("trunk.1.bn/Conv"), "trunk.1.bn",
        "weights differ", " of 9,216, by up to", op="Conv",
    ),
    Fault(
        "replaced-depthwise", "mobileagenet", "onnx", onnx_replaced("features.7.block.1.1/Conv"),
        "features.7.block.1.1", "weights differ", "all 240 channels", op="Conv",
    ),
    Fault(
        "replaced-linear", "c3ae-plain", "onnx", onnx_replaced("age/Gemm"), "age",
        "weights differ", "channel", op="Gemm",
    ),
    Fault(
        "one", "c3ae-plain", "onnx", one_moved, "trunk.2.bn", "weights differ",
        "1 of 9,216, by up to 0.25 ", op="Conv",
    ),
    Fault(
        "replaced", "c3ae-plain", "tflite", tflite_replaced(2, "CONV_2D"), "trunk.2.bn",
        "weights differ", " of 9,216, by up to", op="CONV_2D+RELU",
    ),
    Fault(
        "replaced-depthwise", "mobileagenet", "tflite", tflite_replaced(3, "DEPTHWISE_CONV_2D"),
        "features.4.block.1.1", "weights differ", "channels", op="DEPTHWISE_CONV_2D+RELU",
    ),
    Fault(
        "replaced-linear", "c3ae-plain", "tflite", tflite_replaced(0, "FULLY_CONNECTED"),
        "features", "weights differ", "by up to",
    ),
)  # fmt: skip

REPLACED = (
    Fault(
        "replaced", "ssrnet", "mlpackage", replaced("x_stream.blocks.2.0.weight"),
        "x_stream.blocks.2.1", "weights differ", " of 9,216, by up to", op="conv",
    ),
    Fault(
        "replaced-linear", "c3ae-plain", "mlpackage", replaced("age.weight"), "age",
        "weights differ", "by up to", op="linear",
    ),
)  # fmt: skip
