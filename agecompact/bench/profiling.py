"""Time by op, as a runtime's own profiler tells it, in a process of its own.

Apart from the timed runs: a profiler writes down every op, and an inference under it takes longer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agecompact.bench.figures import OpTime
from agecompact.runtimes.base import Array
from agecompact.serialization import structure, unstructure

_WARMUP_RUNS = 5
_RUNS = 20
_TIMEOUT_S = 300.0
_US_PER_MS = 1e3

_NOT_TOLD: Mapping[str, str] = {
    "litert": "LiteRT's Python interface has no profiler; its benchmark_model has, on a device",
}


@dataclass(frozen=True)
class Profile:
    """What a profiler told.

    Attributes:
        ops: The longest first; None where nothing was told.
        reason: Why nothing was; None otherwise.
    """

    ops: tuple[OpTime, ...] | None
    reason: str | None = None


def take(path: Path, runtime: str, threads: int, inputs: Mapping[str, Array]) -> Profile:
    """Profiles one file.

    Args:
        path: The model file.
        runtime: Name in the registry of runtimes.
        threads: Threads for it.
        inputs: One batch by input name.
    """
    if runtime not in _PROFILERS:
        return Profile(None, _NOT_TOLD.get(runtime, f"{runtime} tells no times by op"))
    with tempfile.TemporaryDirectory(prefix="agecompact-") as scratch:
        np.savez(Path(scratch) / "inputs.npz", **dict(inputs))  # type: ignore[arg-type]
        command = [sys.executable, "-m", __name__, runtime, str(path), str(threads), scratch]
        try:
            ran = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return Profile(None, f"no profile within {_TIMEOUT_S:g} s")
        if ran.returncode != 0:
            last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
            return Profile(None, f"the profiler of {runtime} failed: {last}")
        told = json.loads((Path(scratch) / "ops.json").read_text(encoding="utf-8"))
    return Profile(tuple(structure(op, OpTime, where="profile") for op in told))


@dataclass(frozen=True)
class _Event:
    """One op of one run."""

    name: str
    kind: str
    us: float


def _summed(events: Iterable[_Event], runs: int) -> tuple[OpTime, ...]:
    """Events by op, the longest first."""
    by_op: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        by_op[event.name, event.kind].append(event.us)
    ops = [
        OpTime(
            name=name,
            kind=kind,
            runs=max(1, len(times) // runs),
            mean_ms=sum(times) / runs / _US_PER_MS,
            unit="cpu",
        )
        for (name, kind), times in by_op.items()
    ]
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
    return _summed(onnxruntime_events(events, skip=_WARMUP_RUNS), _RUNS)


def onnxruntime_events(trace: list[dict[str, object]], *, skip: int) -> list[_Event]:
    """The node events of ONNX Runtime's trace, without those of its first runs.

    Args:
        trace: Entries of the JSON that it writes, durations in us.
        skip: Runs to leave out.
    """
    runs = sorted(_whole(e["ts"]) for e in trace if e["name"] == "model_run")
    since_us = runs[skip]
    return [
        _Event(
            name=str(e["name"]).removesuffix("_kernel_time"),
            kind=str(e["args"]["op_name"]),  # type: ignore[index]
            us=_whole(e["dur"]),
        )
        for e in trace
        if e["cat"] == "Node"
        and str(e["name"]).endswith("_kernel_time")
        and _whole(e["ts"]) >= since_us
    ]


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


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
    # Self time: a layer's op holds the time of those it calls.
    ops = [
        OpTime(
            name=told.key,
            kind=told.key.removeprefix("aten::"),
            runs=max(1, round(told.count / _RUNS)),
            mean_ms=told.self_cpu_time_total / _RUNS / _US_PER_MS,
            unit="cpu",
        )
        for told in profiler.key_averages()
        if told.key.startswith(("aten::", "mkldnn"))
    ]
    return tuple(sorted(ops, key=lambda op: (-op.mean_ms, op.name)))


_Profiler = Callable[[str, int, Mapping[str, Array], Path], tuple[OpTime, ...]]
_PROFILERS: Mapping[str, _Profiler] = {"onnxruntime": _onnxruntime, "pytorch": _pytorch}


def _main(runtime: str, path: str, threads: str, scratch: str) -> None:
    folder = Path(scratch)
    with np.load(folder / "inputs.npz", allow_pickle=False) as arrays:
        inputs = {name: arrays[name] for name in arrays.files}
    ops = _PROFILERS[runtime](path, int(threads), inputs, folder)
    (folder / "ops.json").write_text(json.dumps([unstructure(op) for op in ops]), encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:])
