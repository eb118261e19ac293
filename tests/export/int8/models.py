"""Runs TFLite files of tests in LiteRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.manifest import Build
from agecompact.contract import Contract, Image
from export.int8.calibrate import calibrate
from export.int8.writer import to_int8
from parity_tests.inputs import Sample, fixed

Arrays = Mapping[str, npt.NDArray[Any]]


def faces_of(contract: Contract, count: int) -> dict[str, npt.NDArray[Any]]:
    """A batch of distinct pictures, float32 NCHW: views of a face, darker and lighter."""
    views = [sample for sample in fixed(contract) if sample.kind == "face"]
    made = [_lit(views[i % len(views)], 0.4 + 0.9 * i / count) for i in range(count)]
    return batch(contract, made)


def batch(contract: Contract, samples: Sequence[Sample]) -> dict[str, npt.NDArray[Any]]:
    """Float32 NCHW batches by input name."""
    return {
        name: np.ascontiguousarray(contract.stack([sample.crops[name] for sample in samples]))
        for name in contract.input_names
    }


def batch_of_chips(contract: Contract, chips: Sequence[Image]) -> dict[str, npt.NDArray[Any]]:
    """Float32 NCHW batches by input name."""
    return {name: np.ascontiguousarray(each) for name, each in contract.batch(chips).items()}


def _lit(sample: Sample, factor: float) -> Sample:
    lit = {n: np.clip(i * factor, 0, 255).astype(np.uint8) for n, i in sample.crops.items()}
    return Sample(sample.name, lit, sample.kind)


def answers(content: bytes, faces: Arrays) -> npt.NDArray[np.float64]:
    """The first output for each face, in LiteRT, with NHWC inputs by name."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner()
    found = []
    for i in range(len(next(iter(faces.values())))):
        call = {
            n: np.ascontiguousarray(v[i : i + 1].transpose(0, 2, 3, 1)) for n, v in faces.items()
        }
        found.append(float(np.ravel(next(iter(runner(**call).values())))[0]))
    return np.array(found)


def int8_of(content: bytes, faces: Arrays) -> bytes:
    """A float file in int8."""
    return to_int8(content, calibrate(content, faces))


def float_file(build: Build) -> bytes:
    """The float32 TFLite file of a build."""
    return (build.folder / f"{build.manifest.model}_float32.tflite").read_bytes()
