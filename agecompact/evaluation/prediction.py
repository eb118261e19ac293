"""Predictions for face files: images are decoded and preprocessed in threads, ahead of the model.

OpenCV and NumPy release Python's lock, so the model waits only if it is faster than all cores can
decode. A few batches are in memory at a time.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract, Image, Output, Tensor
from agecompact.data import cache as chip_cache
from agecompact.data.face import Face
from agecompact.errors import UsageError
from agecompact.faces.files import read_chip
from agecompact.formats import Runtime
from agecompact.runtimes.messages import Opened
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess, Staged

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor
    from torch import nn

# Images per batch. Artefacts with an open batch axis are exported for up to this many.
BATCH = 64
_MOST_WORKERS = 8

Values = npt.NDArray[np.floating]
# A face's chip, uint8 HWC BGR, or None if its file has none. Called in threads.
Source = Callable[[Face], Image | None]
_Item = TypeVar("_Item")
_Staged = TypeVar("_Staged")
_Done = TypeVar("_Done")


def decode_face(face: Face) -> Image | None:
    """The chip of a face, decoded from its file: the default source."""
    return read_chip(face.path, face.framing).chip


@dataclass(frozen=True)
class BatchPredictions:
    """What a model wrote for a batch.

    Attributes:
        values: By output name, `(N, ...)`.
        seconds: The time that the model itself took.
    """

    values: Mapping[str, Values]
    seconds: float


class Model(Protocol[_Staged]):
    """A model in two steps; one batch can be staged while another runs."""

    def stage(self, inputs: Mapping[str, Tensor]) -> _Staged:
        """Moves a batch to where the model reads it. Called in any thread.

        Args:
            inputs: By input name, `(N, ...)` in the contract's layout.
        """

    def run(self, staged: _Staged) -> BatchPredictions:
        """Runs a staged batch."""


@dataclass(frozen=True)
class Predictions:
    """Predictions for faces.

    Attributes:
        faces: The faces with a prediction, in the order given.
        answers: By output name, `(N, answers of the output)`, in its unit.
        unreadable: Number of files without a chip, which are left out.
        model_seconds: Time in the model itself.
        wall_seconds: Total time: reading, decoding, preprocessing and the model.
    """

    faces: tuple[Face, ...]
    answers: Mapping[str, Values]
    unreadable: int
    model_seconds: float
    wall_seconds: float


def predict(
    model: Model[_Staged], contract: Contract, faces: Sequence[Face], source: Source = decode_face
) -> Predictions:
    """Runs a model on every face.

    Args:
        model: The model.
        contract: How chips become its inputs, in the layout and dtype it takes.
        faces: The faces.
        source: Where chips come from.

    Raises:
        UsageError: The model has no output of a name in the contract, or of another size.
    """
    started = time.perf_counter()
    predicted: list[Face] = []
    answers: dict[str, list[Values]] = {output.name: [] for output in contract.outputs}
    model_seconds = 0.0

    def prepared(chunk: Sequence[Face]) -> tuple[list[Face], _Staged] | None:
        chips = [(face, source(face)) for face in chunk]
        readable = [face for face, chip in chips if chip is not None]
        if not readable:
            return None
        inputs = contract.batch([chip for _, chip in chips if chip is not None])
        return readable, model.stage(inputs)

    chunks = (faces[start : start + BATCH] for start in range(0, len(faces), BATCH))
    # Closed before the caller cleans up, so that no thread stages a batch afterwards.
    with closing(ahead(prepared, chunks)) as ready:
        for readable, staged in filter(None, ready):
            result = model.run(staged)
            for output in contract.outputs:
                values = output_of(result.values, output, len(readable))
                answers[output.name].append(output.answers(values))
            predicted += readable
            model_seconds += result.seconds
    return Predictions(
        faces=tuple(predicted),
        answers={
            output.name: np.concatenate([*answers[output.name], np.empty((0, output.answer_size))])
            for output in contract.outputs
        },
        unreadable=len(faces) - len(predicted),
        model_seconds=model_seconds,
        wall_seconds=time.perf_counter() - started,
    )


def output_of(found: Mapping[str, npt.ArrayLike], output: Output, images: int) -> Values:
    """One output of a batch, `(images, size)`, as its contract says.

    Args:
        found: What a model wrote, by output name.
        output: The output.
        images: Number of images in the batch.

    Raises:
        UsageError: It is missing, or has another size.
    """
    if output.name not in found:
        raise UsageError(
            f"the model has no output '{output.name}'",
            why=f"its contract names it; the model has {', '.join(sorted(found))}",
            fix="export it again",
        )
    values = np.asarray(found[output.name], np.float64)
    if values.size != images * output.size:
        raise UsageError(
            f"the model outputs {values.size} values as '{output.name}' for {images} images",
            why=f"its contract has {output.size} for each",
            fix="correct the contract, and export it again",
        )
    return values.reshape(images, output.size)


def ahead(prepared: Callable[[_Item], _Done], items: Iterable[_Item]) -> Generator[_Done]:
    """What is prepared of items, in order, at most one per worker ahead of the consumer."""
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    pending: deque[Future[_Done]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for item in items:
                pending.append(pool.submit(prepared, item))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def cached(faces: Sequence[Face], folder: Path) -> Source:
    """A source that reads the chips of these faces from a cache, after adding the missing ones.

    Raises:
        OutputError: The cache cannot be written, or the disk is full.
    """
    chips = dict(zip(faces, chip_cache.chips(faces, folder), strict=True))
    return chips.__getitem__


class NetworkModel:
    """A PyTorch network on the device of its parameters.

    Args:
        network: The network; it is put in evaluation mode.
        contract: Its contract, NCHW.
    """

    def __init__(self, network: nn.Module, contract: Contract) -> None:
        import torch

        self._network = network.eval()
        self._contract = contract
        self._device = next((p.device for p in network.parameters()), torch.device("cpu"))

    def stage(self, inputs: Mapping[str, Tensor]) -> list[TorchTensor]:
        """Moves a batch to the network's device, channels last, which is fastest on a CPU."""
        import torch

        return [
            torch.from_numpy(inputs[name]).to(self._device, memory_format=torch.channels_last)
            for name in self._contract.input_names
        ]

    def run(self, staged: list[TorchTensor]) -> BatchPredictions:
        """Runs the network."""
        import torch

        from agecompact.models.returned import by_name

        started = time.perf_counter()
        with torch.inference_mode():
            outputs = by_name(self._network(*staged), self._contract)
            # The copy waits for an asynchronous device.
            values = {name: output.float().cpu().numpy() for name, output in outputs.items()}
        return BatchPredictions(values, time.perf_counter() - started)


