"""Time per op from a runtime's own profiler, in a separate process.

It is separate from the timed runs because a profiler records every op, which slows the inference.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agecompact import children
from agecompact.bench.figures import OpTime
from agecompact.imports import module_command
from agecompact.runtimes.base import Array
from agecompact.scratch import scratch_folder
from agecompact.serialization import structure, unstructure

_WARMUP_RUNS = 5
_RUNS = 20
_TIMEOUT_S = 300.0
_US_PER_MS = 1e3


@dataclass(frozen=True)
class Profile:
    """Result of profiling.

    Attributes:
        ops: The ops, longest first; None if there is no profile.
        reason: Why there is no profile; None otherwise.
    """

    ops: tuple[OpTime, ...] | None
    reason: str | None = None


def take(path: Path, runtime: str, threads: int, inputs: Mapping[str, Array]) -> Profile:
    """Profiles one file.

    Args:
        path: The model file.
        runtime: Name of the runtime in `formats`.
        threads: Number of threads.
        inputs: One batch by input name.
    """
    if runtime not in _PROFILERS:
        return Profile(None, f"{runtime}'s Python interface has no profiler")
    with scratch_folder() as scratch:
        np.savez(scratch / "inputs.npz", **dict(inputs))  # type: ignore[arg-type]
        command = [*module_command(__name__), runtime, str(path), str(threads), str(scratch)]
        try:
            completed = children.run(command, timeout_s=_TIMEOUT_S)
        except children.TimedOut:
            return Profile(None, f"no profile within {_TIMEOUT_S:g} s")
        if completed.returncode != 0:
            last = (completed.stderr.strip().splitlines() or ["no message"])[-1]
            return Profile(None, f"the profiler of {runtime} failed: {last}")
        content = json.loads((scratch / "ops.json").read_text(encoding="utf-8"))
    return Profile(structure(content, tuple[OpTime, ...], where="the profile"))


def _longest_first(ops: Iterable[OpTime]) -> tuple[OpTime, ...]:
    return tuple(sorted(ops, key=lambda op: (-op.mean_ms, op.name)))


def _onnxruntime(
    path: str, threads: int, inputs: Mapping[str, Array], scratch: Path
) -> tuple[OpTime, ...]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(scratch / "onnxruntime")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for _ in range(_WARMUP_RUNS + _RUNS):
        session.run(None, dict(inputs))
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return onnxruntime_ops(events, skip=_WARMUP_RUNS)


def onnxruntime_ops(trace: Sequence[Mapping[str, Any]], *, skip: int) -> tuple[OpTime, ...]:
    """Returns the time of each op in ONNX Runtime's trace, longest first.

    Args:
        trace: Entries of the JSON that it writes, times in us.
        skip: Number of first runs to leave out.
    """
    started_us = sorted(entry["ts"] for entry in trace if entry["name"] == "model_run")[skip:]
    us_by_op: dict[tuple[str, str], list[int]] = defaultdict(list)
    for entry in trace:
        name = entry["name"].removesuffix("_kernel_time")
        is_op = entry["cat"] == "Node" and name != entry["name"]
        if is_op and entry["ts"] >= started_us[0]:
            us_by_op[name, entry["args"]["op_name"]].append(entry["dur"])
    runs = len(started_us)
    return _longest_first(
        OpTime(
            name=name,
            kind=kind,
            runs=max(1, len(times_us) // runs),
            mean_ms=sum(times_us) / runs / _US_PER_MS,
            unit="cpu",
        )
        for (name, kind), times_us in us_by_op.items()
    )


def _pytorch(
    path: str, threads: int, inputs: Mapping[str, Array], scratch: Path
) -> tuple[OpTime, ...]:
    del scratch
    from torch.profiler import ProfilerActivity, profile

    from agecompact.runtimes import pytorch

    run = pytorch.FLOAT32.open_session(path, threads).prepare(inputs)
    for _ in range(_WARMUP_RUNS):
        run()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(_RUNS):
            run()
    # Self time, since the time of a layer's op includes the ops that it calls.
    return _longest_first(
        OpTime(
            name=entry.key,
            kind=entry.key.removeprefix("aten::"),
            runs=max(1, round(entry.count / _RUNS)),
            mean_ms=entry.self_cpu_time_total / _RUNS / _US_PER_MS,
            unit="cpu",
        )
        for entry in profiler.key_averages()
        if entry.key.startswith(("aten::", "mkldnn"))
    )


_Profiler = Callable[[str, int, Mapping[str, Array], Path], tuple[OpTime, ...]]
_PROFILERS: Mapping[str, _Profiler] = {"onnxruntime": _onnxruntime, "pytorch": _pytorch}


def _main(runtime: str, path: str, threads: str, scratch: str) -> None:
    folder = Path(scratch)
    with np.load(folder / "inputs.npz", allow_pickle=False) as arrays:
        inputs = {name: arrays[name] for name in arrays.files}
    ops = _PROFILERS[runtime](path, int(threads), inputs, folder)
    (folder / "ops.json").write_text(json.dumps(unstructure(ops)), encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:])
