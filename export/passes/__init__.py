"""Changes of a float TFLite graph that leave its answers alone, up to rounding."""
