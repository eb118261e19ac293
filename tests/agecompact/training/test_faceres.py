"""FaceRes's graph becomes a network that predicts as the graph does, and can be fine-tuned."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agecompact.contract import Image
from agecompact.data import batches
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from agecompact.models import registry
from agecompact.models.mobilenetv1 import MobileNetV1
from agecompact.training import faceres, start
from agecompact.training.feed import sized
from agecompact.training.start import SourceWeights
from tests.agecompact.training import small

_CHANNELS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_STRIDED = (2, 4, 6, 12)
# In the order blue, green, red, from 0 to 255.
_MEAN = 255 * np.array(registry.get("faceres").contract.mean[::-1], np.float32)

_Tensors = dict[str, npt.NDArray[np.float32]]


def _tensors() -> _Tensors:
    """Random weights under the names of the published graph, in TensorFlow's layout."""
    random = np.random.default_rng(3)

    def values(*shape: int, scale: float) -> npt.NDArray[np.float32]:
        return (scale * random.standard_normal(shape)).astype(np.float32)

    tensors = {
        "age_pred/kernel": values(256, 100, scale=0.01),
        "age_pred/bias": values(100, scale=0.1),
        "feats/kernel": values(1024, 256, scale=0.1),
        "feats/bias": values(256, scale=0.1),
        "gender_pred/kernel": values(256, 1, scale=0.1),
        # Levels of 0 to 255 need small weights.
        "conv1/convolution/merged_input": values(3, 3, 3, 32, scale=0.01),
        "conv1_bn/batchnorm_1/sub": values(32, scale=0.3),
    }
    for index, (inputs, outputs) in enumerate(pairwise(_CHANNELS), start=1):
        dw, pw = f"conv_dw_{index}", f"conv_pw_{index}"
        tensors |= {
            f"{dw}/depthwise_kernel": values(3, 3, inputs, 1, scale=0.5),
            f"{dw}_bn/batchnorm_1/mul": 1 + values(inputs, scale=0.2),
            f"{dw}_bn/batchnorm_1/sub": values(inputs, scale=0.3),
            f"{pw}/convolution/merged_input": values(
                1, 1, inputs, outputs, scale=(6 / inputs) ** 0.5
            ),
            f"{pw}_bn/batchnorm_1/sub": values(outputs, scale=0.3),
        }
    return tensors


def _graph(folder: Path, tensors: _Tensors, *, half: bool = False) -> Path:
    """A TensorFlow.js graph of tensors, its weights quantised to float16 or not."""
    entries: list[dict[str, Any]] = []
    content = b""
    for name, value in tensors.items():
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": "float32"}
        if half:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        entries.append(entry)
        content += value.astype(np.float16 if half else np.float32).tobytes()
    (folder / "faceres.bin").write_bytes(content)
    path = folder / "faceres.json"
    manifest = [{"paths": ["faceres.bin"], "weights": entries}]
    path.write_text(json.dumps({"format": "graph-model", "weightsManifest": manifest}))
    return path


def _graphs_answers(tensors: _Tensors, chips: list[Image]) -> Tensor:
    """The ages that the graph predicts, computed as in TensorFlow."""
    t = {name: torch.from_numpy(value) for name, value in tensors.items()}
    levels = np.stack(chips).astype(np.float32) - _MEAN
    maps = torch.from_numpy(levels).permute(0, 3, 1, 2)

    def strided(maps: Tensor, weight: Tensor, groups: int) -> Tensor:
        return F.conv2d(F.pad(maps, (0, 1, 0, 1)), weight, stride=2, groups=groups)

    def offset(name: str) -> Tensor:
        return t[f"{name}_bn/batchnorm_1/sub"].view(1, -1, 1, 1)

    first = t["conv1/convolution/merged_input"].permute(3, 2, 0, 1)
    maps = F.relu6(strided(maps, first, 1) + offset("conv1"))
    for index, channels in enumerate(_CHANNELS[:-1], start=1):
        dw, pw = f"conv_dw_{index}", f"conv_pw_{index}"
        kernel = t[f"{dw}/depthwise_kernel"].permute(2, 3, 0, 1)
        if index in _STRIDED:
            maps = strided(maps, kernel, channels)
        else:
            maps = F.conv2d(maps, kernel, padding=1, groups=channels)
        scale = t[f"{dw}_bn/batchnorm_1/mul"].view(1, -1, 1, 1)
        maps = F.relu6(maps * scale + offset(dw))
        mixing = t[f"{pw}/convolution/merged_input"].permute(3, 2, 0, 1)
        maps = F.relu6(F.conv2d(maps, mixing) + offset(pw))
    hidden = F.relu(maps.mean(dim=(2, 3)) @ t["feats/kernel"] + t["feats/bias"])
    shares = (hidden @ t["age_pred/kernel"] + t["age_pred/bias"]).softmax(dim=1)
    return shares @ torch.arange(100.0).unsqueeze(1)


