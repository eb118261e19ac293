"""LiteRT on an emulated ARM processor: exact instruction counts and real outputs, never times.

`make_bundle` builds what runs, `bundle` is that on disk, `cpus` lists the processors, `emulator`
runs one process, `measure` measures one file and `driver` records a whole build.
"""
