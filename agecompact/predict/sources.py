"""The pictures that a user names: files, folders, patterns, videos, a camera, standard input."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agecompact.contract import Image
from agecompact.errors import AgecompactError, UsageError
from agecompact.faces.files import image_in, images_in, read_image

STDIN: Literal["-"] = "-"
_VIDEOS = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp"})
# What a camera without a frame rate is taken for.
_USUAL_FPS = 30.0
# Pictures decoded ahead of the detector; each may have 200 MB.
_AHEAD = 2


@dataclass(frozen=True)
class Picture:
    """A picture to look at.

    Attributes:
        name: What it is called in results: the path as the user gave it.
        pixels: uint8 HWC BGR; the error, if it cannot be read.
        time_s: When it is shown in a video; None for a photo.
    """

    name: str
    pixels: Image | AgecompactError
    time_s: float | None = None


@dataclass(frozen=True)
class Unreadable:
    """What a user names that is no file.

    Attributes:
        name: As the user gave it.
        error: Why it names none.
    """

    name: str
    error: AgecompactError


# What a user names: a file, standard input, or no file.
Named = Path | Literal["-"] | Unreadable


@dataclass(frozen=True)
class Sampling:
    """Which frames of a video to look at.

    Attributes:
        every_s: One in this many seconds of the video; 0 for every frame.
        most: Most frames of each video; None for all.
    """

    every_s: float = 1.0
    most: int | None = None


def files(named: Iterable[str]) -> tuple[Named, ...]:
    """The files that a user names.

    Args:
        named: Files, folders (with the folders inside), patterns such as `photos/*.jpg`, videos,
            and `-` for an image on standard input.
    """
    return tuple(each for text in named for each in _files(text))


def pictures(
    named: Iterable[Named], sampling: Sampling, cameras: Iterable[int] = ()
) -> Iterator[Picture]:
    """The pictures in files, in order, some decoded ahead.

    Args:
        named: What `files` found.
        sampling: Which frames of videos and cameras to look at.
        cameras: Numbers of cameras; their frames come last, until the camera or the user ends.
    """
    yield from _ahead(_sources(named, sampling))
    for number in cameras:
        yield from _frames(number, f"camera {number}", sampling)


def count(named: Iterable[Named]) -> int | None:
    """How many pictures there are in files; None if that is not known in advance, as for videos."""
    found = tuple(named)
    if any(isinstance(each, Path) and _is_video(each) for each in found):
        return None
    return len(found)


def _sources(
    named: Iterable[Named], sampling: Sampling
) -> Iterator[Callable[[], Picture] | Iterator[Picture]]:
    """What makes each picture, or the pictures of each video."""
    for each in named:
        if isinstance(each, Unreadable):
            yield _given(Picture(each.name, each.error))
        elif each == STDIN:
            yield _standard_input
        elif _is_video(each):
            yield _frames(each, str(each), sampling)
        else:
            yield _photo(each)


def _files(text: str) -> list[Named]:
    path = Path(text)
    if text == STDIN:
        return [STDIN]
    if path.is_dir():
        try:
            return list(images_in(path, "IMAGE"))
        except UsageError as error:
            return [Unreadable(text, error)]
    if has_magic(text) and not path.is_file():
        # `Path.glob` refuses absolute patterns.
        matches = sorted(map(Path, glob(text, recursive=True)))  # noqa: PTH207
        missing = UsageError(f"no file matches {text}", fix="check the pattern")
        return [match for match in matches if match.is_file()] or [Unreadable(text, missing)]
    return [path]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in _VIDEOS


def _photo(path: Path) -> Callable[[], Picture]:
    return lambda: Picture(str(path), _tried(lambda: read_image(path)))


def _given(picture: Picture) -> Callable[[], Picture]:
    return lambda: picture


def _standard_input() -> Picture:
    return Picture(STDIN, _tried(lambda: image_in(sys.stdin.buffer.read(), "standard input")))


def _tried(read: Callable[[], Image]) -> Image | AgecompactError:
    try:
        return read()
    except AgecompactError as error:
        return error


def _frames(source: Path | int, name: str, sampling: Sampling) -> Iterator[Picture]:
    """Frames of a video or a camera."""
    import cv2

    capture: Any = cv2.VideoCapture(source if isinstance(source, int) else str(source))
    try:
        if not capture.isOpened():
            yield Picture(name, _closed(source))
            return
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 0 < fps < 1000 else _USUAL_FPS
        step = max(1, round(sampling.every_s * fps))
        number = shown = 0
        while sampling.most is None or shown < sampling.most:
            if not capture.grab():
                break
            if number % step == 0:
                read, pixels = capture.retrieve()
                if read:
                    shown += 1
                    yield Picture(name, np.asarray(pixels, np.uint8), round(number / fps, 3))
            number += 1
        if not shown:
            yield Picture(name, _closed(source))
    finally:
        capture.release()


def _closed(source: Path | int) -> UsageError:
    if isinstance(source, int):
        return UsageError(
            f"there is no camera {source}",
            why="OpenCV cannot open it",
            fix="connect a camera, or allow this terminal to use it; the first is --source 0",
        )
    return UsageError(
        f"{source} is not a video",
        why="OpenCV finds no frame in it",
        fix=f"convert it: ffmpeg -i {source} video.mp4",
    )


def _ahead(sources: Iterator[Callable[[], Picture] | Iterator[Picture]]) -> Iterator[Picture]:
    """All pictures in order. Photos are decoded in a thread while earlier ones are looked at."""
    waiting: deque[Future[Picture] | Iterator[Picture]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for source in sources:
            waiting.append(pool.submit(source) if callable(source) else source)
            while len(waiting) > _AHEAD:
                yield from _made(waiting.popleft())
        while waiting:
            yield from _made(waiting.popleft())


def _made(source: Future[Picture] | Iterator[Picture]) -> Iterator[Picture]:
    if isinstance(source, Future):
        yield source.result()
    else:
        yield from source
