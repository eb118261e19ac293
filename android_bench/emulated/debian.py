"""Debian packages without root: apt downloads them and checks their signatures, dpkg unpacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agecompact import children
from agecompact.errors import BackendMissingError

_TIMEOUT_S = 600
# Options of `apt-cache depends`: only what a program needs to run.
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
    """apt with the system's package lists, or with its own where the system has none.

    Args:
        folder: An empty folder for its own lists.
        architecture: Debian's name of another architecture, of which packages are fetched as on a
            machine without any; None for this machine.
    """

    def __init__(self, folder: Path, architecture: str | None = None) -> None:
        self._folder = folder
        self._architecture = architecture
        # As root, apt would switch to a user that cannot write here, and warn about it.
        self._options = ["-o", "APT::Sandbox::User=root"]
        self._has_own_lists = False

    def use_own_lists(self, sources: Path | None = None) -> None:
        """Downloads package lists, which needs no write access to the system's.

        Args:
            sources: A sources file; None for the system's sources.

        Raises:
            BackendMissingError: There is no apt, or the lists cannot be downloaded.
        """
        state, cache = self._folder / "state", self._folder / "cache"
        for folder in (state / "lists/partial", cache / "archives/partial"):
            folder.mkdir(parents=True)
        settings: dict[str, str | Path] = {
            "Dir::State": state,
            "Dir::State::status": "/var/lib/dpkg/status",
            "Dir::Cache": cache,
            "Dir::Log": self._folder,
        }
        if self._architecture is not None:
            nothing = self._folder / "status"
            nothing.touch()
            settings["Dir::State::status"] = nothing
            self._options += ["-o", f"APT::Architecture={self._architecture}"]
            self._options += ["-o", f"APT::Architectures::={self._architecture}"]
        if sources is not None:
            settings["Dir::Etc::sourcelist"] = sources
            settings["Dir::Etc::sourceparts"] = self._folder / "none"
        for name, value in settings.items():
            self._options += ["-o", f"{name}={value}"]
        run(["apt-get", *self._options, "update"], self._folder)
        self._has_own_lists = True

    def download(self, packages: Sequence[str], into: Path) -> tuple[Path, ...]:
        """Downloads packages.

        Args:
            packages: `name` or `name=version`.
            into: Folder for the files, made here.

        Returns:
            The files, in the same order.

        Raises:
            BackendMissingError: There is no apt, or its sources have no such package.
        """
        into.mkdir()
        self._run(["apt-get", "download", *packages], into)
        return tuple(_downloaded(package, into) for package in packages)

    def missing(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Names of packages and their dependencies that are not installed.

        Raises:
            BackendMissingError: There is no apt, or its sources have no such package.
        """
        tree = self._run(["apt-cache", "depends", *_HARD_ONLY, *packages], self._folder)
        # Dependencies are indented, and <brackets> mark virtual packages.
        names = {line for line in tree.splitlines() if line[:1].isalnum()}
        query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n"]
        states = (line.partition(" ") for line in run(query, self._folder).splitlines())
        installed = {name for state, _, name in states if state == "installed"}
        return tuple(sorted(names - installed))

    def _run(self, command: Sequence[str], folder: Path) -> str:
        program, *arguments = command
        try:
            return run([program, *self._options, *arguments], folder)
        except BackendMissingError:
            if self._has_own_lists:
                raise
        # A fresh container has no package lists.
        self.use_own_lists()
        return run([program, *self._options, *arguments], folder)


def _downloaded(package: str, folder: Path) -> Path:
    files = sorted(folder.glob(f"{package.partition('=')[0]}_*.deb"))
    if not files:
        raise BackendMissingError(f"apt-get download {package} wrote no file")
    return files[0]


def unpack(package: Path, into: Path) -> None:
    """Unpacks the files of a package, without running its scripts.

    Raises:
        BackendMissingError: There is no dpkg, or the file is not a package.
    """
    run(["dpkg", "-x", str(package), str(into)], into)


def run(command: Sequence[str], folder: Path) -> str:
    """Runs one of Debian's programs in a folder; returns its standard output.

    Raises:
        BackendMissingError: There is no such program, or it failed or took too long.
    """
    try:
        done = children.run(command, cwd=folder, timeout_s=_TIMEOUT_S)
    except FileNotFoundError:
        raise BackendMissingError(
            f"{command[0]} is missing",
            why="the ARM bundle is made of Debian packages",
            fix="use Debian 12 or its container image, debian:12",
        ) from None
    except children.TimedOut:
        raise BackendMissingError(
            f"{' '.join(command[:2])} took more than {_TIMEOUT_S} s",
            fix="check the network connection",
        ) from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))]
        raise BackendMissingError(
            f"{command[0]} failed",
            why=" ".join(errors or [done.stderr.strip()[-500:]]),
            fix="check the network connection, and that Debian 12 has these packages",
        )
    return done.stdout
