"""What model files state about themselves, read in a process of its own.

Parsers of foreign files may crash, hang or allocate without end, as runtimes may.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from agecompact.artifacts.metadata import ArtifactMetadata, MetadataError
from agecompact.errors import UsageError
from agecompact.formats import Runtime
from agecompact.runtimes.channel import Channel, RuntimeFailure
from agecompact.runtimes.messages import Opened
from agecompact.runtimes.registry import runtime_of

# The slowest parser takes seconds on the largest files, imports included.
_TIMEOUT_S = 60.0

_T = TypeVar("_T")


def opener(path: Path, runtime: Runtime | None = None) -> Runtime:
    """The runtime that opens a file: the given one, or the first one of the file's format.

    Raises:
        RuntimeFailure: The file is missing, or of an unknown format.
    """
    try:
        return runtime or runtime_of(path)
    except UsageError as error:
        raise RuntimeFailure("load", error.what, why=error.why, fix=error.fix) from None


def metadata_in(channel: Channel, path: Path, runtime: Runtime | None = None) -> ArtifactMetadata:
    """Reads the metadata inside a file in a running worker process.

    Args:
        channel: The process.
        path: The file.
        runtime: What reads it; by default the first runtime of its format.

    Raises:
        RuntimeFailure: Of the kind `metadata` if there is none, or if it cannot be read.
    """
    found = own_metadata_in(channel, path, runtime)
    if found is None:
        raise RuntimeFailure(
            "metadata",
            f"{path} has no agecompact metadata",
            why="it was not written by agecompact export, or its metadata was stripped",
            fix="export it again with `agecompact export`",
        )
    return found


def own_metadata_in(
    channel: Channel, path: Path, runtime: Runtime | None = None
) -> ArtifactMetadata | None:
    """Reads the metadata inside a file, as `metadata_in`; None if there is none.

    Raises:
        RuntimeFailure: Of the kind `metadata` if it cannot be read.
    """
    name = opener(path, runtime).name
    text = channel.request(str | None, "read_metadata", path=path, runtime=name)  # type: ignore[arg-type]
    if text is None:
        return None
    try:
        return ArtifactMetadata.from_json(text, where=str(path))
    except MetadataError as error:
        raise RuntimeFailure("metadata", error.what, why=error.why, fix=error.fix) from None


def opened_in(channel: Channel, path: Path) -> Opened:
    """Opens a file by its default runtime in a running worker process.

    Raises:
        RuntimeFailure: The runtime does not open it, or is not available on this machine.
    """
    runtime = opener(path).name
    return channel.request(Opened, "open", path=path, runtime=runtime, threads=1)


def description_in(channel: Channel, path: Path, runtime: Runtime | None = None) -> dict[str, Any]:
    """Reads a file's other content in a running worker process; see `base.Backend.describe`.

    Raises:
        RuntimeFailure: The file cannot be read.
    """
    name = opener(path, runtime).name
    return channel.request(dict[str, Any], "describe", path=path, runtime=name)


class Reader:
    """A context manager that reads any number of files in one worker process.

    A file that crashes or hangs the process costs only its own reading: the next file is read in a
    new process.
    """

    def __enter__(self) -> Reader:
        self._stack = ExitStack()
        self._channel: Channel | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def metadata(self, path: Path) -> ArtifactMetadata:
        """The metadata inside a file: all that is needed to run it without its network.

        Raises:
            UsageError: The file is missing, broken, or not of a known format.
            MetadataError: The file was not written by agecompact, or its metadata is broken.
            BackendMissingError: The extra of its format is not installed.
        """
        return self._read(metadata_in, path)

    def own_metadata(self, path: Path) -> ArtifactMetadata | None:
        """The metadata inside a file; None for a file that was not written by agecompact.

        Raises:
            UsageError: The file is missing, broken, or not of a known format.
            MetadataError: Its metadata is broken.
            BackendMissingError: The extra of its format is not installed.
        """
        return self._read(own_metadata_in, path)

    def open(self, path: Path) -> Opened:
        """Opens a file by its default runtime, to see whether that can.

        Raises:
            UsageError: The runtime does not open it.
            BackendMissingError: The runtime is not installed, or does not run on this platform.
        """
        return self._read(opened_in, path)

    def describe(self, path: Path) -> dict[str, Any]:
        """Other content of a file, as JSON values: ops, tensors, versions.

        Raises:
            UsageError: The file is missing, broken, or not of a known format.
            BackendMissingError: The extra of its format is not installed.
        """
        return self._read(description_in, path)

    def _read(self, read: Callable[[Channel, Path], _T], path: Path) -> _T:
        if self._channel is None:
            self._channel = self._stack.enter_context(Channel(timeout_s=_TIMEOUT_S))
        try:
            return read(self._channel, path)
        except RuntimeFailure as failure:
            if failure.kind in ("crash", "timeout"):
                self._stack.close()
                self._channel = None
            raise failure.as_error(path) from None


def read_metadata(path: Path) -> ArtifactMetadata:
    """Reads the metadata inside one file; see `Reader.metadata`."""
    with Reader() as reader:
        return reader.metadata(path)
