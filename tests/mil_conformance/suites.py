"""The tests of coremltools to run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

OPS = "converters/mil/mil/ops/tests"

# Without the suites of ops that have no kernel and no use in a face-age network: control flow,
# recurrent layers, random numbers and states.
SUITES: tuple[str, ...] = (
    "iOS14/test_activation.py",
    "iOS14/test_conv.py",
    "iOS14/test_elementwise_binary.py",
    "iOS14/test_elementwise_unary.py",
    "iOS14/test_image_resizing.py",
    "iOS14/test_linear.py",
    "iOS14/test_normalization.py",
    "iOS14/test_pool.py",
    "iOS14/test_reduction.py",
    "iOS14/test_scatter_gather.py",
    "iOS14/test_tensor_operation.py",
    "iOS14/test_tensor_transformation.py",
    "iOS15/test_elementwise_unary.py",
    "iOS15/test_image_resizing.py",
    "iOS15/test_tensor_transformation.py",
    "iOS16/test_constexpr_ops.py",
    "iOS16/test_conv.py",
    "iOS16/test_image_resizing.py",
    "iOS16/test_scatter_gather.py",
    "iOS16/test_tensor_operation.py",
    "iOS16/test_tensor_transformation.py",
    "iOS17/test_activation.py",
    "iOS17/test_conv.py",
    "iOS17/test_elementwise_unary.py",
    "iOS17/test_image_resizing.py",
    "iOS17/test_linear.py",
    "iOS17/test_normalization.py",
    "iOS17/test_quantization.py",
    "iOS17/test_reduction.py",
    "iOS17/test_scatter_gather.py",
    "iOS17/test_tensor_operation.py",
    "iOS17/test_tensor_transformation.py",
    "iOS18/test_compression.py",
    "iOS18/test_tensor_transformation.py",
    "iOS18/test_transformers.py",
)

# It times coremltools itself, and fails on a busy machine.
EXCLUDED = ("test_efficient_type_inference",)


def folder() -> Path:
    """The folder of coremltools' tests of ops; does not import coremltools.

    Raises:
        ModuleNotFoundError: coremltools is not installed.
    """
    spec = find_spec("coremltools")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("coremltools")
    return Path(spec.submodule_search_locations[0]) / OPS
