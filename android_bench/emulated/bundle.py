"""Makes the bundle that runs LiteRT on an emulated ARM processor: `make arm-bundle`.

Nothing of it needs root. It is fetched from Debian's and Python's registries, pinned by hash, into
the user's cache; what was made once is used again until a pin or a C source changes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from agecompact.errors import AgecompactError, BackendMissingError, OutputError
from agecompact.files import atomic_path
from android_bench.emulated import building, cpus, emulator, stored
from android_bench.emulated.stored import Bundle

_PROOF_CPU = "cortex-a76"


def ensure(cache: Path | None = None, say: Callable[[str], None] = lambda _: None) -> Bundle:
    """The bundle, made if it is not there.

    Args:
        cache: agecompact's cache folder; by default the user's.
        say: Told of each step of making it.

    Raises:
        BackendMissingError: It cannot be made on this machine, or the one that is there is damaged.
        OutputError: The cache cannot be written.
    """
    folder = stored.place(cache)
    if not folder.exists():
        _make(folder, say)
    return stored.load(cache)


def _make(folder: Path, say: Callable[[str], None]) -> None:
    if not sys.platform.startswith("linux"):
        raise BackendMissingError(
            "no emulated ARM processor on this system", why="qemu's user mode needs Linux"
        )
    try:
        with (
            atomic_path(folder) as partial,
            tempfile.TemporaryDirectory(prefix="agecompact-") as scratch,
        ):
            building.build(partial, Path(scratch), say)
            say("proving that it runs")
            emulator.prove(stored.opened(partial), cpus.named(_PROOF_CPU))
    except OutputError as error:
        cure = error.fix.replace("with --out", "with XDG_CACHE_HOME")
        raise OutputError(error.what, why=error.why, fix=cure) from error


def main() -> int:
    """Makes the bundle and says where it is.

    Returns:
        The exit code.
    """
    try:
        bundle = ensure(say=lambda line: print(line, file=sys.stderr))
        print(f"{bundle.folder}: LiteRT {bundle.index.litert}, qemu {emulator.version(bundle)}")
    except AgecompactError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
