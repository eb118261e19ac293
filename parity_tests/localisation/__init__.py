"""Finds the op where an error originates, from the tensors of two models."""
