"""LiteRT on an emulated ARM processor: exact instruction counts and real outputs, never times.

`bundle` makes what runs, `cpus` says what is emulated, `emulator` runs it, `measure` measures one
file and `harness` makes the records of a build.
"""

from android_bench.emulated.harness import measure_build

__all__ = ["measure_build"]
