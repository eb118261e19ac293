"""Compact face-age networks from PyTorch to a phone, with the error of every step in years."""

__version__ = "0.1.0"
