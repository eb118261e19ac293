"""Runs the shell steps of a composite action as GitHub's runner does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"\b(?:inputs|steps|github)(?:\.[\w-]+)+")
# As the runner starts `shell: bash`.
_BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


@dataclass
class Job:
    """A job whose only step uses the action.

    Attributes:
        action: Content of `action.yml`.
        source: Folder of the action.
        workspace: Folder of the checkout.
        temporary: An empty folder for the runner.
        inputs: The inputs that the job gives.
        environment: Variables beyond the runner's own.
        event: The event's name and the number of its pull request.
        outcomes: Outcome of each shell step so far, by name: `success`, `failure` or `skipped`.
        log: What the steps have printed.
    """

    action: Mapping[str, Any]
    source: Path
    workspace: Path
    temporary: Path
    inputs: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    event: tuple[str, int | None] = ("pull_request", 7)
    outcomes: dict[str, str] = field(default_factory=dict)
    log: str = ""
    _by_id: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the job has failed."""
        return "failure" in self.outcomes.values()

    @property
    def summary(self) -> str:
        """The job's summary."""
        path = self.temporary / "summary.md"
        return path.read_text() if path.exists() else ""

    def run(self) -> Job:
        """Runs all shell steps in order; returns itself."""
        for step in self.action["runs"]["steps"]:
            if "run" in step:
                self._step(step)
        return self

    def _step(self, step: Mapping[str, Any]) -> None:
        name, outputs = step["name"], self.temporary / f"outputs-{len(self.outcomes)}"
        outputs.touch()
        if self._holds(step.get("if")):
            folder = self.workspace / self._filled(step.get("working-directory", "."))
            script = self.temporary / "script.sh"
            script.write_text(step["run"])
            own = {n: self._filled(text) for n, text in step.get("env", {}).items()}
            bash = shutil.which(_BASH[0]) or _BASH[0]
            done = subprocess.run(
                [bash, *_BASH[1:], str(script)],
                cwd=folder,
                env={**os.environ, **self._runner(outputs), **self.environment, **own},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=1200,
                check=False,
            )
            self.log += f"== {name}\n{done.stdout}"
            outcome = "failure" if done.returncode else "success"
        else:
            outcome = "skipped"
        self.outcomes[name] = outcome
        if "id" in step:
            pairs = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
            self._by_id[step["id"]] = {"outcome": outcome, "outputs": pairs}

    def _runner(self, outputs: Path) -> dict[str, str]:
        return {
            "CI": "true",
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(self.temporary / "summary.md"),
            "GITHUB_REPOSITORY": "someone/faces",
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(self.temporary),
        }

    def _holds(self, condition: str | None) -> bool:
        if condition is None:
            return not self.failed
        text = _EXPRESSION.fullmatch(condition.strip())
        assert text, f"not one expression: {condition}"
        # Any other condition implies success().
        met = bool(self._value(text[1]))
        return met and (not self.failed or "cancelled()" in condition)

    def _filled(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            found = self._value(match[1])
            return "" if found is None else str(found)

        return _EXPRESSION.sub(value, text)

    def _value(self, expression: str) -> Any:
        names: dict[str, Any] = {}

        def name(match: re.Match[str]) -> str:
            key = f"v{len(names)}"
            names[key] = self._context(match[0])
            return key

        python = _NAME.sub(name, expression.replace("cancelled()", "False"))
        python = python.replace("&&", " and ").replace("||", " or ")
        python = re.sub(r"!(?!=)", " not ", " ".join(python.split()))
        return eval(python, {"__builtins__": {}}, names)

    def _context(self, dotted: str) -> Any:
        first, *rest = dotted.split(".")
        if first == "inputs":
            (name,) = rest
            default = self.action["inputs"][name].get("default", "")
            return self.inputs.get(name, self._filled(default))
        kind, number = self.event
        github = {
            "action_path": str(self.source),
            "event_name": kind,
            "event": {"pull_request": {"number": number}},
            "token": "a token",
        }
        found: Any = {"steps": self._by_id, "github": github}[first]
        for part in rest:
            # What does not exist is null.
            found = found.get(part) if isinstance(found, dict) else None
        return found
