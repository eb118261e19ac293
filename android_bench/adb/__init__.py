"""Latency on an Android device over adb.

`client` runs adb, `devices` says which device is meant, `device` and `heat` what it is and how it
fares; `session` is a working folder there; `runner_engine` and `benchmark_model_engine` run
artefacts in it; `race` has them take turns, `pooling` makes one record of an artefact's rounds,
`measure` goes through a build, and `ledger` keeps what was measured. `ai_benchmark` serves the
app of that name, which no cable reaches.
"""

from android_bench.adb.measure import measure_build

__all__ = ["measure_build"]
