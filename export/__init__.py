"""The second stage: converts trained weights to ONNX, TFLite and Core ML."""
