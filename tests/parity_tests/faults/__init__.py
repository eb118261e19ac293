"""Faults of conversions, planted in good artefacts from outside, and what parity says of each."""
