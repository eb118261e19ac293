"""Runs Apple's tests of MIL's ops, which are part of coremltools, on the reference runtime.

`python -m tests.mil_conformance` runs all suites; arguments select some of them.
"""
