"""What Google's benchmark tools print, read by pure functions.

Three programs are told apart by what they say, not by their names:

- TFLite's `benchmark_model` up to TensorFlow 2.1 ends with `Average inference timings in us: ...`;
- TFLite's `benchmark_model` since ends with `Inference timings in us: ...`, and tells percentiles
  in its newest releases;
- LiteRT's `benchmark_model` (`benchmark_litert_model`) ends with `BENCHMARK RESULTS` in ms, and so
  does `litert-benchmark` of the Python package.

All of TFLite's figures are us and all of LiteRT's ms; here every figure is ms.
"""
