"""The runner in C, which runs on a phone and on an emulated ARM processor.

`sources` compiles it, `output` parses what it prints, `results` turns that into parts of a record.
"""
