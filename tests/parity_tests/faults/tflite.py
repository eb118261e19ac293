"""Faults in TFLite files."""

from __future__ import annotations

import numpy as np

from tests.parity_tests.editing import in_tflite, tflite_weights
from tests.parity_tests.faults import tflite_edits as t
from tests.parity_tests.faults.arrays import (
    corner_scaled,
    flipped,
    in_bits,
    row_scaled,
    scaled,
    transposed,
    zeroed,
)
from tests.parity_tests.faults.planted import REPLACED, WEIGHTS, planter

_TA = planter("ssrnet", "float32.tflite", in_tflite)
_TB = planter("c3ae", "float32.tflite", in_tflite)
_TC = planter("c3ae-plain", "float32.tflite", in_tflite)
_TD = planter("mobileagenet", "float32.tflite", in_tflite)
_GT = planter("ssrnet-gender", "float32.tflite", in_tflite)
_HA = planter("ssrnet", "float16.tflite", in_tflite)
_HC = planter("c3ae-plain", "float16.tflite", in_tflite)
_S1T = "s_stream.blocks.1.2"
_X1 = "x_stream.blocks.1.1|x_stream.blocks.1.2"

FAULTS = (
    _TC(
        "kernel transposed",
        tflite_weights(1, transposed(0, 2, 1, 3)),
        "trunk.1.bn|trunk.1.relu",
        WEIGHTS,
    ),
    _TC("kernel flipped", tflite_weights(2, flipped(1, 2)), "trunk.2.bn|trunk.2.relu", WEIGHTS),
    _TC("channel", tflite_weights(1, row_scaled(5, 1.05)), "trunk.1.bn|trunk.1.relu", WEIGHTS),
    _TC(
        "bias dropped",
        tflite_weights(2, zeroed, bias=True),
        "trunk.2.bn|trunk.2.relu",
        ("bias dropped",),
    ),
    _TC(
        "no relu",
        t.options("CONV_2D", 2, fusedActivationFunction=0),
        "trunk.2.relu|trunk.2.bn",
        ("activation removed",),
    ),
    _TC(
        "relu6",
        t.options("CONV_2D", 0, fusedActivationFunction=3),
        "trunk.0.relu|trunk.0.bn",
        ("clipped", *REPLACED),
    ),
    _TC(
        "relu n1 to 1",
        t.options("CONV_2D", 0, fusedActivationFunction=2),
        "trunk.0.relu|trunk.0.bn",
        ("clipped", *REPLACED),
    ),
    _TC("max pool", t.pool_as("MAX_POOL_2D", 1), "trunk.1.pool", ("pool kind",)),
    _TC(
        "same padding of a pool",
        t.pool_as("AVERAGE_POOL_2D", 1, padding=0, side=3),
        "trunk.1.pool",
        ("pool window", "padding side", "shape"),
        ("mismatch", "load", "run"),
    ),
    _TC(
        "divisor of a pool",
        t.constant("DEPTHWISE_CONV_2D", 1, 1, scaled(4 / 9)),
        "trunk.1.pool",
        ("pooling divisor",),
    ),
    _TC(
        "one weight of a pool",
        t.constant("DEPTHWISE_CONV_2D", 1, 1, corner_scaled(1.5)),
        "trunk.1.pool",
        WEIGHTS,
    ),
    _TC(
        "dense weights in steps",
        tflite_weights(0, in_bits(4), kind="FULLY_CONNECTED"),
        "features",
        WEIGHTS,
    ),
    _TA("sigmoid for tanh", t.retyped("TANH", 1, "LOGISTIC"), _S1T, REPLACED),
    _TA(
        "mean for max before a tanh",
        t.retyped("MAX_POOL_2D", 0, "AVERAGE_POOL_2D"),
        "s_stream.pool|s_stream.blocks.0.2",
        ("pool kind",),
    ),
    _TA("mul to add", t.retyped("MUL", 0, "ADD", t.add_options), "stages.0", ("op replaced",)),
    _TA(
        "division swapped",
        t.swapped_inputs("DIV", 0, (1, 0)),
        "|model_18/tf.math.divide_2/truediv",
        ("operands swapped",),
    ),
    _TA(
        "mean for sum",
        t.retyped("SUM", 0, "MEAN"),
        "|model_18/tf.math.reduce_sum_5/Sum",
        ("reduction replaced", "op replaced"),
    ),
    _TA(
        "V 100",
        t.constant("MUL", -1, 1, lambda v: np.full_like(v, 100)),
        "|age",
        ("constant differs",),
    ),
    _TA(
        "bias doubled",
        tflite_weights(8, scaled(2), bias=True),
        "stages.0.x|stages.0.x.reduce",
        ("bias differs",),
    ),
    _TB("tanh for sigmoid", t.retyped("LOGISTIC", 1, "TANH"), "trunk.1.se", REPLACED),
    _TB(
        "softmax beta",
        t.options("SOFTMAX", 0, beta=0.5),
        "|model_15/tf.nn.softmax/Softmax",
        ("softmax of scaled values",),
    ),
    _TB(
        "features backwards",
        t.swapped_inputs("CONCATENATION", 1, (2, 1, 0)),
        "cat_1|model_15/tf.concat_8/concat",
        ("inputs swapped",),
    ),
    _TB(
        "crops backwards",
        t.swapped_inputs("CONCATENATION", 0, (1, 0, 2)),
        "cat|input_1|model_15/tf.concat_5/concat",
        ("crop order",),
    ),
    _TB("gate added", t.retyped("MUL", 1, "ADD", t.add_options), "trunk.1.se", ("op replaced",)),
    _TB(
        "max for mean",
        t.retyped("MEAN", 4, "REDUCE_MAX"),
        "trunk.2.se",
        ("reduction replaced", "op replaced"),
    ),
    _TD(
        "relu for hardswish",
        t.retyped("HARD_SWISH", 1, "RELU", t.no_options),
        "features.7.block.0.2",
        REPLACED,
    ),
    _TD(
        "depthwise shuffled",
        tflite_weights(0, flipped(1, 2), kind="DEPTHWISE_CONV_2D"),
        "features.1.block.0.1|features.1.block.0.2",
        WEIGHTS,
    ),
    _TD(
        "padding",
        t.constant("PAD", 0, 1, lambda _: np.int32([[0, 0], [0, 2], [0, 2], [0, 0]])),
        "features.0.1|features.0.2",
        ("padding side",),
    ),
    _GT("tanh to sigmoid", t.retyped("TANH", 0, "LOGISTIC"), "s_stream.blocks.0.2", REPLACED),
    _HC(
        "no relu",
        t.options("CONV_2D", 2, fusedActivationFunction=0),
        "trunk.2.relu|trunk.2.bn",
        ("activation removed",),
    ),
    _HC("max pool", t.pool_as("MAX_POOL_2D", 1), "trunk.1.pool", ("pool kind",)),
    _HC(
        "relu6",
        t.options("CONV_2D", 0, fusedActivationFunction=3),
        "trunk.0.relu|trunk.0.bn",
        ("clipped", *REPLACED),
    ),
    _HC("kernel in 6 bits", tflite_weights(1, in_bits(6)), "trunk.1.bn|trunk.1.relu", WEIGHTS),
    _HA("kernel in 6 bits", tflite_weights(2, in_bits(6)), _X1, WEIGHTS),
    _HA("sigmoid for tanh", t.retyped("TANH", 1, "LOGISTIC"), _S1T, REPLACED),
    _HA("mul to add", t.retyped("MUL", 0, "ADD", t.add_options), "stages.0", ("op replaced",)),
)
