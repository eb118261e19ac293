"""The runner in C, which runs on an emulated ARM processor and on a phone, and its answers.

`sources` compiles it, `output` reads what it prints, `failure` says how it can fail.
"""
