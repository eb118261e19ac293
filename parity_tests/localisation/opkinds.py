"""The kinds of ops, so that `CONV_2D` in one runtime and `conv2d` in another are the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

AFFINE = "affine"
NORM = "norm"
POOL = "pool"
REDUCE = "reduce"
CONCAT = "concat"
VIEW = "view"
STORE = "store"
SOFTMAX = "softmax"
INPUT = "input"
OTHER = "other"

# The ops of each kind, in lower case, without underscores, digits and fused activations.
_NAMES: Mapping[str, str] = {
    AFFINE: "conv convd depthwiseconvd transposeconv fusedconv linear gemm matmul addmm "
    "fullyconnected",
    NORM: "batchnorm batchnormalization",
    POOL: "avgpoold averagepool averagepoold avgpool maxpool maxpoold lpool",
    REDUCE: "mean reducemean sum reducesum reducemax reducemin reduceprod reducel "
    "globalaveragepool globalmaxpool adaptiveavgpoold",
    CONCAT: "cat concat concatenation stack pack",
    VIEW: "reshape view flatten permute transpose squeeze unsqueeze expanddims identity dropout "
    "slice stridedslice slicebyindex slicebysize split unbind getitem gather clone contiguous",
    # Ops that only change how values are stored; PyTorch's network has none.
    STORE: "quantize quantizelinear dequantize dequantizelinear fakequant cast",
    SOFTMAX: "softmax",
    INPUT: "input",
    "relu": "relu",
    "relu6": "clip clamp clampmin clampmax",
    "hardswish": "hardswish",
    "hardsigmoid": "hardsigmoid sigmoidhard",
    "sigmoid": "sigmoid logistic",
    "tanh": "tanh",
    "pad": "pad padv mirrorpad",
    "add": "add radd iadd",
    "sub": "sub rsub",
    "mul": "mul rmul imul",
    "div": "div truediv realdiv",
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_RELU6 = {"relu6", "relun1to1", "relu0to1"}

ACTIVATIONS = frozenset(("relu", "relu6", "hardswish", "hardsigmoid", "sigmoid", "tanh"))
ARITHMETIC = frozenset(("add", "sub", "mul", "div"))


def kind_of(op: str) -> str:
    """The kind of an op: `affine`, `relu`, `view` and so on; `other` if it is unknown.

    Args:
        op: A runtime's name for it. The last part of `CONV_2D+RELU` counts; brackets, as in
            `CONV_2D[int8]`, are ignored.
    """
    name = re.sub(r"\[.*\]", "", op).split("+")[-1].lower().replace("_", "").replace(".", "")
    if name in _RELU6:
        return "relu6"
    return _KINDS.get(re.sub(r"\d", "", name), OTHER)


def alike(one: str, other: str) -> bool:
    """Whether ops of two kinds may correspond: a convolution may include a batch norm, say."""
    affine = {AFFINE, NORM}
    clipping = {"relu", "relu6"}
    pooling = {POOL, REDUCE}
    return one == other or any({one, other} <= group for group in (affine, clipping, pooling))
