"""Compares agecompact's files with those that other tools make of the same networks and faces.

`make bench-peers` runs it. It needs converters, runtimes and the emulator, hence every stage, and
it belongs to none of them: it is a tool for development, like `tests.mil_conformance`.
"""
