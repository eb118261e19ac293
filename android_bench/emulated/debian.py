"""Debian packages without root: downloaded by apt, which checks their signatures, and unpacked."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from agecompact.errors import BackendMissingError

_TIMEOUT_S = 600
# Of `apt-cache depends`: what a program needs to run, and nothing else.
_HARD_ONLY = (
    "--recurse",
    "--no-recommends",
    "--no-suggests",
    "--no-conflicts",
    "--no-breaks",
    "--no-replaces",
    "--no-enhances",
)


class Apt:
    """apt, first with the system's package lists, then with lists of its own.

    Args:
        folder: An empty folder for what is downloaded and for lists of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # As root, apt would drop to a user that cannot write here, and warn of it.
        self._options = ["-o", "APT::Sandbox::User=root"]

    def download(self, packages: Sequence[str]) -> tuple[Path, ...]:
        """Downloads packages.

        Args:
            packages: `name`, or `name=version`.

        Returns:
            A file for each, in the order asked for.

        Raises:
            BackendMissingError: No apt here, or no such package in its sources.
        """
        into = self._folder / "packages"
        into.mkdir(exist_ok=True)
        self._run(["apt-get", "download", *packages], into)
        return tuple(self._file_of(package, into) for package in packages)

    def needed(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Names of the packages and of all that they depend on, but for what is installed.

        Raises:
            BackendMissingError: No apt here, or no such package in its sources.
        """
        told = self._run(["apt-cache", "depends", *_HARD_ONLY, *packages], self._folder)
        # Dependencies are indented, and names in <brackets> are virtual.
        names = {line for line in told.splitlines() if line[:1].isalnum()}
        installed = self._run(
            ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n"], self._folder
        )
        here = {
            line.partition(" ")[2] for line in installed.splitlines() if line[:10] == "installed "
        }
        return tuple(sorted(names - here))

    def _run(self, command: list[str], folder: Path) -> str:
        options = self._options if command[0].startswith("apt-") else []
        try:
            return _run([command[0], *options, *command[1:]], folder)
        except BackendMissingError:
            if not options or "Dir::State" in " ".join(options):
                raise
        # A fresh container has no package lists, and the system's are not ours to write.
        self._make_own_lists()
        return _run([command[0], *self._options, *command[1:]], folder)

    def _make_own_lists(self) -> None:
        state, cache = self._folder / "state", self._folder / "cache"
        for folder in (state / "lists/partial", cache / "archives/partial"):
            folder.mkdir(parents=True)
        for option in (
            f"Dir::State={state}",
            "Dir::State::status=/var/lib/dpkg/status",
            f"Dir::Cache={cache}",
            f"Dir::Log={self._folder}",
        ):
            self._options += ["-o", option]
        _run(["apt-get", *self._options, "update"], self._folder)

    @staticmethod
    def _file_of(package: str, folder: Path) -> Path:
        found = sorted(folder.glob(f"{package.partition('=')[0]}_*.deb"))
        if not found:
            raise BackendMissingError(f"apt-get download {package} left no file")
        return found[0]


def unpack(package: Path, into: Path) -> None:
    """Unpacks a package's files, scripts not run.

    Raises:
        BackendMissingError: No dpkg here, or the file is no package.
    """
    _run(["dpkg", "-x", str(package), str(into)], into)


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except FileNotFoundError:
        raise BackendMissingError(
            f"no {command[0]} here",
            why="the ARM bundle is made of Debian's packages",
            fix="use Debian 12 or its container image, debian:12",
        ) from None
    except subprocess.TimeoutExpired:
        raise BackendMissingError(
            f"{' '.join(command[:2])} took more than {_TIMEOUT_S} s", fix="check the network"
        ) from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))]
        raise BackendMissingError(
            f"{command[0]} failed", why=" ".join(errors or [done.stderr.strip()[-500:]])
        )
    return done.stdout
