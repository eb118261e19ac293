"""Compact face-age networks from PyTorch to a phone, with a proof in years at every step."""

__version__ = "0.1.0"
