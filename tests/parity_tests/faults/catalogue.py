"""The planted faults: a hundred and more ways in which conversions go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.parity_tests.editing import (
    ArrayEdit,
    Edit,
    attributes,
    bypassed,
    in_onnx,
    in_tflite,
    initializer,
    inputs_of,
    tflite_weights,
)
from tests.parity_tests.faults import epsilon_edits as eps
from tests.parity_tests.faults import mil_edits as mil
from tests.parity_tests.faults import onnx_edits as o
from tests.parity_tests.faults import tflite_edits as t
from tests.parity_tests.faults.metadata_edits import contract
from tests.parity_tests.faults.planted import INPUT, Planted

# Causes that describe one kind of fault in several true ways.
CONTRACT = ("contract",)
REPLACED = ("activation replaced",)
WEIGHTS = ("weights differ",)
RANGE = ("value range / mean / std",)


def scaled(by: float) -> ArrayEdit:
    return lambda values: values * np.float32(by)


def row_scaled(row: int, by: float) -> ArrayEdit:
    def change(values: np.ndarray) -> None:
        values[row] *= np.float32(by)

    return change


def rolled(values: np.ndarray) -> np.ndarray:
    return np.roll(values, 1, 0)


def zeroed(values: np.ndarray) -> None:
    values.fill(0)


def row_zeroed(values: np.ndarray) -> None:
    values[3] = 0


def in_steps(values: np.ndarray) -> np.ndarray:
    """As stored in 4 bits."""
    step = np.abs(values).max() / 7
    return (np.round(values / step) * step).astype(np.float32)


def transposed(*axes: int) -> ArrayEdit:
    return lambda values: np.ascontiguousarray(values.transpose(axes))


def flipped(*axes: int) -> ArrayEdit:
    return lambda values: np.flip(values, axes).copy()


def added(value: float) -> ArrayEdit:
    return lambda values: values + np.float32(value)


def _of(model: str, file: str, wrap: Callable[[Any], Edit]) -> Callable[..., Planted]:
    def fault(
        name: str,
        edit: Any,
        places: str,
        causes: tuple[str, ...],
        kinds: tuple[str, ...] = ("mismatch",),
    ) -> Planted:
        """Places are separated by spaces."""
        return Planted(model, file, name, wrap(edit), tuple(places.split("|")), causes, kinds)

    return fault


def _itself(edit: Edit) -> Edit:
    return edit


_A = _of("ssrnet", "float32.onnx", in_onnx)
_B = _of("c3ae", "float32.onnx", in_onnx)
_C = _of("c3ae-plain", "float32.onnx", in_onnx)
_D = _of("mobileagenet", "float32.onnx", in_onnx)
_G = _of("ssrnet-gender", "float32.onnx", in_onnx)
_TA = _of("ssrnet", "float32.tflite", in_tflite)
_TB = _of("c3ae", "float32.tflite", in_tflite)
_TC = _of("c3ae-plain", "float32.tflite", in_tflite)
_TD = _of("mobileagenet", "float32.tflite", in_tflite)
_MA = _of("ssrnet", "float32.mlpackage", _itself)
_MB = _of("c3ae", "float32.mlpackage", _itself)
_MC = _of("c3ae-plain", "float32.mlpackage", _itself)
_MD = _of("mobileagenet", "float32.mlpackage", _itself)


def _contracts() -> list[Planted]:
    found = []
    for model, suffix, changes in (
        ("ssrnet", "onnx", {"value_range": [0.0, 1.0]}),
        ("ssrnet", "tflite", {"color_order": "RGB"}),
        ("ssrnet", "mlpackage", {"mean": [104.0, 117.0, 123.0]}),
        ("c3ae", "onnx", {"std": [58.4, 57.1, 57.4]}),
        ("c3ae-plain", "tflite", {"value_range": [-1.0, 1.0]}),
        ("c3ae-plain", "onnx", {"interpolation": "linear"}),
        ("mobileagenet", "onnx", {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}),
        ("mobileagenet", "tflite", {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}),
        ("mobileagenet", "mlpackage", {"value_range": [0.0, 255.0]}),
        ("mobileagenet", "onnx", {"color_order": "BGR"}),
    ):
        name = "contract " + ",".join(changes)
        edit = contract(**changes)
        found.append(Planted(model, f"float32.{suffix}", name, edit, (INPUT,), CONTRACT, ("mismatch", "degenerate")))
    return found


_X1 = "x_stream.blocks.1.1"
_X1R = "x_stream.blocks.1.2"
_S1T = "s_stream.blocks.1.2"

SSRNET_ONNX = (
    _A("range in graph", o.on_input("Mul", 1 / 255), f"{INPUT}|x_stream.blocks.0.1", RANGE),
    _A("mean in graph", o.on_input("Sub", np.float32([104, 117, 123]).reshape(1, 3, 1, 1)), f"{INPUT}|x_stream.blocks.0.1", RANGE),
    _A("softsign for tanh", o.retyped(f"{_S1T}/Tanh", "Softsign"), _S1T, REPLACED),
    _A("sigmoid for tanh", o.retyped(f"{_S1T}/Tanh", "Sigmoid"), _S1T, REPLACED),
    _A("hardtanh for tanh", o.clipped(f"{_S1T}/Tanh", -1, 1), _S1T, REPLACED),
    _A("no tanh", bypassed(f"{_S1T}/Tanh"), _S1T, ("activation removed",)),
    _A("softplus for relu", o.retyped(f"{_X1R}/Relu", "Softplus"), _X1R, REPLACED),
    _A("elu for relu", o.retyped(f"{_X1R}/Relu", "Elu", alpha=1.0), _X1R, REPLACED),
    _A("selu for relu", o.retyped(f"{_X1R}/Relu", "Selu"), _X1R, REPLACED),
    _A("leaky relu", o.retyped(f"{_X1R}/Relu", "LeakyRelu", alpha=0.01), _X1R, REPLACED),
    _A("leaky relu 0.3", o.retyped(f"{_X1R}/Relu", "LeakyRelu", alpha=0.3), _X1R, REPLACED),
    _A("mish for relu", o.retyped(f"{_X1R}/Relu", "Mish"), _X1R, REPLACED),
    _A("relu6 for relu", o.clipped("x_stream.blocks.0.2/Relu", 0, 6), "x_stream.blocks.0.2", ("clipped", *REPLACED)),
    _A("alpha 0.5", attributes("stages.0.mix/Gemm", alpha=0.5), "stages.0.mix", ("alpha",)),
    _A("alpha 0.9 of delta", attributes("stages.0.delta/Gemm", alpha=0.9), "stages.0.delta", ("alpha",)),
    _A("beta 0", attributes("stages.1.eta/Gemm", beta=0.0), "stages.1.eta", ("bias dropped", "beta")),
    _A("beta 2", attributes("stages.1.mix/Gemm", beta=2.0), "stages.1.mix", ("beta",)),
    _A("bias doubled", initializer(f"{_X1}/Conv", scaled(2), 2), _X1, ("bias differs",)),
    _A("bias at the next channel", initializer(f"{_X1}/Conv", rolled, 2), _X1, ("bias differs",)),
    _A("bias dropped", initializer("stages.1.x.reduce/Conv", zeroed, 2), "stages.1.x.reduce", ("bias dropped",)),
    _A("weights x 1.05", initializer(f"{_X1}/Conv", scaled(1.05)), _X1, WEIGHTS),
    _A("one channel x 1.1", initializer(f"{_X1}/Conv", row_scaled(7, 1.1)), _X1, WEIGHTS),
    _A("kernel transposed", initializer(f"{_X1}/Conv", transposed(0, 1, 3, 2)), _X1, WEIGHTS),
    _A("kernel flipped", initializer(f"{_X1}/Conv", flipped(2, 3)), _X1, WEIGHTS),
    _A("in and out swapped", initializer(f"{_X1}/Conv", transposed(1, 0, 2, 3)), _X1, WEIGHTS),
    _A("outputs reversed", initializer(f"{_X1}/Conv", flipped(0)), _X1, WEIGHTS),
    _A("dead channel", initializer(f"{_X1}/Conv", row_zeroed), _X1, WEIGHTS),
    _A("weights in 4 bits", initializer(f"{_X1}/Conv", in_steps), _X1, WEIGHTS),
    _A("dilation", attributes(f"{_X1}/Conv", dilations=[2, 2], pads=[1, 1, 1, 1]), _X1, ("dilation",)),
    _A("max for mean", o.retyped("x_stream.pool/AveragePool:2", "MaxPool", "count_include_pad"), "x_stream.pool", ("pool kind",)),
    _A("mean for max", o.retyped("s_stream.pool/MaxPool", "AveragePool", "storage_order", "dilations"), "s_stream.pool", ("pool kind",)),
    _A("lp for mean", o.retyped("stages.1.x.pool/AveragePool", "LpPool", "count_include_pad", p=2), "stages.1.x.pool", ("pool kind",)),
    _A("padded pool", attributes("stages.1.x.pool/AveragePool", pads=[1, 1, 0, 0], count_include_pad=1), "stages.1.x.pool", ("padding side",)),
    _A("pool stride", attributes("stages.2.s.pool/MaxPool", kernel_shape=[7, 7]), "stages.2.s.pool", ("pool window",)),
    _A("index from 1", initializer("Add:2", added(1), 0), "|add_1", ("constant differs",)),
    _A("V 100", o.constant_of("Mul:9", 100.0), "|age", ("constant differs",)),
    _A("division swapped", o.swapped_operands("Div"), "|div", ("operands swapped",)),
    _A("mul to add", o.retyped("stages.0/Mul:2", "Add"), "stages.0|mul_1", ("op replaced",)),
    _A("mul to max", o.retyped("stages.0/Mul", "Max"), "stages.0|mul", ("op replaced",)),
    _A("add to sub", o.retyped("Add:2", "Sub"), "|add_1", ("op replaced",)),
    _A("mean for sum", o.retyped("ReduceSum", "ReduceMean"), "|sum_1", ("reduction replaced", "op replaced")),
    _A("max for sum", o.retyped("ReduceSum:3", "ReduceMax"), "|sum_3", ("reduction replaced", "op replaced")),
    _A("widths not multiplied", o.reads("Div:2", 1, "mul_9"), "|div_1", ("another input",)),
    _A("a term is missing", o.reads("Add:8", 1, "div"), "|add_7", ("another input",)),
    _A("no + 1", bypassed("Add:3"), "|add_2|mul_9", ("op missing",)),
    _A("float16 in one op", o.in_half(f"{_X1}/Conv"), _X1, ("narrowed to float16",)),
    _A("flatten order", bypassed("stages.0.x/Transpose"), "stages.0.x", ("flatten order",)),
    _A("dropout on", o.with_constant("stages.0.x/Reshape", "Mul", 1.25), "stages.0.x|stages.0.x.project.0|stages.0.x.project.1", ("scaled",)),
    _A("streams swapped", o.reads("stages.0.s.project.1/Gemm", 0, "_unsafe_view"), "stages.0.s.project.1", ("another input",)),
    _A("sigmoid for tanh of delta", o.retyped("stages.0/Tanh", "Sigmoid"), "stages.0", REPLACED),
    _A("tanh approximated", o.composed("stages.0/Tanh:2", ("Mul", ("x", "x")), ("Mul", ("t0", "x")), ("Mul", ("t1", "third")), ("Sub", ("x", "t2")), third=1 / 3), "stages.0", ()),
)
C3AE_ONNX = (
    _B("hard sigmoid 1/6", o.retyped("trunk.1.se/Sigmoid", "HardSigmoid", alpha=1 / 6, beta=0.5), "trunk.1.se", REPLACED),
    _B("hard sigmoid 0.2", o.retyped("trunk.1.se/Sigmoid", "HardSigmoid"), "trunk.1.se", REPLACED),
    _B("softsign for sigmoid", o.retyped("trunk.1.se/Sigmoid", "Softsign"), "trunk.1.se", REPLACED),
    _B("tanh for sigmoid", o.retyped("trunk.0.se/Sigmoid", "Tanh"), "trunk.0.se", REPLACED),
    _B("gate added", o.retyped("trunk.1.se/Mul", "Add"), "trunk.1.se", ("op replaced",)),
    _B("no gate", bypassed("trunk.1.se/Mul"), "trunk.1.se|trunk.2.bn", ("op missing",)),
    _B("gate from max", o.retyped("trunk.1.se/ReduceMean", "ReduceMax"), "trunk.1.se", ("reduction replaced", "op replaced")),
    _B("gate from sum", o.retyped("trunk.1.se/ReduceMean", "ReduceSum"), "trunk.1.se", ("reduction replaced", "op replaced", "pooling divisor")),
    _B("gate of another block", o.reads("trunk.1.se/Mul", 1, "sigmoid"), "trunk.1.se", ("another input",)),
    _B("softmax axis", attributes("Softmax", axis=0), "softmax", ("softmax axis",), ("degenerate",)),
    _B("sigmoid for softmax", o.retyped("Softmax", "Sigmoid", "axis"), "|softmax", ("activation replaced", "softmax replaced")),
    _B("log softmax", o.retyped("Softmax", "LogSoftmax"), "|softmax", ("softmax replaced",)),
    _B("no softmax", bypassed("Softmax"), "|age", ("softmax removed",)),
    _B("temperature", o.with_constant("w1/Gemm", "Mul", 0.5), "w1|", ("scaled", "softmax of scaled values")),
    _B("crops stacked backwards", inputs_of("Concat", (2, 1, 0)), "cat|input_1|model_15/tf.concat_5/concat", ("crop order",)),
    _B("features backwards", inputs_of("Concat:2", (1, 0, 2)), "cat_1|model_15/tf.concat_8/concat", ("inputs swapped",)),
    _B("alpha of the age", attributes("age/Gemm", alpha=0.9), "age", ("alpha",)),
    _B("no bias of the age", attributes("age/Gemm", beta=0.0), "age", ("bias dropped", "beta")),
    _B("bias of w1", initializer("w1/Gemm", zeroed, 2), "w1", ("bias dropped",)),
    _B("layer norm", o.composed("trunk.2.relu/Relu", ("Relu", ("x",)), ("ReduceMean", ("t0", "axes")), ("Sub", ("t0", "t1")), axes=np.int64([1, 2, 3])), "trunk.2.relu", ()),
    _B("colours in graph", initializer("trunk.0.bn/Conv", flipped(1)), "trunk.0.bn", ("RGB/BGR order",)),
)
C3AE_PLAIN_ONNX = (
    _C("flatten", bypassed("Transpose"), "_unsafe_view", ("flatten order",)),
    _C("transposed head", initializer("features/Gemm", lambda v: v.reshape(12, 4, 4, 32).transpose(0, 3, 1, 2).reshape(12, 512).copy()), "features", ("flatten order", *WEIGHTS)),
    _C("gelu for relu", o.composed("trunk.1.relu/Relu", ("Mul", ("x", "root")), ("Erf", ("t0",)), ("Add", ("t1", "one")), ("Mul", ("t2", "x")), ("Mul", ("t3", "half")), root=0.5**0.5, one=1.0, half=0.5), "trunk.1.relu", REPLACED),
    _C("swish for relu", o.composed("trunk.1.relu/Relu", ("Sigmoid", ("x",)), ("Mul", ("x", "t0"))), "trunk.1.relu", REPLACED),
    _C("abs for relu", o.retyped("trunk.2.relu/Relu", "Abs"), "trunk.2.relu", REPLACED),
    _C("no relu", bypassed("trunk.2.relu/Relu"), "trunk.2.relu", ("activation removed",)),
    _C("age alpha", attributes("age/Gemm", alpha=0.95), "age", ("alpha",)),
    _C("age shifted", initializer("age/Gemm", added(2), 2), "age", ("bias differs",)),
    _C("clamped from 20", o.clipped("age/Gemm", 20, 100), "age", ("clipped",)) if False else
    _C("age clamped", lambda m: o.after(m, "age/Gemm", ("Clip", (o.constant(m, "low", 42.0), o.constant(m, "high", 95.0)), {})), "age|", ("clipped",)),
    _C("stride", attributes("trunk.1.pool/AveragePool", pads=[1, 1, 1, 1], count_include_pad=0, kernel_shape=[3, 3], ceil_mode=0) , "trunk.1.pool", ("pool window", "padding side", "shape"), ("mismatch", "load", "run")),
)
MOBILE_ONNX = (
    _D("padding after", attributes("features.0.1/Conv", pads=[0, 0, 2, 2]), "features.0.1", ("padding side",)),
    _D("same upper", attributes("features.0.1/Conv", pads=[0, 0, 1, 1]), "features.0.1", ("padding side",)),
    _D("same upper inside", attributes("features.2.block.1.1/Conv", pads=[0, 0, 1, 1]), "features.2.block.1.1", ("padding side",)),
    _D("depthwise flipped", initializer("features.1.block.0.1/Conv", flipped(2, 3)), "features.1.block.0.1", WEIGHTS),
    _D("swish", o.composed("features.0.2/HardSwish", ("Sigmoid", ("x",)), ("Mul", ("x", "t0"))), "features.0.2", REPLACED),
    _D("relu for hardswish", o.retyped("features.7.block.0.2/HardSwish", "Relu"), "features.7.block.0.2", REPLACED),
    _D("relu6 for relu", o.clipped("features.2.block.0.2/Relu", 0, 6), "features.2.block.0.2", ("clipped", *REPLACED)),
    _D("no residual", bypassed("features.3/Add"), "features.3|features.4.block.0.1", ("op missing",)),
    _D("residual twice", o.reads("features.3/Add", 1, "getitem_18"), "features.3", ()) if False else
    _D("residual doubled", lambda m: setattr(o.node(m, "features.3/Add"), "input", None) if False else o.node(m, "features.3/Add").input.__setitem__(1, o.node(m, "features.3/Add").input[0]), "features.3", ("another input",)),
    _D("mul residual", o.retyped("features.3/Add", "Mul"), "features.3", ("op replaced",)),
    _D("squeeze max", o.retyped("features.4.block.2/ReduceMean", "ReduceMax"), "features.4.block.2", ("reduction replaced", "op replaced")),
    _D("hard sigmoid + 2.5", o.constant_of("features.4.block.2.scale_activation/Add", 2.5), "features.4.block.2.scale_activation", ("constant differs",)),
    _D("hard sigmoid / 5", o.constant_of("features.4.block.2.scale_activation/Mul", 0.2), "features.4.block.2.scale_activation", ("constant differs",)),
    _D("global max", o.retyped("ReduceMean", "ReduceMax"), "|mean_8", ("reduction replaced", "op replaced")),
    _D("global sum", o.retyped("ReduceMean", "ReduceSum"), "|mean_8", ("reduction replaced", "op replaced", "pooling divisor")),
    _D("span", o.constant_of("Mul", 95.0), "|mul_16", ("constant differs",)),
    _D("minimum", o.constant_of("Add", 0.0), "|age", ("constant differs", "op missing")),
    _D("std folded", initializer("features.0.1/Conv", lambda v: v * np.float32([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)), "features.0.1", (*RANGE, *WEIGHTS)),
    _D("mean not subtracted", o.on_input("Add", np.float32([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225]).reshape(1, 3, 1, 1)), f"{INPUT}|features.0.1", RANGE),
    _D("tanh gelu", o.composed("head.1/HardSwish", ("Mul", ("x", "a")), ("Sigmoid", ("t0",)), ("Mul", ("x", "t1")), a=1.702), "head.1", REPLACED),
)
TFLITE = (
    _TC("kernel transposed", tflite_weights(1, transposed(0, 2, 1, 3)), "trunk.1.bn|trunk.1.relu", WEIGHTS),
    _TC("kernel flipped", tflite_weights(2, flipped(1, 2)), "trunk.2.bn|trunk.2.relu", WEIGHTS),
    _TC("channel", tflite_weights(1, row_scaled(5, 1.05)), "trunk.1.bn|trunk.1.relu", WEIGHTS),
    _TC("bias dropped", tflite_weights(2, zeroed, bias=True), "trunk.2.bn|trunk.2.relu", ("bias dropped",)),
    _TC("no relu", t.options("CONV_2D", 2, fusedActivationFunction=0), "trunk.2.relu|trunk.2.bn", ("activation removed",)),
    _TC("relu6", t.options("CONV_2D", 0, fusedActivationFunction=3), "trunk.0.relu|trunk.0.bn", ("clipped", *REPLACED)),
    _TC("relu n1 to 1", t.options("CONV_2D", 0, fusedActivationFunction=2), "trunk.0.relu|trunk.0.bn", ("clipped", *REPLACED)),
    _TC("max pool", t.retyped("AVERAGE_POOL_2D", 1, "MAX_POOL_2D"), "trunk.1.pool", ("pool kind",)),
    _TC("same padding of a pool", t.options("AVERAGE_POOL_2D", 1, padding=0, filterHeight=3, filterWidth=3), "trunk.1.pool", ("pool window", "padding side", "shape"), ("mismatch", "load", "run")),
    _TC("dense weights in steps", tflite_weights(0, in_steps, kind="FULLY_CONNECTED"), "features", WEIGHTS),
    _TA("sigmoid for tanh", t.retyped("TANH", 1, "LOGISTIC"), _S1T, REPLACED),
    _TA("mul to add", t.retyped("MUL", 0, "ADD", t.add_options), "stages.0", ("op replaced",)),
    _TA("division swapped", t.swapped_inputs("DIV", 0, (1, 0)), "|model_18/tf.math.divide_2/truediv", ("operands swapped",)),
    _TA("mean for sum", t.retyped("SUM", 0, "MEAN"), "|model_18/tf.math.reduce_sum_5/Sum", ("reduction replaced", "op replaced")),
    _TA("V 100", t.constant("MUL", -1, 1, lambda v: np.full_like(v, 100)), "|age", ("constant differs",)),
    _TA("bias doubled", tflite_weights(8, scaled(2), bias=True), "stages.0.x|stages.0.x.reduce", ("bias differs",)),
    _TB("tanh for sigmoid", t.retyped("LOGISTIC", 1, "TANH"), "trunk.1.se", REPLACED),
    _TB("softmax beta", t.options("SOFTMAX", 0, beta=0.5), "|model_15/tf.nn.softmax/Softmax", ("softmax of scaled values",)),
    _TB("features backwards", t.swapped_inputs("CONCATENATION", 1, (2, 1, 0)), "cat_1|model_15/tf.concat_8/concat", ("inputs swapped",)),
    _TB("crops backwards", t.swapped_inputs("CONCATENATION", 0, (1, 0, 2)), "cat|input_1|model_15/tf.concat_5/concat", ("crop order",)),
    _TB("gate added", t.retyped("MUL", 1, "ADD", t.add_options), "trunk.1.se", ("op replaced",)),
    _TB("max for mean", t.retyped("MEAN", 4, "REDUCE_MAX"), "trunk.2.se", ("reduction replaced", "op replaced")),
    _TD("relu for hardswish", t.retyped("HARD_SWISH", 1, "RELU", t.no_options), "features.7.block.0.2", REPLACED),
    _TD("depthwise shuffled", tflite_weights(0, flipped(1, 2), kind="DEPTHWISE_CONV_2D"), "features.1.block.0.1|features.1.block.0.2", WEIGHTS),
    _TD("padding", t.constant("PAD", 0, 1, lambda v: np.int32([[0, 0], [0, 2], [0, 2], [0, 0]])), "features.0.1|features.0.2", ("padding side",)),
)
COREML = (
    _MA("softsign for tanh", mil.retyped("input_29", "softsign"), _S1T, REPLACED),
    _MA("elu for relu", mil.retyped("input_9", "elu", alpha=1.0), _X1R, REPLACED),
    _MA("max for mean", mil.retyped("input_11", "max_pool", "exclude_padding_from_average"), "x_stream.pool", ("pool kind",)),
    _MA("division swapped", mil.swapped("truediv"), "|truediv", ("operands swapped",)),
    _MA("mean for sum", mil.retyped("sum_1", "reduce_mean"), "|sum_1", ("reduction replaced", "op replaced")),
    _MA("mul to add", mil.retyped("input_59", "add"), "stages.0", ("op replaced",)),
    _MA("kernel transposed", mil.weights("x_stream_blocks_1_0_weight", transposed(0, 1, 3, 2)), _X1, WEIGHTS),
    _MA("bias rolled", mil.weights("x_stream_blocks_1_0_bias", rolled), _X1, ("bias differs",)),
    _MB("softplus for relu", mil.retyped("input_15", "softplus"), "trunk.1.relu", REPLACED),
    _MB("gate added", mil.retyped("input_21", "add"), "trunk.1.se", ("op replaced",)),
    _MB("crops backwards", mil.reordered("input_1", "values", (2, 1, 0)), "cat|input_1|model_15/tf.concat_5/concat", ("crop order",)),
    _MB("max for mean", mil.retyped("input_27", "reduce_max"), "trunk.2.se", ("reduction replaced", "op replaced")),
    _MB("tanh for sigmoid", mil.retyped("sigmoid_1", "tanh"), "trunk.1.se", REPLACED),
    _MB("no softmax", mil.bypassed("input"), "|age", ("softmax removed", "another input")),
    _MC("linear weights", mil.weights("age_weight", scaled(1.1)), "age", WEIGHTS),
    _MD("sigmoid to tanh", mil.retyped("sigmoid", "tanh"), "|sigmoid", REPLACED),
    _MD("span", mil.weights("features_0_0_weight", lambda v: v * np.float32([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)), "features.0.1", (*RANGE, *WEIGHTS)),
)

_ONE_A = _of("ssrnet", "float32.onnx", _itself)
_ONE_C = _of("c3ae-plain", "float32.onnx", _itself)
_ONE_B = _of("c3ae", "float32.onnx", _itself)
_ONE_D = _of("mobileagenet", "float32.onnx", _itself)
_ONE_TC = _of("c3ae-plain", "float32.tflite", _itself)
_EPS = ("BN epsilon",)
EPSILONS = (
    _ONE_A("epsilon 1e-5", eps.in_onnx_file(1e-5, "x_stream.blocks.2.1"), "x_stream.blocks.2.1", _EPS),
    _ONE_A("epsilon 1e-5 everywhere", eps.in_onnx_file(1e-5), "x_stream.blocks.0.1|s_stream.blocks.0.1|x_stream.blocks.1.1|s_stream.blocks.1.1", _EPS),
    _ONE_A("epsilon 0.01", eps.in_onnx_file(0.01, "s_stream.blocks.1.1"), "s_stream.blocks.1.1", _EPS),
    _ONE_C("epsilon 1e-5", eps.in_onnx_file(1e-5, "trunk.3.bn"), "trunk.3.bn", _EPS),
    _ONE_B("epsilon 1e-4", eps.in_onnx_file(1e-4, "trunk.2.bn"), "trunk.2.bn", _EPS),
    _ONE_D("epsilon 1e-5 everywhere", eps.in_onnx_file(1e-5), "features.0.1|features.1.block.0.1", _EPS),
    _ONE_TC("epsilon 1e-5", eps.in_tflite_file(1e-5, "trunk.3.bn", 3), "trunk.3.bn|trunk.3.relu", _EPS),
    _MA("epsilon 1e-5", eps.in_mlpackage_file(1e-5, "x_stream.blocks.2.1", "x_stream_blocks_2_0"), "x_stream.blocks.2.1", _EPS),
)
_HC = _of("c3ae-plain", "float16.tflite", in_tflite)
_HA = _of("ssrnet", "float16.tflite", in_tflite)
_HMA = _of("ssrnet", "float16.mlpackage", _itself)
_HMB = _of("c3ae", "float16.mlpackage", _itself)
_GM = _of("ssrnet-gender", "float32.mlpackage", _itself)
_GT = _of("ssrnet-gender", "float32.tflite", in_tflite)
HALF = (
    _HC("no relu", t.options("CONV_2D", 2, fusedActivationFunction=0), "trunk.2.relu|trunk.2.bn", ("activation removed",)),
    _HC("max pool", t.retyped("AVERAGE_POOL_2D", 1, "MAX_POOL_2D"), "trunk.1.pool", ("pool kind",)),
    _HC("relu6", t.options("CONV_2D", 0, fusedActivationFunction=3), "trunk.0.relu|trunk.0.bn", ("clipped", *REPLACED)),
    _HA("sigmoid for tanh", t.retyped("TANH", 1, "LOGISTIC"), _S1T, REPLACED),
    _HA("mul to add", t.retyped("MUL", 0, "ADD", t.add_options), "stages.0", ("op replaced",)),
    _HMA("softsign for tanh", mil.retyped("input_29_cast_fp16", "softsign"), _S1T, REPLACED),
    _HMA("division swapped", mil.swapped("truediv_cast_fp16"), "|truediv_cast_fp16", ("operands swapped",)),
    _HMB("gate added", mil.retyped("input_21_cast_fp16", "add"), "trunk.1.se", ("op replaced",)),
)
GENDER = (
    _G("softsign for tanh", o.retyped(f"{_S1T}/Tanh", "Softsign"), _S1T, REPLACED),
    _G("hard sigmoid for tanh", o.retyped("stages.0/Tanh:2", "HardSigmoid"), "stages.0", REPLACED),
    _G("mul to add", o.retyped("stages.0/Mul:2", "Add"), "stages.0|mul_1", ("op replaced",)),
    _G("index from 1", initializer("Add:2", added(1), 0), "|add_1", ("constant differs",)),
    _G("alpha", attributes("stages.1.p/Gemm", alpha=0.9), "stages.1.p", ("alpha",)),
    _GM("division swapped", mil.swapped("truediv"), "|truediv", ("operands swapped",)),
    _GM("mean for max", mil.retyped("input_31", "avg_pool"), "s_stream.pool", ("pool kind",), ("mismatch", "load")),
    _GT("tanh to sigmoid", t.retyped("TANH", 0, "LOGISTIC"), "s_stream.blocks.0.2", REPLACED),
)

FAULTS: tuple[Planted, ...] = (
    *_contracts(),
    *SSRNET_ONNX,
    *C3AE_ONNX,
    *C3AE_PLAIN_ONNX,
    *MOBILE_ONNX,
    *TFLITE,
    *COREML,
    *EPSILONS,
    *HALF,
    *GENDER,
)
