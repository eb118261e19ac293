"""Compact face-age networks from PyTorch to a phone, with the error of every step in years."""

import os

__version__ = "0.1.0"

# ONNX Runtime sends usage events to its maker unless this is set before it is loaded. Worker
# processes inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
