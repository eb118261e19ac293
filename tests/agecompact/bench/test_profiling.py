import numpy as np
import pytest

from agecompact.bench import profiling
from agecompact.bench.contestant import face_like
from agecompact.runtimes.reading import read_metadata


@pytest.mark.parametrize(
    ("name", "runtime", "kind"),
    [
        ("ssrnet_float32.onnx", "onnxruntime", "Conv"),
        ("ssrnet.safetensors", "pytorch", "max_pool2d_with_indices"),
    ],
)
def test_a_profile_has_the_time_of_every_op(build_of, name, runtime, kind):
    path = build_of("ssrnet").folder / name
    profile = profiling.take(path, runtime, 1, face_like(read_metadata(path).contract, 1))
    assert profile.reason is None
    assert kind in {op.kind for op in profile.ops}
    times_ms = [op.mean_ms for op in profile.ops]
    assert times_ms == sorted(times_ms, reverse=True)
    assert 0 < sum(times_ms) < 1e4


def test_a_profiler_that_fails_is_a_reason(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"none")
    profile = profiling.take(path, "onnxruntime", 1, {"x": np.zeros(1, np.float32)})
    assert profile.ops is None
    assert "the profiler of onnxruntime failed" in profile.reason


def test_the_first_runs_are_left_out():
    def run(start_us, dur_us):
        return [
            {"cat": "Session", "name": "model_run", "ts": start_us, "dur": dur_us},
            {
                "cat": "Node",
                "name": "conv_kernel_time",
                "ts": start_us + 1,
                "dur": dur_us,
                "args": {"op_name": "Conv"},
            },
        ]

    trace = [
        {"cat": "Node", "name": "conv_fence_before", "ts": 25, "dur": 1, "args": {"op_name": "C"}},
        *run(10, 900),
        *run(1000, 40),
        *run(2000, 60),
    ]
    (op,) = profiling.onnxruntime_ops(trace, skip=1)
    assert (op.name, op.kind, op.runs, op.mean_ms) == ("conv", "Conv", 1, 0.05)
