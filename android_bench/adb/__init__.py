"""Latency on an Android device over adb.

`program` finds adb, `client` runs it, `device_list` chooses the device, `device_info` describes it
and `conditions` reads its temperature and clocks. `session` is a working folder on the device,
where `runner_engine` or `benchmark_model_engine` runs artefacts. `measure` goes through a build in
`resumable_rounds`, which the `ledger` remembers, and `pooling` merges the rounds of an artefact
into one record. `ai_benchmark` serves the app of that name, which adb cannot drive.
"""
