"""The second stop: trained weights to ONNX, TFLite and Core ML."""