def _chips(count: int, seed: int = 0) -> list[Image]:
    """Chips of a few patches each: the mean of noise would be the same everywhere."""
    patches = np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 3), np.uint8)
    return list(patches.repeat(32, axis=1).repeat(32, axis=2))


def _inputs(chips: list[Image]) -> Tensor:
    return batches.inputs(sized(registry.get("faceres").contract, 64), chips)[0]


@pytest.mark.parametrize("half", [False, True])
def test_the_network_predicts_as_the_graph_does(half: bool, tmp_path: Path) -> None:
    tensors = _tensors()
    path = _graph(tmp_path, tensors, half=half)
    if half:
        tensors = {k: v.astype(np.float16).astype(np.float32) for k, v in tensors.items()}
    network = MobileNetV1().eval()
    sha256 = faceres.fill(network, path, _inputs(_chips(16)))
    assert sha256 == sha256_of(tmp_path / "faceres.bin")
    # Faces that its norms were not measured on.
    others = _chips(4, seed=1)
    with torch.no_grad():
        predicted = network(_inputs(others))
    expected = _graphs_answers(tensors, others)
    assert torch.allclose(predicted, expected, atol=2e-3)
    assert expected.std() > 0.5


def test_its_norms_normalise_and_its_weights_have_one_scale(tmp_path: Path) -> None:
    path = _graph(tmp_path, _tensors())
    network, seen = MobileNetV1().eval(), _inputs(_chips(16))
    faceres.fill(network, path, seen)
    with torch.no_grad():
        predicted = network(seen)
        # In training mode the norms use the batch's statistics, which were also stored in them.
        network.features.train()
        assert torch.allclose(network(seen), predicted, atol=1e-2)
    for unit in network.features:
        assert isinstance(unit, nn.Sequential)
        norm = unit[2]
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_var is not None
        assert 0.5 < norm.running_var.median() < 1.5


def test_a_training_starts_from_it(tmp_path: Path) -> None:
    path = _graph(tmp_path, _tensors())
    recipe = small.recipe("faceres", start="backbone")
    network, origin = start.network_for(
        recipe,
        mean=40.0,
        seed=0,
        chips=_chips(8),
        sources=SourceWeights(backbone=str(path)),
    )
    assert origin == {"backbone": sha256_of(tmp_path / "faceres.bin")}
    assert isinstance(network, MobileNetV1)


def _fill(path: Path) -> None:
    faceres.fill(MobileNetV1(), path, _inputs(_chips(4)))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("faceres.json", None),
        ("faceres.json", b"weights"),
        ("faceres.json", b"[]"),
        ("faceres.bin", None),
        ("faceres.bin", b"cut short"),
    ],
)
def test_an_invalid_file_is_refused(file: str, content: bytes | None, tmp_path: Path) -> None:
    path = _graph(tmp_path, _tensors())
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(UsageError, match=r"is not a TensorFlow\.js graph"):
        _fill(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("conv_pw_13/convolution/merged_input", None, "is not FaceRes's graph"),
        ("feats/kernel", np.zeros((1023, 256)), "is not FaceRes's graph"),
        ("feats/bias", np.full(256, np.nan), "holds NaN or Inf"),
    ],
)
def test_unsuitable_tensors_are_refused(
    name: str, value: Any, message: str, tmp_path: Path
) -> None:
    tensors = {**_tensors(), name: value}
    path = _graph(tmp_path, {k: v for k, v in tensors.items() if v is not None})
    with pytest.raises(UsageError, match=message):
        _fill(path)
