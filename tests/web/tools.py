"""What the tests of web pages need: npm packages in agecompact's cache, and an installed Chromium.

`package.json` lists the packages. To make the lock file again, in this folder: `npm install
--package-lock-only --omit-lockfile-registry-resolved`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from agecompact.errors import AgecompactError, BackendMissingError
from agecompact.files import atomic_path, user_cache

# In the user's cache; `tests/conftest.py` links it into that of the tests.
CACHE = "web-tools"
_CHROMIUM = "AGECOMPACT_CHROMIUM"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FILES = ("package.json", "package-lock.json")
_TIMEOUT_S = 300


def packages(cache: Path | None = None) -> Path:
    """The folder with the packages, `node_modules`; fetched if it does not exist.

    Args:
        cache: agecompact's cache folder; by default the user's.

    Raises:
        BackendMissingError: There is no npm, or the packages are unavailable.
    """
    sources = [Path(__file__).with_name(name) for name in _FILES]
    key = hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()[:16]
    folder = (cache or user_cache()) / CACHE / key
    if not folder.exists():
        with atomic_path(folder) as partial:
            partial.mkdir(parents=True)
            for source in sources:
                shutil.copy(source, partial)
            _install(partial)
    return folder / "node_modules"


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
            "npm is not installed", why="web tests use packages of npm", fix="install Node.js"
        )
    # Packages run nothing of their own here.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise BackendMissingError(
            "npm cannot fetch the packages of the web tests",
            why=done.stderr.strip() or done.stdout.strip(),
            fix="check that npm reaches its registry: npm view axe-core version",
        )


if __name__ == "__main__":
    try:
        print(packages(), chromium(), sep="\n")
    except AgecompactError as missing:
        print(f"error: {missing}", file=sys.stderr)
        sys.exit(int(missing.exit_code))
