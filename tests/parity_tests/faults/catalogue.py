"""The planted faults, nearly two hundred ways in which conversions go wrong."""

from __future__ import annotations

from tests.parity_tests.faults import (
    c3ae_onnx,
    contracts,
    coreml,
    epsilons,
    mobileagenet_onnx,
    ssrnet_onnx,
    tflite,
)
from tests.parity_tests.faults.planted import Planted

FAULTS: tuple[Planted, ...] = (
    *contracts.FAULTS,
    *ssrnet_onnx.FAULTS,
    *c3ae_onnx.FAULTS,
    *mobileagenet_onnx.FAULTS,
    *tflite.FAULTS,
    *coreml.FAULTS,
    *epsilons.FAULTS,
)
