"""Answers for face files: decoding and the contract run ahead of the model, in threads.

Images are decoded, resized and scaled in C, which holds no lock of Python's, so that a model is
kept waiting only where it is faster than all cores decode. A few batches are in memory at a time.
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
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract, Image, Tensor
from agecompact.data import cache as chip_cache
from agecompact.data.cache import read_face
from agecompact.data.face import Face
from agecompact.errors import AgecompactError, BackendMissingError, UsageError
from agecompact.runtimes.messages import Opened
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess, Staged

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor
    from torch import nn

# Images that travel and, where the model takes as many, run together. Artefacts with an open batch
# axis are exported for up to this many.
BATCH = 64
_MOST_WORKERS = 8

Answers = npt.NDArray[np.floating]
# A face's chip, uint8 HWC BGR, or None if its file holds none. Called in threads.
Source = Callable[[Face], Image | None]
_Staged = TypeVar("_Staged")
_Done = TypeVar("_Done")


def decode_face(face: Face) -> Image | None:
    """The chip of a face, from its file: the default source."""
    return read_face(face)[1]


@dataclass(frozen=True)
class BatchAnswers:
    """A batch's answers `(N,)`, and the seconds that the model itself took."""

    answers: Answers
    seconds: float


class Model(Protocol[_Staged]):
    """A model in two steps, the first of which can be taken while another batch runs."""

    def stage(self, inputs: Mapping[str, Tensor]) -> _Staged:
        """Puts a batch where the model takes it from.

        Args:
            inputs: By input name, `(N, ...)` in the contract's layout. Called in any thread.
        """

    def run(self, staged: _Staged) -> BatchAnswers:
        """Runs a staged batch."""


@dataclass(frozen=True)
class Predictions:
    """Answers for faces.

    Attributes:
        faces: The faces that were answered, in the order asked.
        answers: `(N,)`, in the contract's unit.
        unreadable: How many files hold no chip and are missing here.
        model_seconds: Time in the model itself.
        wall_seconds: Time of the whole: reading, decoding, the contract and the model.
    """

    faces: tuple[Face, ...]
    answers: Answers
    unreadable: int
    model_seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class _Batch(Generic[_Staged]):
    faces: tuple[Face, ...]
    unreadable: int
    staged: _Staged | None


def predict(
    model: Model[_Staged], contract: Contract, faces: Sequence[Face], source: Source = decode_face
) -> Predictions:
    """Asks a model for every face.

    Args:
        model: The model.
        contract: How chips become its inputs, in the layout and dtype that it takes.
        faces: What to ask.
        source: Gives chips.

    Raises:
        UsageError: The model does not give one answer a face.
    """
    started = time.perf_counter()
    asked: list[Face] = []
    answers: list[Answers] = []
    unreadable = 0
    model_seconds = 0.0

    def prepared(chunk: Sequence[Face]) -> _Batch[_Staged]:
        chips = [(face, source(face)) for face in chunk]
        readable = tuple(face for face, chip in chips if chip is not None)
        unreadable = len(chunk) - len(readable)
        if not readable:
            return _Batch((), unreadable, None)
        inputs = contract.batch([chip for _, chip in chips if chip is not None])
        return _Batch(readable, unreadable, model.stage(inputs))

    chunks = (faces[start : start + BATCH] for start in range(0, len(faces), BATCH))
    # Closed before the caller's own clean-up, so that no thread stages a batch after it.
    with closing(_ahead(prepared, chunks)) as ready:
        for batch in ready:
            unreadable += batch.unreadable
            if batch.staged is None:
                continue
            ran = model.run(batch.staged)
            if ran.answers.shape != (len(batch.faces),):
                raise UsageError(
                    f"the model gives {ran.answers.size} answers for {len(batch.faces)} faces"
                )
            asked += batch.faces
            answers.append(ran.answers)
            model_seconds += ran.seconds
    return Predictions(
        faces=tuple(asked),
        answers=np.concatenate([*answers, np.empty(0)]),
        unreadable=unreadable,
        model_seconds=model_seconds,
        wall_seconds=time.perf_counter() - started,
    )


