"""Small networks, converted and compressed by coremltools once per run."""

from __future__ import annotations

import itertools
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

# Large enough for a palette of 64 and for blocks of 8.
_CHANNELS = 32


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, _CHANNELS, 3, 2, bias=False)
        self.norm = nn.BatchNorm2d(_CHANNELS)
        self.second = nn.Conv2d(_CHANNELS, _CHANNELS, 3, groups=4)
        self.age = nn.Linear(_CHANNELS, 16)

    def forward(self, face: Tensor) -> Tensor:
        maps = torch.nn.functional.hardswish(self.norm(self.first(face)))
        return torch.tanh(self.age(self.second(maps).mean((2, 3))))


def _palette(bits: int) -> Any:
    """A palette of quantiles: coremltools' own, k-means, needs scikit-learn."""

    def table(weight: Any) -> Any:
        flat = np.asarray(weight, np.float64).reshape(-1)
        lut = np.quantile(flat, (np.arange(1 << bits) + 0.5) / (1 << bits)).astype(weight.dtype)
        nearest = np.abs(flat[:, None] - lut.astype(np.float64)).argmin(1)
        return lut, nearest.astype(np.uint8)

    return table


def _convert(ct: Any, target: str, precision: str) -> Any:
    torch.manual_seed(0)
    network = _Small().eval()
    for buffer in (network.norm.running_mean, network.norm.running_var):
        assert isinstance(buffer, Tensor)
        nn.init.uniform_(buffer, 0.5, 1.5)
    traced = torch.jit.trace(network, torch.rand(1, 3, 24, 24))  # type: ignore[no-untyped-call]
    return ct.convert(
        traced,
        inputs=[ct.TensorType(name="face", shape=(1, 3, 24, 24), dtype=np.float32)],
        outputs=[ct.TensorType(name="age", dtype=np.float32)],
        minimum_deployment_target=ct.target[f"iOS{target}"],
        compute_precision=ct.precision[precision.upper()],
        skip_model_load=True,
    )


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packages by target, precision and compression, such as `16-float32-int8`. Read only."""
    ct = pytest.importorskip("coremltools")
    import coremltools.optimize.coreml as cto

    folder = tmp_path_factory.mktemp("mil")
    quantize = partial(cto.OpLinearQuantizerConfig, weight_threshold=256)
    palettize = partial(cto.OpPalettizerConfig, weight_threshold=256)
    prune = partial(cto.OpMagnitudePrunerConfig, weight_threshold=256)
    block = {"granularity": "per_block", "block_size": 8}
    compressions = {
        "int8": (cto.linear_quantize_weights, quantize(mode="linear_symmetric")),
        "uint8": (cto.linear_quantize_weights, quantize(mode="linear", dtype="uint8")),
        "lut4": (cto.palettize_weights, palettize(mode="custom", lut_function=_palette(4))),
        "lut6": (cto.palettize_weights, palettize(mode="custom", lut_function=_palette(6))),
        "uniform6": (cto.palettize_weights, palettize(mode="uniform", nbits=6)),
        "pruned": (cto.prune_weights, prune(target_sparsity=0.6)),
        "int4": (
            cto.linear_quantize_weights,
            quantize(mode="linear_symmetric", dtype="int4", **block),
        ),
    }
    found: dict[str, Path] = {}

    def keep(name: str, model: Any) -> None:
        found[name] = folder / f"{name}.mlpackage"
        model.save(str(found[name]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for target, precision in itertools.product(("16", "18"), ("float32", "float16")):
            plain = _convert(ct, target, precision)
            keep(f"{target}-{precision}", plain)
            for name, (compress, config) in compressions.items():
                # Blocks and types below 8 bits need iOS 18.
                if name != "int4" or target == "18":
                    compressed = compress(plain, cto.OptimizationConfig(config))
                    keep(f"{target}-{precision}-{name}", compressed)
    return found
