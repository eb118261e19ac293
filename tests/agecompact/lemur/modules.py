"""LEMUR modules written to files and run, as LEMUR would."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agecompact.contract import Contract, Image
from agecompact.lemur.adapter import MEAN, STD
from agecompact.lemur.module import LemurModule, lemur_module
from agecompact.models import registry
from agecompact.weights import checkpoints
from parity_tests.inputs import portrait

# A folder with an unpacked wheel of nn-dataset, to check the recorded interface against.
PUBLISHED = os.environ.get("AGECOMPACT_NN_DATASET")
published = pytest.mark.skipif(
    not PUBLISHED, reason="AGECOMPACT_NN_DATASET does not name an unpacked nn-dataset"
)
# Facts of the published interface, as `test_published.interface` reads them from its sources.
INTERFACE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "nn-dataset-interface.json").read_text()
)
# Resizing by torch rounds some pixels to the next level, which changes the output by an amount that
# depends on the weights; each use asserts that exchanged channels change it by more.
ROUNDING = {"years": 0.1, "score": 0.01}
PRM = {"lr": 1e-3, "momentum": 0.9, "dropout": 0.2}
CPU = torch.device("cpu")
MODELS = list(registry.MODELS)


def weights_of(model_id: str) -> checkpoints.Weights:
    return checkpoints.read(checkpoints.released_path(model_id))


def module_of(model_id: str) -> LemurModule:
    weights = weights_of(model_id)
    return lemur_module(model_id, weights.config, weights.contract)


def run(module: LemurModule, folder: Path) -> ModuleType:
    """Runs a module as LEMUR's check does: outside `sys.modules`."""
    path = written(module, folder)
    spec = importlib.util.spec_from_file_location("model_module", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def written(module: LemurModule, folder: Path) -> Path:
    path = folder / f"{module.name}.py"
    path.write_text(module.source)
    return path


def output_of(script: str, folder: Path, *options: str) -> str:
    """What a script prints, run in another process."""
    command = [sys.executable, *options, "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def net_of(model_id: str, folder: Path, out_shape: tuple[int, ...] = (1,)) -> Any:
    loaded = run(module_of(model_id), folder)
    torch.manual_seed(0)
    return loaded.Net((2, 3, 64, 64), out_shape, PRM, CPU)


def chip(side: int) -> Image:
    return cv2.resize(portrait()[:250, 100:350], (side, side), interpolation=cv2.INTER_AREA)


def as_lemur_loads(image: Image) -> Tensor:
    """A photo after `ToTensor` and `Normalize` of LEMUR's norm transforms, batch 1."""
    rgb = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1])).permute(2, 0, 1) / 255
    return ((rgb - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])[None]


def ours(network: nn.Module, contract: Contract, image: Image) -> float:
    tensors = contract.apply(image)
    with torch.no_grad():
        answer = network(*(torch.from_numpy(tensors[name]) for name in contract.input_names))
    return float(answer)


def batches(count: int = 2) -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(0)
    return [
        (torch.randn(4, 3, 64, 64, generator=random), torch.tensor([[5.0], [20], [40], [99]]))
        for _ in range(count)
    ]
