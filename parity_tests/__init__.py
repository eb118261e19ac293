"""The third stop: every artefact held to PyTorch, in years."""
