"""The far side of the pipeline: one converter in a process of its own.

Converters import heavy, quarrelling stacks, and some end the process; here they may.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from agecompact.errors import AgecompactError, missing_extra
from export.job import Job
from export.targets import STAGES, Format


def run(format_: Format, job: Job) -> dict[str, object]:
    """Runs one stage; the reply is JSON."""
    stage = STAGES[format_]
    module, function = stage.converter.split(":")
    try:
        try:
            artifacts = getattr(importlib.import_module(module), function)(job)
        except ModuleNotFoundError as error:
            if stage.extra is None:
                raise
            raise missing_extra(stage.extra, error.name or module) from None
    except AgecompactError as error:
        return {
            "error": {
                "exit_code": int(error.exit_code),
                "what": error.what,
                "why": error.why,
                "fix": error.fix,
            }
        }
    return {"artifacts": [asdict(artifact) for artifact in artifacts]}


def main() -> None:
    """`python -m export.worker FORMAT REQUEST REPLY`."""
    format_, request, reply = sys.argv[1:]
    job = Job.from_json(json.loads(Path(request).read_text(encoding="utf-8")))
    result = run(format_, job)  # type: ignore[arg-type]
    Path(reply).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
