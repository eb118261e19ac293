"""Where trainings start: published state dicts fit, and no code in a file is executed."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from agecompact.contract import Image
from agecompact.errors import BackendMissingError, ExitCode, UsageError
from agecompact.files import sha256_of
from agecompact.models import registry
from agecompact.models.mobilenetv3 import mobilenet_v3_large_features
from agecompact.training import start
from agecompact.training.start import TORCHVISION, SourceWeights
from agecompact.weights import checkpoints
from agecompact.weights.checkpoints import Weights
from tests.agecompact.training import small

_PARAMETERS = 5_483_032


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """A state dict with the names, shapes and size of torchvision's `mobilenet_v3_large`."""
    torch.manual_seed(7)
    network = nn.Sequential()
    network.features = mobilenet_v3_large_features()
    network.classifier = nn.Sequential(
        nn.Linear(960, 1280), nn.Hardswish(), nn.Dropout(), nn.Linear(1280, 1000)
    )
    # torchvision documents this count.
    assert sum(parameter.numel() for parameter in network.parameters()) == _PARAMETERS
    state = network.state_dict()
    assert state["features.4.block.2.fc1.weight"].shape == (24, 72, 1, 1)
    assert state["features.16.0.weight"].shape == (960, 160, 1, 1)
    for name, value in state.items():
        if "running_" in name:
            state[name] = torch.rand_like(value)
    return dict(state)


def _written(path: Path, state: dict[str, Tensor]) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def _started(backbone: object, model_id: str = "mobileagenet") -> tuple[nn.Module, dict[str, Any]]:
    recipe = small.recipe(model_id, start="backbone")
    return start.network_for(
        recipe, mean=40.0, seed=0, sources=SourceWeights(backbone=str(backbone))
    )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.usefixtures("_in_this_process")
def test_torchvisions_state_dict_fills_the_trunk(
    suffix: str, published: dict[str, Tensor], tmp_path: Path
) -> None:
    path = _written(tmp_path / f"mobilenet_v3_large{suffix}", published)
    network, origin = _started(path)
    assert origin == {"backbone": sha256_of(path)}
    for name, value in network.state_dict().items():
        if name.startswith("features.") and not name.endswith("num_batches_tracked"):
            assert torch.equal(value, published[name]), name
    # The head is new, and starts at the mean.
    with torch.no_grad():
        assert 35 < network.eval()(torch.zeros(1, 3, 64, 64)).item() < 45


@pytest.mark.usefixtures("_in_this_process")
def test_state_dicts_without_batch_counters_load(
    published: dict[str, Tensor], tmp_path: Path
) -> None:
    old = {k: v for k, v in published.items() if not k.endswith("num_batches_tracked")}
    network, _ = _started(_written(tmp_path / "old.pth", old))
    assert torch.equal(network.state_dict()["features.0.0.weight"], old["features.0.0.weight"])


