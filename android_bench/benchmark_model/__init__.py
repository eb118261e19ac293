"""Parses the output of Google's benchmark tools, with pure functions.

Three programs are recognised by what they print, not by their names:

- TFLite's `benchmark_model` up to TensorFlow 2.1 ends with `Average inference timings in us: ...`;
- TFLite's `benchmark_model` since then ends with `Inference timings in us: ...`, and its newest
  releases print percentiles;
- LiteRT's `benchmark_model` (`benchmark_litert_model`) ends with `BENCHMARK RESULTS` in ms, and so
  does `litert-benchmark` of the Python package.

TFLite prints us and LiteRT ms; here everything is ms.
"""
