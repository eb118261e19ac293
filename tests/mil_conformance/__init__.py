"""Runs Apple's own tests of MIL's ops, as coremltools ships them, on the reference runtime.

`python -m tests.mil_conformance` runs every suite of `suites.py`; names given choose some of them.
"""
