"""Measures what artefacts cost, in one record for the host, the emulator, phones and Macs.

`record` defines what is stored, from `circumstances` (where and how it ran), `timing` (latencies)
and `figures` (everything else). `validity` decides whether a record is valid, `store` keeps the
records of all drivers in one `latency.json`, and `diff` compares two of those. `drivers` lists the
places to measure on, `files` the files of a build, and `size` breaks a file's bytes down.
"""
