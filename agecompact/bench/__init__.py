"""The record of a measurement: one form for the host, the emulator, the phone and the Mac.

`record` says what one holds, out of `circumstances` (where and with what), `timing` (times that
were taken) and `figures` (what else can be told); `validity` whether it may be believed; `store`
how `latency.json` keeps the records of several harnesses side by side. `artifacts` says which file
was measured, and `size` what its bytes are.
"""
