"""Weights files: checkpoints, their cards, importers, and the released files."""
