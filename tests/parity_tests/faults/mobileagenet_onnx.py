"""Faults in ONNX files of MobileAgeNet."""

from __future__ import annotations

import numpy as np

from tests.parity_tests.editing import attributes, bypassed, in_onnx, initializer
from tests.parity_tests.faults import onnx_edits as o
from tests.parity_tests.faults.arrays import flipped
from tests.parity_tests.faults.planted import INPUT, RANGE, REPLACED, WEIGHTS, planter

_D = planter("mobileagenet", "float32.onnx", in_onnx)

FAULTS = (
    _D(
        "padding after",
        attributes("features.0.1/Conv", pads=[0, 0, 2, 2]),
        "features.0.1",
        ("padding side",),
    ),
    _D(
        "same upper",
        attributes("features.0.1/Conv", pads=[0, 0, 1, 1]),
        "features.0.1",
        ("padding side",),
    ),
    _D(
        "same upper inside",
        attributes("features.2.block.1.1/Conv", pads=[0, 0, 1, 1]),
        "features.2.block.1.1",
        ("padding side",),
    ),
    _D(
        "depthwise flipped",
        initializer("features.1.block.0.1/Conv", flipped(2, 3)),
        "features.1.block.0.1",
        WEIGHTS,
    ),
    _D(
        "swish",
        o.composed("features.0.2/HardSwish", ("Sigmoid", ("x",)), ("Mul", ("x", "t0"))),
        "features.0.2",
        REPLACED,
    ),
    _D(
        "relu for hardswish",
        o.retyped("features.7.block.0.2/HardSwish", "Relu"),
        "features.7.block.0.2",
        REPLACED,
    ),
    _D(
        "relu6 for relu",
        o.clipped("features.2.block.0.2/Relu", 0, 6),
        "features.2.block.0.2",
        ("clipped", *REPLACED),
    ),
    _D(
        "no residual",
        bypassed("features.3/Add"),
        "features.3|features.4.block.0.1",
        ("op missing",),
    ),
    _D("residual doubled", o.one_operand_twice("features.3/Add"), "features.3", ("another input",)),
    _D("mul residual", o.retyped("features.3/Add", "Mul"), "features.3", ("op replaced",)),
    _D(
        "squeeze max",
        o.retyped("features.4.block.2/ReduceMean", "ReduceMax"),
        "features.4.block.2",
        ("reduction replaced", "op replaced"),
    ),
    _D(
        "hard sigmoid + 2.5",
        o.constant_of("features.4.block.2.scale_activation/Add", 2.5),
        "features.4.block.2.scale_activation",
        ("constant differs",),
    ),
    _D(
        "hard sigmoid / 5",
        o.constant_of("features.4.block.2.scale_activation/Mul", 0.2),
        "features.4.block.2.scale_activation",
        ("constant differs",),
    ),
    _D(
        "global max",
        o.retyped("ReduceMean", "ReduceMax"),
        "|mean_8",
        ("reduction replaced", "op replaced"),
    ),
    _D(
        "global sum",
        o.retyped("ReduceMean", "ReduceSum"),
        "|mean_8",
        ("reduction replaced", "op replaced", "pooling divisor"),
    ),
    _D("span", o.constant_of("Mul", 95.0), "|mul_16", ("constant differs",)),
    _D("minimum", o.constant_of("Add", 0.0), "|age", ("constant differs", "op missing")),
    _D(
        "std folded",
        initializer(
            "features.0.1/Conv", lambda v: v * np.float32([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
        ),
        "features.0.1",
        (*RANGE, *WEIGHTS),
    ),
    _D(
        "mean not subtracted",
        o.on_input(
            "Add", np.float32([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225]).reshape(1, 3, 1, 1)
        ),
        f"{INPUT}|features.0.1",
        RANGE,
    ),
    _D(
        "tanh gelu",
        o.composed(
            "head.1/HardSwish",
            ("Mul", ("x", "a")),
            ("Sigmoid", ("t0",)),
            ("Mul", ("x", "t1")),
            a=1.702,
        ),
        "head.1",
        REPLACED,
    ),
)
