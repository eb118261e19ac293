"""Where the files are made: each tool in a process of its own, and each file once."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import agecompact
import export
from agecompact import children
from agecompact.files import atomic_path, canonical_json, make_folder, sha256_of
from agecompact.imports import module_command
from agecompact.scratch import scratch_folder
from agecompact.serialization import write_versioned
from agecompact.text import one_line
from agecompact.weights import checkpoints
from tests.bench_peers.makers import Job
from tests.bench_peers.peers import Peer
from tests.bench_peers.rows import Unusable

# What libraries print before they fail.
_NOISE = ("warning", "WARNING", "W0000", "I0000", "Traceback")
_LONGEST = 300


def digest_of(**parts: object) -> str:
    """A hash of JSON values, by name."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Workshop:
    """Makes the files.

    Attributes:
        folder: Keeps them, under names with a hash of what they were made from.
        calibration: Folder of the face chips that every calibrated tool is given.
        timeout_s: Longest time for a file.
    """

    folder: Path
    calibration: Path
    timeout_s: float = 7200.0

    @cached_property
    def _calibration_sha256(self) -> str:
        return sha256_of(self.calibration)

    @cached_property
    def _own_code(self) -> str:
        """A hash of the code that converts; another one may make other files."""
        folder = Path(export.__file__).parent
        files = sorted(path for path in folder.rglob("*.py"))
        return digest_of(version=agecompact.__version__, files=[sha256_of(path) for path in files])

    def digest(self, peer: Peer, weights: Path, source: Path | None) -> str:
        """A hash of all that a tool's file is made from."""
        return digest_of(
            peer=peer.name,
            source=sha256_of(source or weights),
            versions=peer.versions(),
            calibration=self._calibration_sha256 if peer.is_calibrated else "",
            code=self._own_code if peer.is_ours else "",
        )

    def make(
        self, peer: Peer, weights: checkpoints.Weights, source: Path | None, *, again: bool
    ) -> Path:
        """The file of a tool, made now unless it is there.

        Args:
            peer: The tool.
            weights: The weights of the model.
            source: The file that the tool converts; None for the weights.
            again: Make it even if it is there.

        Raises:
            Unusable: The tool is not installed, fails, crashes or takes too long.
            OutputError: The folder cannot be written.
        """
        if missing := peer.missing():
            raise Unusable(f"{', '.join(missing)} is not installed: {peer.install}")
        digest = self.digest(peer, weights.path, source)
        file = self.folder / weights.model_id / f"{peer.name}-{digest}{peer.suffix}"
        if again or not file.exists():
            make_folder(file.parent)
            with atomic_path(file) as out:
                job = Job(
                    model=weights.model_id,
                    weights=weights.path.absolute(),
                    contract=weights.contract,
                    calibration=self.calibration.absolute(),
                    out=out.absolute(),
                    source=source.absolute() if source else None,
                )
                self._run(peer, job)
        return file

    def _run(self, peer: Peer, job: Job) -> None:
        with scratch_folder() as scratch:
            write_versioned(scratch / "job.json", job)
            (scratch / "work").mkdir()
            command = module_command("tests.bench_peers.makers", options=("-W", "ignore"))
            try:
                done = children.run(
                    [*command, peer.maker, str(scratch / "job.json")],
                    timeout_s=self.timeout_s,
                    cwd=scratch / "work",
                    env=_environment(scratch),
                )
            except children.TimedOut:
                raise Unusable(f"it took longer than {self.timeout_s:g} s") from None
        if done.returncode or not job.out.exists():
            raise Unusable(_reason(done))


def _environment(scratch: Path) -> dict[str, str]:
    """The environment of a tool: this Python's programs, no logs, no GPU."""
    repository = Path(export.__file__).parents[1]
    return {
        **os.environ,
        # onnx2tf runs onnxsim as a program, and silently does without it.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([str(repository), os.environ.get("PYTHONPATH", "")]),
        "TMPDIR": str(scratch),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONHASHSEED": "0",
    }


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """How a tool failed, and its last words."""
    code = done.returncode
    if code < 0:
        how = f"its process ended with signal {signal.Signals(-code).name}"
    else:
        how = f"its process ended with exit code {code}" if code else "it wrote no file"
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
    told = [line for line in lines if line and not line.startswith(_NOISE)]
    return one_line(f"{how}: {told[-1]}" if told else how)[:_LONGEST]
