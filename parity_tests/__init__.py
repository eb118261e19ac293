"""The third stage: checks every artefact against PyTorch, in years."""
