"""Faults in ONNX files of C3AE, full and plain."""

from __future__ import annotations

import numpy as np

from tests.parity_tests.editing import attributes, bypassed, in_onnx, initializer, inputs_of
from tests.parity_tests.faults import onnx_edits as o
from tests.parity_tests.faults.arrays import added, flipped, zeroed
from tests.parity_tests.faults.planted import REPLACED, WEIGHTS, planter

_B = planter("c3ae", "float32.onnx", in_onnx)
_C = planter("c3ae-plain", "float32.onnx", in_onnx)

FAULTS = (
    _B(
        "hard sigmoid 1/6",
        o.retyped("trunk.1.se/Sigmoid", "HardSigmoid", alpha=1 / 6, beta=0.5),
        "trunk.1.se",
        REPLACED,
    ),
    _B("hard sigmoid 0.2", o.retyped("trunk.1.se/Sigmoid", "HardSigmoid"), "trunk.1.se", REPLACED),
    _B("softsign for sigmoid", o.retyped("trunk.1.se/Sigmoid", "Softsign"), "trunk.1.se", REPLACED),
    _B("tanh for sigmoid", o.retyped("trunk.0.se/Sigmoid", "Tanh"), "trunk.0.se", REPLACED),
    _B("gate added", o.retyped("trunk.1.se/Mul", "Add"), "trunk.1.se", ("op replaced",)),
    _B("no gate", bypassed("trunk.1.se/Mul"), "trunk.1.se|trunk.2.bn", ("op missing",)),
    _B(
        "gate from max",
        o.retyped("trunk.1.se/ReduceMean", "ReduceMax"),
        "trunk.1.se",
        ("reduction replaced", "op replaced"),
    ),
    _B(
        "gate from sum",
        o.retyped("trunk.1.se/ReduceMean", "ReduceSum"),
        "trunk.1.se",
        ("reduction replaced", "op replaced", "pooling divisor"),
    ),
    _B(
        "gate of another block",
        o.reads("trunk.1.se/Mul", 1, "sigmoid"),
        "trunk.1.se",
        ("another input",),
    ),
    _B(
        "softmax axis", attributes("Softmax", axis=0), "softmax", ("softmax axis",), ("degenerate",)
    ),
    _B(
        "sigmoid for softmax",
        o.retyped("Softmax", "Sigmoid", "axis"),
        "|softmax",
        ("activation replaced", "softmax replaced"),
    ),
    _B("log softmax", o.retyped("Softmax", "LogSoftmax"), "|softmax", ("softmax replaced",)),
    _B("no softmax", bypassed("Softmax"), "|age", ("softmax removed",)),
    _B(
        "temperature",
        o.with_constant("w1/Gemm", "Mul", 0.5),
        "w1|",
        ("scaled", "softmax of scaled values"),
    ),
    _B(
        "crops stacked backwards",
        inputs_of("Concat", (2, 1, 0)),
        "cat|input_1|model_15/tf.concat_5/concat",
        ("crop order",),
    ),
    _B(
        "features backwards",
        inputs_of("Concat:2", (1, 0, 2)),
        "cat_1|model_15/tf.concat_8/concat",
        ("inputs swapped",),
    ),
    _B("alpha of the age", attributes("age/Gemm", alpha=0.9), "age", ("alpha",)),
    _B("no bias of the age", attributes("age/Gemm", beta=0.0), "age", ("bias dropped", "beta")),
    _B("bias of w1", initializer("w1/Gemm", zeroed, 2), "w1", ("bias dropped",)),
    _B(
        "layer norm",
        o.composed(
            "trunk.2.relu/Relu",
            ("Relu", ("x",)),
            ("ReduceMean", ("t0", "axes")),
            ("Sub", ("t0", "t1")),
            axes=np.int64([1, 2, 3]),
        ),
        "trunk.2.relu",
        (),
    ),
    _B(
        "colours in graph",
        initializer("trunk.0.bn/Conv", flipped(1)),
        "trunk.0.bn",
        ("RGB/BGR order",),
    ),
    _C("flatten", bypassed("Transpose"), "_unsafe_view", ("flatten order",)),
    _C(
        "transposed head",
        initializer(
            "features/Gemm",
            lambda v: v.reshape(12, 4, 4, 32).transpose(0, 3, 1, 2).reshape(12, 512).copy(),
        ),
        "features",
        ("flatten order", *WEIGHTS),
    ),
    _C(
        "gelu for relu",
        o.composed(
            "trunk.1.relu/Relu",
            ("Mul", ("x", "root")),
            ("Erf", ("t0",)),
            ("Add", ("t1", "one")),
            ("Mul", ("t2", "x")),
            ("Mul", ("t3", "half")),
            root=0.5**0.5,
            one=1.0,
            half=0.5,
        ),
        "trunk.1.relu",
        REPLACED,
    ),
    _C(
        "swish for relu",
        o.composed("trunk.1.relu/Relu", ("Sigmoid", ("x",)), ("Mul", ("x", "t0"))),
        "trunk.1.relu",
        REPLACED,
    ),
    _C("abs for relu", o.retyped("trunk.2.relu/Relu", "Abs"), "trunk.2.relu", REPLACED),
    _C("no relu", bypassed("trunk.2.relu/Relu"), "trunk.2.relu", ("activation removed",)),
    _C("age alpha", attributes("age/Gemm", alpha=0.95), "age", ("alpha",)),
    _C("age shifted", initializer("age/Gemm", added(2), 2), "age", ("bias differs",)),
    _C("age clamped", o.clamped("age/Gemm", 42, 95), "age|", ("clipped",)),
    _C(
        "stride",
        attributes(
            "trunk.1.pool/AveragePool",
            pads=[1, 1, 1, 1],
            count_include_pad=0,
            kernel_shape=[3, 3],
            ceil_mode=0,
        ),
        "trunk.1.pool",
        ("pool window", "padding side", "shape"),
        ("mismatch", "load", "run"),
    ),
)
