"""Answers for faces, and how far they are from the truth."""
