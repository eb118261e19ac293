"""The Python that runs a worker process: this one, or another machine's under an emulator."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from agecompact.formats import Runtime
from agecompact.imports import module_command, resolve


@dataclass(frozen=True)
class Launcher:
    """How to start a Python.

    Attributes:
        command: The interpreter, with what runs it.
        environment: Variables beside those of this process.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def module(self, module: str) -> list[str]:
        """The command that runs a module; see `imports.module_command`."""
        return module_command(module, python=self.command)


HERE = Launcher((sys.executable,))


def launcher_of(runtime: Runtime | None) -> Launcher:
    """What starts the workers of a runtime.

    Raises:
        BackendMissingError: It was not made on this machine.
    """
    if runtime is None or not runtime.launcher:
        return HERE
    made = resolve(runtime.launcher)()
    assert isinstance(made, Launcher)
    return made
