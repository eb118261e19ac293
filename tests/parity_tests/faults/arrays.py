"""Edits of weights and biases."""

from __future__ import annotations

import numpy as np

from tests.parity_tests.editing import ArrayEdit


def scaled(by: float) -> ArrayEdit:
    return lambda values: values * np.float32(by)


def row_scaled(row: int, by: float) -> ArrayEdit:
    def change(values: np.ndarray) -> None:
        values[row] *= np.float32(by)

    return change


def corner_scaled(by: float) -> ArrayEdit:
    """Of a kernel in NHWC, what it multiplies the first pixel by."""

    def change(values: np.ndarray) -> None:
        values[:, 0, 0] *= np.float32(by)

    return change


def rolled(values: np.ndarray) -> np.ndarray:
    return np.roll(values, 1, 0)


def zeroed(values: np.ndarray) -> None:
    values.fill(0)


def row_zeroed(values: np.ndarray) -> None:
    values[3] = 0


def in_bits(bits: int) -> ArrayEdit:
    """As stored in few bits, with one scale for all channels."""

    def change(values: np.ndarray) -> np.ndarray:
        step = np.abs(values).max() / (2 ** (bits - 1) - 1)
        return (np.round(values / step) * step).astype(values.dtype)

    return change


def transposed(*axes: int) -> ArrayEdit:
    return lambda values: np.ascontiguousarray(values.transpose(axes))


def flipped(*axes: int) -> ArrayEdit:
    return lambda values: np.flip(values, axes).copy()


def added(value: float) -> ArrayEdit:
    return lambda values: values + np.float32(value)
