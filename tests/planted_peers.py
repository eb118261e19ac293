"""Makers of files for tests of `tests.bench_peers`, which runs them in a process each."""

from __future__ import annotations

import os
from dataclasses import replace

from tests.bench_peers.makers import Job
from tests.tiny_files import Head, Network, write_onnx

HEAD = Head()


def tiny(job: Job) -> None:
    """An ONNX file with the interface of the model, whose answers are known."""
    contract = job.contract
    network = Network(
        heads={contract.output_names[0]: HEAD},
        side=contract.height,
        input=contract.input_names[0],
    )
    write_onnx(job.out, network)


def not_a_number(job: Job) -> None:
    """An ONNX file that answers NaN."""
    contract = job.contract
    heads = {contract.output_names[0]: replace(HEAD, shift=float("nan"))}
    write_onnx(job.out, Network(heads=heads, side=contract.height, input=contract.input_names[0]))


def quantised(job: Job) -> None:
    """The same with an answer in steps of int8, as wide as it needs."""
    heads = {job.contract.output_names[0]: replace(HEAD, scale=(100.0, -128))}
    side, name = job.contract.height, job.contract.input_names[0]
    write_onnx(job.out, Network(heads=heads, side=side, input=name))


def abort(_: Job) -> None:
    """Ends its process as a failed check in native code does."""
    os.abort()


def nothing(_: Job) -> None:
    """Reports success and writes no file."""


def refuse(_: Job) -> None:
    """Fails with a reason."""
    raise ValueError("the graph has an unknown op")
