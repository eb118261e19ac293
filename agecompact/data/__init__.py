"""Data sets on disk: one reader a folder layout, and the split that they share."""
