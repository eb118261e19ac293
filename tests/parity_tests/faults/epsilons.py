"""Batch norms folded with another epsilon."""

from __future__ import annotations

from tests.parity_tests.faults import epsilon_edits as eps
from tests.parity_tests.faults.planted import planter

_ONE_A = planter("ssrnet", "float32.onnx")
_ONE_B = planter("c3ae", "float32.onnx")
_ONE_C = planter("c3ae-plain", "float32.onnx")
_ONE_D = planter("mobileagenet", "float32.onnx")
_ONE_TC = planter("c3ae-plain", "float32.tflite")
_MA = planter("ssrnet", "float32.mlpackage")
_EPS = ("BN epsilon",)

FAULTS = (
    _ONE_A(
        "epsilon 1e-5", eps.in_onnx_file(1e-5, "x_stream.blocks.2.1"), "x_stream.blocks.2.1", _EPS
    ),
    _ONE_A(
        "epsilon 1e-5 everywhere",
        eps.in_onnx_file(1e-5),
        "x_stream.blocks.0.1|s_stream.blocks.0.1|x_stream.blocks.1.1|s_stream.blocks.1.1",
        _EPS,
    ),
    _ONE_A(
        "epsilon 0.01", eps.in_onnx_file(0.01, "s_stream.blocks.1.1"), "s_stream.blocks.1.1", _EPS
    ),
    _ONE_C("epsilon 1e-5", eps.in_onnx_file(1e-5, "trunk.3.bn"), "trunk.3.bn", _EPS),
    _ONE_B("epsilon 1e-4", eps.in_onnx_file(1e-4, "trunk.2.bn"), "trunk.2.bn", _EPS),
    _ONE_D(
        "epsilon 1e-5 everywhere", eps.in_onnx_file(1e-5), "features.0.1|features.1.block.0.1", _EPS
    ),
    _ONE_TC(
        "epsilon 1e-5", eps.in_tflite_file(1e-5, "trunk.3.bn", 3), "trunk.3.bn|trunk.3.relu", _EPS
    ),
    _MA(
        "epsilon 1e-5",
        eps.in_mlpackage_file(1e-5, "x_stream.blocks.2.1", "x_stream_blocks_2_0"),
        "x_stream.blocks.2.1",
        _EPS,
    ),
)