def _ahead(
    prepared: Callable[[Sequence[Face]], _Done], chunks: Iterable[Sequence[Face]]
) -> Generator[_Done]:
    """Batches in order, each worker at most one ahead of what is asked for."""
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    pending: deque[Future[_Done]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for chunk in chunks:
                pending.append(pool.submit(prepared, chunk))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def cached(faces: Sequence[Face], folder: Path) -> Source:
    """Chips of these faces out of a cache, which first gets those that it lacks.

    Raises:
        OutputError: The cache cannot be written, or the disk is full.
    """
    chips = dict(zip(faces, chip_cache.chips(faces, folder), strict=True))
    return chips.__getitem__


class NetworkModel:
    """A network, which this puts in evaluation mode, where its parameters lie.

    Args:
        network: The network.
        contract: Its contract, NCHW.
    """

    def __init__(self, network: nn.Module, contract: Contract) -> None:
        import torch

        self._network = network.eval()
        self._contract = contract
        self._device = next((p.device for p in network.parameters()), torch.device("cpu"))

    def stage(self, inputs: Mapping[str, Tensor]) -> list[TorchTensor]:
        """The batch on the network's device, in channels-last memory, which a CPU likes best."""
        import torch

        return [
            torch.from_numpy(inputs[name]).to(self._device, memory_format=torch.channels_last)
            for name in self._contract.input_names
        ]

    def run(self, staged: list[TorchTensor]) -> BatchAnswers:
        """The network's answers."""
        import torch

        started = time.perf_counter()
        with torch.inference_mode():
            # The copy waits for a device that works on its own.
            answers: Answers = self._network(*staged).float().cpu().numpy()
        return BatchAnswers(_flat(answers), time.perf_counter() - started)


class ArtifactModel:
    """An artefact that a process has opened: many images a message, as many a call as it takes."""

    def __init__(self, process: RuntimeProcess, opened: Opened, contract: Contract) -> None:
        self._process = process
        self._batch = opened.fixed_batch
        self._output = contract.output.name

    def stage(self, inputs: Mapping[str, Tensor]) -> Staged:
        """The batch in files."""
        return self._process.stage(
            {
                name: tensor.reshape(-1, self._batch or len(tensor), *tensor.shape[1:])
                for name, tensor in inputs.items()
            }
        )

    def run(self, staged: Staged) -> BatchAnswers:
        """The artefact's answers.

        Raises:
            RuntimeFailure: The runtime failed, died or took too long.
            UsageError: The artefact's output is not named as its contract says.
        """
        result = self._process.run(staged)
        if self._output not in result.outputs:
            raise UsageError(
                f"the artefact has no output '{self._output}'",
                why=f"its contract says so; the file gives {', '.join(sorted(result.outputs))}",
                fix="export it again",
            )
        return BatchAnswers(
            _flat(np.asarray(result.outputs[self._output], np.float64)), result.model_ms / 1e3
        )


@contextmanager
def open_artifact(
    path: Path, contract: Contract, threads: int
) -> Iterator[tuple[ArtifactModel, Opened]]:
    """Runs an artefact in a process of its own, which ends with the block.

    Raises:
        BackendMissingError: Its runtime is not installed, or not of this platform.
        UsageError: The runtime refuses the file, fails on it, dies of it or does not answer.
    """
    try:
        with RuntimeProcess(path, threads=threads) as process:
            opened = process.open()
            yield ArtifactModel(process, opened, contract), opened
    except RuntimeFailure as failure:
        raise _error(path, failure) from None


def _error(path: Path, failure: RuntimeFailure) -> AgecompactError:
    if failure.kind == "missing":
        return BackendMissingError(f"cannot run {path}", why=failure.reason, fix=failure.fix)
    return UsageError(
        f"cannot run {path}",
        why=f"{failure.kind}: {failure.reason}",
        fix=failure.fix or "export it again, and hold it to PyTorch with: agecompact parity",
    )


def _flat(answers: Answers) -> Answers:
    return answers.astype(np.float64).reshape(-1)
