"""Runtimes: one module each, one interface (`base`); `registry` finds the one that opens a file."""