class ArtifactModel:
    """An artefact opened in its own process. A batch is one message, in calls of the file's size.

    Args:
        process: The process.
        opened: The artefact, as the process opened it.
    """

    def __init__(self, process: RuntimeProcess, opened: Opened) -> None:
        self._process = process
        self._batch = opened.interface.fixed_batch

    def stage(self, inputs: Mapping[str, Tensor]) -> Staged:
        """Writes a batch to files for the process.

        Raises:
            UsageError: The artefact takes batches of a size that does not divide this one.
        """
        faces = len(next(iter(inputs.values())))
        batch = self._batch or faces
        if faces % batch:
            raise UsageError(
                f"the artefact takes {batch} faces at a time",
                why=f"{faces} faces cannot be divided into such batches",
                fix="export it with a batch of 1, or with --dynamic-batch",
            )
        return self._process.stage(
            {name: tensor.reshape(-1, batch, *tensor.shape[1:]) for name, tensor in inputs.items()}
        )

    def run(self, staged: Staged) -> BatchPredictions:
        """Runs the artefact.

        Raises:
            RuntimeFailure: The runtime failed, crashed or timed out.
        """
        result = self._process.run(staged)
        values = {n: np.asarray(v, np.float64) for n, v in result.outputs.items()}
        return BatchPredictions(values, result.model_ms / 1e3)


@contextmanager
def open_artifact(
    path: Path, threads: int, runtime: Runtime | None = None
) -> Iterator[tuple[ArtifactModel, Opened]]:
    """Opens an artefact in its own process, which ends with the block.

    Args:
        path: Its file.
        threads: Threads for its runtime.
        runtime: What opens it; by default the first runtime of its format.

    Raises:
        BackendMissingError: Its runtime is not installed, or does not exist on this platform.
        UsageError: The runtime rejects the file, fails on it, crashes or times out.
    """
    try:
        with RuntimeProcess(path, runtime, threads=threads) as process:
            opened = process.open()
            yield ArtifactModel(process, opened), opened
    except RuntimeFailure as failure:
        raise failure.as_error(path) from None
