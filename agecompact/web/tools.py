"""Packages of npm in agecompact's cache, and an installed Chromium.

`package.json` lists the packages. To make the lock file again, in this folder: `npm install
--package-lock-only --omit-lockfile-registry-resolved`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from agecompact import children
from agecompact.errors import BackendMissingError
from agecompact.files import atomic_path, user_cache

CACHE = "web-tools"
_CHROMIUM = "AGECOMPACT_CHROMIUM"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FILES = ("package.json", "package-lock.json")
_TIMEOUT_S = 300


def packages(lists: Path = Path(__file__).parent) -> Path:
    """The folder with the packages, `node_modules`; fetched if it does not exist.

    Args:
        lists: Folder with `package.json` and its lock file; by default those of the runtimes.

    Raises:
        BackendMissingError: There is no npm, or the packages are unavailable.
    """
    sources = [lists / name for name in _FILES]
    key = hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()[:16]
    folder = user_cache() / CACHE / key
    if not folder.exists():
        with atomic_path(folder) as partial:
            partial.mkdir(parents=True)
            for source in sources:
                shutil.copy(source, partial)
            _install(partial)
    return folder / "node_modules"


def version_of(manifest: Path) -> str:
    """The version of a package, from its `package.json`."""
    return str(json.loads(manifest.read_text())["version"])


def chromium() -> Path:
    """The browser: the one that `AGECOMPACT_CHROMIUM` names, or else an installed one.

    Raises:
        BackendMissingError: There is none.
    """
    named = os.environ.get(_CHROMIUM)
    found = next(filter(None, map(shutil.which, (named,) if named else _BROWSERS)), None)
    if found is None:
        raise BackendMissingError(
            "no Chromium is installed",
            why=f"{named} is no program" if named else f"none of {', '.join(_BROWSERS)} is on PATH",
            fix=f"apt-get install chromium, or name one with {_CHROMIUM}",
        )
    return Path(found)


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise BackendMissingError(
            "npm is not installed",
            why="the runtimes in browsers are packages of npm",
            fix="install Node.js",
        )
    # Packages run nothing of their own here.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = children.run(command, timeout_s=_TIMEOUT_S, cwd=folder)
    if done.returncode:
        raise BackendMissingError(
            "npm cannot fetch the packages for browsers",
            why=done.stderr.strip() or done.stdout.strip(),
            fix="check that npm reaches its registry: npm view onnxruntime-web version",
        )