@pytest.mark.usefixtures("_in_this_process")
def test_efficientnet_lite_takes_its_published_names(tmp_path: Path) -> None:
    torch.manual_seed(8)
    donor = registry.build("efficientnet-lite0").state_dict()
    state = {k: v for k, v in donor.items() if not k.startswith("age.")}
    state |= {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    network, _ = _started(_written(tmp_path / "lite0.pth", state), "efficientnet-lite0")
    for name in ("_conv_stem.weight", "_blocks.3._bn1.running_var", "_conv_head.weight"):
        assert torch.equal(network.state_dict()[name], donor[name])


_KEY = "features.3.block.0.0.weight"


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (
            lambda state: {k: v for k, v in state.items() if k != _KEY},
            "1 of its 262 tensors missing",
        ),
        (
            lambda state: {**state, "features.17.0.weight": torch.zeros(1)},
            "1 of the file's left over",
        ),
        (lambda state: {**state, _KEY: state[_KEY][:-1]}, "1 of another shape"),
        (
            lambda state: {**state, _KEY: state[_KEY] * torch.nan},
            r"'features\.3\.block\.0\.0\.weight' contains NaN",
        ),
        (lambda _: registry.build("ssrnet").state_dict(), "does not fit the trunk of MobileAgeNet"),
        (lambda _: registry.build("mobileagenet").state_dict(), "6 of the file's left over"),
        (lambda state: [state[_KEY]], "it holds a list, not tensors by name"),
    ],
)
@pytest.mark.usefixtures("_in_this_process")
def test_an_unsuitable_state_dict_is_refused(
    damaged: Callable[[dict[str, Tensor]], object],
    message: str,
    published: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(damaged(published), path)
    with pytest.raises(UsageError, match=message):
        _started(path)


class _Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_code_in_a_pickle_is_refused_and_not_executed(
    form: str, published: dict[str, Tensor], tmp_path: Path
) -> None:
    harm, path = tmp_path / "harm", tmp_path / "weights.pth"
    content = {**published, "features.0.0.bias": _Touches(harm)}
    if form == "plain":
        path.write_bytes(pickle.dumps(_Touches(harm)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UsageError, match=r"it is a (Python )?pickle"):
        _started(path)
    assert not harm.exists()
    # The code would have run.
    torch.load(path, weights_only=False) if form != "plain" else pickle.loads(path.read_bytes())
    assert harm.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("length", [0, 100, 0.5])
def test_a_truncated_file_is_refused(
    suffix: str, length: float, published: dict[str, Tensor], tmp_path: Path
) -> None:
    some = {k: v for k, v in published.items() if k.startswith("features.1.")}
    path = _written(tmp_path / f"weights{suffix}", some)
    content = path.read_bytes()
    path.write_bytes(content[: int(length * len(content)) if length == 0.5 else int(length)])
    with pytest.raises(UsageError, match="cannot read"):
        _started(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights at"):
        _started(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("torchvision"), RuntimeError("nms does not exist"), OSError("no")]
)
def test_an_unusable_torchvision_is_reported_with_a_fix(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise error

    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", Broken("torchvision.models"))
    with pytest.raises(BackendMissingError) as caught:
        _started(TORCHVISION)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT == 3
    assert "--backbone" in caught.value.fix
    assert "mobileagenet-distilled" in caught.value.fix


def test_torchvision_can_download_the_backbone(
    published: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = types.SimpleNamespace(
        get_state_dict=lambda **_: published, url="https://example.org/weights.pth"
    )
    models = types.ModuleType("torchvision.models")
    models.MobileNet_V3_Large_Weights = types.SimpleNamespace(IMAGENET1K_V2=weights)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    network, origin = _started(TORCHVISION)
    assert origin == {"backbone": "https://example.org/weights.pth"}
    name = "features.16.0.weight"
    assert torch.equal(network.state_dict()[name], published[name])


def _weights(folder: Path, model_id: str, seed: int = 4) -> Weights:
    torch.manual_seed(seed)
    path = folder / f"{model_id}.safetensors"
    checkpoints.write(path, registry.build(model_id), model_id=model_id)
    return checkpoints.read(path)


def test_given_weights_override_the_recipes_start(tmp_path: Path) -> None:
    own = _weights(tmp_path, "mobileagenet")
    recipe = small.recipe("mobileagenet", start="backbone")
    network, origin = start.network_for(recipe, mean=40.0, seed=0, sources=SourceWeights(own))
    assert origin == {"start": own.sha256}
    for name, value in own.state.items():
        assert torch.equal(network.state_dict()[name], value)


def test_the_recipe_chooses_how_far_the_network_shrinks_its_inputs(tmp_path: Path) -> None:
    path = tmp_path / "ssrnet.safetensors"
    config = {"dropout": 0.1}
    checkpoints.write(path, registry.build("ssrnet", config), model_id="ssrnet", config=config)
    sources = SourceWeights(checkpoints.read(path))
    recipe = small.recipe("ssrnet", config={"dropout": 0.3, "shrink": 2})
    assert sources.applied(recipe).config == {"dropout": 0.1, "shrink": 2}
    assert sources.applied(small.recipe("ssrnet")).config == config


@pytest.mark.parametrize(
    ("model_id", "config"), [("ssrnet", {"shrink": 2}), ("mobileagenet", {"stem": 5})]
)
def test_given_weights_continue_in_the_recipes_configuration(
    model_id: str, config: dict[str, int], tmp_path: Path
) -> None:
    sources = SourceWeights(_weights(tmp_path, model_id))
    chosen = sources.applied(small.recipe(model_id, config=config))
    network, _ = start.network_for(chosen, mean=40.0, seed=0, sources=sources)
    face = torch.zeros(1, 3, chosen.contract.height, chosen.contract.width)
    with torch.no_grad():
        assert network(face).shape == (1, 1)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    expected = registry.build(model_id, config).state_dict()
    assert shapes == {name: tensor.shape for name, tensor in expected.items()}


def test_random_weights_depend_on_the_seed() -> None:
    first, again, other = (
        start.network_for(small.recipe(), mean=40.0, seed=seed)[0].state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def _chips(count: int) -> list[Image]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 48, 48, 3), np.uint8))


def test_a_trunk_is_transplanted_from_a_teacher(tmp_path: Path) -> None:
    teacher = _weights(tmp_path, "efficientnet-lite0")
    recipe = small.recipe("mobileagenet", start="teacher")
    network, origin = start.network_for(
        recipe, mean=40.0, seed=0, chips=_chips(8), sources=SourceWeights(teacher=teacher)
    )
    assert origin == {"transplanted": teacher.sha256}
    # A depthwise kernel of one block is copied from its counterpart.
    kernels = network.state_dict()["features.1.block.0.0.weight"].flatten(1)
    donors = teacher.state["_blocks.0._depthwise_conv.weight"].flatten(1)
    assert all((donors == kernel).all(dim=1).any() for kernel in kernels)


def test_a_recipe_that_starts_from_a_teacher_needs_a_suitable_one(tmp_path: Path) -> None:
    recipe = small.recipe("mobileagenet", start="teacher")
    wrong = SourceWeights(teacher=_weights(tmp_path, "ssrnet"))
    with pytest.raises(UsageError, match="MobileAgeNet cannot start from a SSRNet"):
        start.network_for(recipe, mean=40.0, seed=0, chips=_chips(8), sources=wrong)
