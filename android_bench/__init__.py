"""Latency and instruction counts on Android phones and emulated ARM processors."""
