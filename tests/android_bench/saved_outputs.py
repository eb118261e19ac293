"""Outputs of the benchmark tools.

`litert_benchmark_2.3.0.txt` is what `litert-benchmark` of ai-edge-litert 2.3.0 printed for the
float32 file of c3ae on a busy x86 host. Google's binaries for Android cannot run here, so the files
named `composed_*` hold measured figures (ssrnet, float32, on that host, the 50 fastest of 200
inferences; those of `scientific` and the profile are made up) in the words of the tools' sources:

- composed_tflite_1: tensorflow v1.13 to v2.1, lite/tools/benchmark/benchmark_model.cc; a real run
  is shown in github.com/yuenshome/yuenshome.github.io issue 77;
- composed_tflite_2, _scientific, _ends_after_warmup: the same since v2.2; real runs are shown in
  github.com/tensorflow/tensorflow issues 42507 and 49158;
- composed_tflite_2_percentiles: google-ai-edge/LiteRT tflite/tools/benchmark/benchmark_model.cc,
  which logs `INFO:` before every line and prints p5, median and p95;
- composed_tflite_2_gpu_*, _nnapi_*, _unconsumed_gpu: its benchmark_tflite_model.cc; see
  tensorflow/tensorflow issues 47175 and 56301. No published run shows a delegate that fails or an
  unconsumed flag, so those two come from the sources alone;
- composed_litert: litert/tools/benchmark_litert_model.h of the same; a real run is shown in
  github.com/mlcommons/mobile_app_open issue 1134;
- composed_profile.csv: tensorflow/core/util/stats_calculator.cc.

Figures of real runs on phones and boards, as their users published them, are in
`published_runs.toml`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "data/benchmark_model"

_BASE = "composed_tflite_2"
_VARIANTS = tomllib.loads((FOLDER / "composed_variants.toml").read_text())


def saved(name: str) -> str:
    """The output of that name: a file, or a variant of `composed_tflite_2`."""
    edits = _VARIANTS.get(name.removeprefix(f"{_BASE}_"))
    if edits is None:
        return (FOLDER / f"{name}.txt").read_text()
    lines = []
    for line in saved(_BASE).splitlines(keepends=True):
        if "end" in edits and line.startswith(edits["end"]):
            break
        lines.append(next((new for old, new in edits.items() if line.startswith(old)), line))
    return "".join(lines)
