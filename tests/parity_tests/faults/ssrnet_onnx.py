"""Faults in ONNX files of SSR-Net."""

from __future__ import annotations

import numpy as np

from tests.parity_tests.editing import attributes, bypassed, in_onnx, initializer
from tests.parity_tests.faults import onnx_edits as o
from tests.parity_tests.faults.arrays import (
    added,
    flipped,
    in_bits,
    rolled,
    row_scaled,
    row_zeroed,
    scaled,
    transposed,
    zeroed,
)
from tests.parity_tests.faults.planted import INPUT, RANGE, REPLACED, WEIGHTS, planter

_A = planter("ssrnet", "float32.onnx", in_onnx)
_G = planter("ssrnet-gender", "float32.onnx", in_onnx)
_X1 = "x_stream.blocks.1.1"
_X1R = "x_stream.blocks.1.2"
_S1T = "s_stream.blocks.1.2"

FAULTS = (
    _A(
        "range in graph",
        o.on_input("Mul", 1 / 255),
        f"{INPUT}|x_stream.blocks.0.1",
        RANGE,
        ("degenerate",),
    ),
    _A(
        "mean in graph",
        o.on_input("Sub", np.float32([104, 117, 123]).reshape(1, 3, 1, 1)),
        f"{INPUT}|x_stream.blocks.0.1",
        RANGE,
    ),
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
    _A(
        "relu6 for relu",
        o.clipped("x_stream.blocks.0.2/Relu", 0, 6),
        "x_stream.blocks.0.2",
        ("clipped", *REPLACED),
    ),
    _A("alpha 0.5", attributes("stages.0.mix/Gemm", alpha=0.5), "stages.0.mix", ("alpha",)),
    _A(
        "alpha 0.9 of delta",
        attributes("stages.0.delta/Gemm", alpha=0.9),
        "stages.0.delta",
        ("alpha",),
    ),
    _A(
        "beta 0",
        attributes("stages.1.eta/Gemm", beta=0.0),
        "stages.1.eta",
        ("bias dropped", "beta"),
    ),
    _A("beta 2", attributes("stages.1.mix/Gemm", beta=2.0), "stages.1.mix", ("beta",)),
    _A("bias doubled", initializer(f"{_X1}/Conv", scaled(2), 2), _X1, ("bias differs",)),
    _A("bias at the next channel", initializer(f"{_X1}/Conv", rolled, 2), _X1, ("bias differs",)),
    _A(
        "bias dropped",
        initializer("stages.1.x.reduce/Conv", zeroed, 2),
        "stages.1.x.reduce",
        ("bias dropped",),
    ),
    _A("weights x 1.05", initializer(f"{_X1}/Conv", scaled(1.05)), _X1, WEIGHTS),
    _A("one channel x 1.1", initializer(f"{_X1}/Conv", row_scaled(7, 1.1)), _X1, WEIGHTS),
    _A("kernel transposed", initializer(f"{_X1}/Conv", transposed(0, 1, 3, 2)), _X1, WEIGHTS),
    _A("kernel flipped", initializer(f"{_X1}/Conv", flipped(2, 3)), _X1, WEIGHTS),
    _A("in and out swapped", initializer(f"{_X1}/Conv", transposed(1, 0, 2, 3)), _X1, WEIGHTS),
    _A("outputs reversed", initializer(f"{_X1}/Conv", flipped(0)), _X1, WEIGHTS),
    _A("dead channel", initializer(f"{_X1}/Conv", row_zeroed), _X1, WEIGHTS),
    _A("weights in 4 bits", initializer(f"{_X1}/Conv", in_bits(4)), _X1, WEIGHTS),
    _A(
        "dilation",
        attributes(f"{_X1}/Conv", dilations=[2, 2], pads=[1, 1, 1, 1]),
        _X1,
        ("dilation",),
    ),
    _A(
        "max for mean",
        o.retyped("x_stream.pool/AveragePool:2", "MaxPool", "count_include_pad"),
        "x_stream.pool",
        ("pool kind",),
    ),
    _A(
        "mean for max",
        o.retyped("s_stream.pool/MaxPool", "AveragePool", "storage_order", "dilations"),
        "s_stream.pool",
        ("pool kind",),
    ),
    _A(
        "lp for mean",
        o.retyped("stages.1.x.pool/AveragePool", "LpPool", "count_include_pad", p=2),
        "stages.1.x.pool",
        ("pool kind",),
    ),
    _A(
        "padded pool",
        attributes("stages.1.x.pool/AveragePool", pads=[1, 1, 0, 0], count_include_pad=1),
        "stages.1.x.pool",
        ("padding side",),
    ),
    _A(
        "pool stride",
        attributes("stages.2.s.pool/MaxPool", kernel_shape=[7, 7]),
        "stages.2.s.pool",
        (),
        ("run",),
    ),
    _A("index from 1", initializer("Add:2", added(1), 0), "|add_1", ("constant differs",)),
    _A("V 100", o.constant_of("Mul:9", 100.0), "|age", ("constant differs",)),
    _A("division swapped", o.swapped_operands("Div"), "|div", ("operands swapped",)),
    _A("mul to add", o.retyped("stages.0/Mul:2", "Add"), "stages.0|mul_1", ("op replaced",)),
    _A("mul to max", o.retyped("stages.0/Mul", "Max"), "stages.0|mul", ("op replaced",)),
    _A("add to sub", o.retyped("Add:2", "Sub"), "|add_1", ("op replaced",)),
    _A(
        "mean for sum",
        o.retyped("ReduceSum", "ReduceMean"),
        "|sum_1",
        ("reduction replaced", "op replaced"),
    ),
    _A(
        "max for sum",
        o.retyped("ReduceSum:3", "ReduceMax"),
        "|sum_3",
        ("reduction replaced", "op replaced"),
    ),
    _A("widths not multiplied", o.reads("Div:2", 1, "mul_9"), "|div_1", ("another input",)),
    _A("a term is missing", o.reads("Add:8", 1, "div"), "|add_7", ("another input",)),
    _A("no + 1", bypassed("Add:3"), "|add_2|mul_9", ("op missing",)),
    _A("float16 in one op", o.in_half(f"{_X1}/Conv"), _X1, ("narrowed to float16",)),
    _A("flatten order", bypassed("stages.0.x/Transpose"), "stages.0.x", ("flatten order",)),
    _A(
        "dropout on",
        o.with_constant("stages.0.x/Reshape", "Mul", 1.25),
        "stages.0.x|stages.0.x.project.0|stages.0.x.project.1",
        ("scaled",),
    ),
    _A(
        "streams swapped",
        o.reads("stages.0.s.project.1/Gemm", 0, "_unsafe_view"),
        "stages.0.s.project.1",
        ("another input",),
    ),
    _A("sigmoid for tanh of delta", o.retyped("stages.0/Tanh", "Sigmoid"), "stages.0", REPLACED),
    _A(
        "tanh approximated",
        o.composed(
            "stages.0/Tanh:2",
            ("Mul", ("x", "x")),
            ("Mul", ("t0", "x")),
            ("Mul", ("t1", "third")),
            ("Sub", ("x", "t2")),
            third=1 / 3,
        ),
        "stages.0",
        (),
    ),
    _G("softsign for tanh", o.retyped(f"{_S1T}/Tanh", "Softsign"), _S1T, REPLACED),
    _G("hard sigmoid for tanh", o.retyped("stages.0/Tanh:2", "HardSigmoid"), "stages.0", REPLACED),
    _G("mul to add", o.retyped("stages.0/Mul:2", "Add"), "stages.0|mul_1", ("op replaced",)),
    _G("index from 1", initializer("Add:2", added(1), 0), "|add_1", ("constant differs",)),
    _G("alpha", attributes("stages.1.p/Gemm", alpha=0.9), "stages.1.p", ("alpha",)),
)
