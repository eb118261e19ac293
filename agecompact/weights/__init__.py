"""Weights files: checkpoints, cards, importers, and the released weights."""
