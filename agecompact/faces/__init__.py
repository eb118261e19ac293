"""Detectors and framing: from a picture to the face chip that models see."""
