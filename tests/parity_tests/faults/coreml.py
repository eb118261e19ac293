"""Faults in Core ML packages."""

from __future__ import annotations

import numpy as np

from tests.parity_tests.faults import mil_edits as mil
from tests.parity_tests.faults.arrays import in_bits, rolled, scaled, transposed
from tests.parity_tests.faults.planted import RANGE, REPLACED, WEIGHTS, planter

_MA = planter("ssrnet", "float32.mlpackage")
_MB = planter("c3ae", "float32.mlpackage")
_MC = planter("c3ae-plain", "float32.mlpackage")
_MD = planter("mobileagenet", "float32.mlpackage")
_GM = planter("ssrnet-gender", "float32.mlpackage")
_HMA = planter("ssrnet", "float16.mlpackage")
_HMB = planter("c3ae", "float16.mlpackage")
_X1 = "x_stream.blocks.1.1"
_X1R = "x_stream.blocks.1.2"
_S1T = "s_stream.blocks.1.2"

FAULTS = (
    _MA("softsign for tanh", mil.retyped("input_29", "softsign"), _S1T, REPLACED),
    _MA("elu for relu", mil.retyped("input_9", "elu", alpha=1.0), _X1R, REPLACED),
    _MA(
        "max for mean",
        mil.retyped("input_11", "max_pool", "exclude_padding_from_average"),
        "x_stream.pool",
        ("pool kind",),
    ),
    _MA("division swapped", mil.swapped("truediv"), "|truediv", ("operands swapped",)),
    _MA(
        "mean for sum",
        mil.retyped("sum_1", "reduce_mean"),
        "|sum_1",
        ("reduction replaced", "op replaced"),
    ),
    _MA("mul to add", mil.retyped("input_59", "add"), "stages.0", ("op replaced",)),
    _MA(
        "kernel transposed",
        mil.weights("x_stream_blocks_1_0_weight", transposed(0, 1, 3, 2)),
        _X1,
        WEIGHTS,
    ),
    _MA("bias rolled", mil.weights("x_stream_blocks_1_0_bias", rolled), _X1, ("bias differs",)),
    _MB("softplus for relu", mil.retyped("input_15", "softplus"), "trunk.1.relu", REPLACED),
    _MB("gate added", mil.retyped("input_21", "add"), "trunk.1.se", ("op replaced",)),
    _MB(
        "crops backwards",
        mil.reordered("input_1", "values", (2, 1, 0)),
        "cat|input_1|model_15/tf.concat_5/concat",
        ("crop order",),
    ),
    _MB(
        "max for mean",
        mil.retyped("input_27", "reduce_max"),
        "trunk.2.se",
        ("reduction replaced", "op replaced"),
    ),
    _MB("tanh for sigmoid", mil.retyped("sigmoid_1", "tanh"), "trunk.1.se", REPLACED),
    _MB("no softmax", mil.bypassed("input"), "|age", ("softmax removed", "another input")),
    _MC("linear weights", mil.weights("age_weight", scaled(1.1)), "age", WEIGHTS),
    _MD("sigmoid to tanh", mil.retyped("sigmoid", "tanh"), "|sigmoid", REPLACED),
    _MD(
        "span",
        mil.weights(
            "features_0_0_weight",
            lambda v: v * np.float32([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1),
        ),
        "features.0.1",
        (*RANGE, *WEIGHTS),
    ),
    _GM("division swapped", mil.swapped("truediv"), "|truediv", ("operands swapped",)),
    _GM(
        "mean for max",
        mil.retyped("input_31", "avg_pool"),
        "s_stream.pool",
        ("pool kind",),
        ("mismatch", "load"),
    ),
    _HMA("softsign for tanh", mil.retyped("input_29_cast_fp16", "softsign"), _S1T, REPLACED),
    _HMA(
        "division swapped",
        mil.swapped("truediv"),
        "|truediv",
        ("operands swapped",),
    ),
    _HMA(
        "kernel in 6 bits",
        mil.weights("x_stream_blocks_2_0_weight_to_fp16", in_bits(6)),
        "x_stream.blocks.2.1",
        WEIGHTS,
    ),
    _HMB("gate added", mil.retyped("input_21_cast_fp16", "add"), "trunk.1.se", ("op replaced",)),
)
