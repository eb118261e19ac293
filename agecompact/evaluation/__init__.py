"""Predictions for faces, and metrics of their error."""
