"""Where an error is born: the tensors of two models, side by side."""
