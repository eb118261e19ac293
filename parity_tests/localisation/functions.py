"""Functions of one number that an activation may have been replaced by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from parity_tests.localisation.recompute import Values

# SELU's constants (Klambauer et al., 2017).
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _sigmoid(x: Values) -> Values:
    return 1 / (1 + np.exp(-x))


def _erf(x: Values) -> Values:
    import torch

    made: Values = torch.erf(torch.from_numpy(np.ascontiguousarray(x))).numpy()
    return made


def _leaky(slope: float) -> Callable[[Values], Values]:
    return lambda x: np.where(x > 0, x, slope * x)


def _elu(x: Values) -> Values:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: Values) -> Values:
    return _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))


FUNCTIONS: Mapping[str, Callable[[Values], Values]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "swish": lambda x: x * _sigmoid(x),
    "hardsigmoid with slope 0.2": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu with slope 0.01": _leaky(0.01),
    "relu with slope 0.1": _leaky(0.1),
    "relu with slope 0.2": _leaky(0.2),
    "relu with slope 0.3": _leaky(0.3),
    "elu": _elu,
    "selu": _selu,
    "softplus": lambda x: np.logaddexp(0, x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "gelu": lambda x: x / 2 * (1 + _erf(x / np.sqrt(2))),
    "gelu by tanh": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "gelu by sigmoid": lambda x: x * _sigmoid(1.702 * x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "clip to -1..1": lambda x: np.clip(x, -1, 1),
    "clip to 0..1": lambda x: np.clip(x, 0, 1),
    "abs": np.abs,
    "exp": np.exp,
}
