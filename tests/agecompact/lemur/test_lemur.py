"""LEMUR modules stand alone, predict as our networks do, and have the published interface."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from agecompact.contract import Contract, Crop, Output
from agecompact.lemur.adapter import MEAN, STD
from agecompact.lemur.module import lemur_module
from agecompact.models import registry
from agecompact.weights import checkpoints
from tests.agecompact.lemur.modules import (
    CPU,
    INTERFACE,
    MODELS,
    PRM,
    ROUNDING,
    as_lemur_loads,
    batches,
    chip,
    module_of,
    net_of,
    ours,
    output_of,
    run,
    weights_of,
    written,
)
from tests.marks import by_model


@pytest.mark.parametrize("model_id", by_model(*MODELS))
def test_without_agecompact_it_predicts_as_our_network(model_id: str, tmp_path: Path) -> None:
    weights, module = weights_of(model_id), module_of(model_id)
    written(module, tmp_path)
    side = weights.contract.height
    # OpenCV enlarges and halves by other rules; UTKFace's chips have 200 pixels.
    sides = [side, 200 if side < 200 else 300]
    for size in sides:
        torch.save(as_lemur_loads(chip(size)), tmp_path / f"{size}.pt")
    script = f"""
        import sys
        sys.modules["agecompact"] = None
        import torch, safetensors.torch
        sys.path.insert(0, {str(tmp_path)!r})
        import {module.name} as module
        net = module.Net((1, 3, 9, 9), (1,), {PRM!r}, torch.device("cpu")).eval()
        net.load_state_dict(safetensors.torch.load_file({str(weights.path)!r}))
        with torch.no_grad():
            for side in {sides}:
                print(net(torch.load(f"{tmp_path}/{{side}}.pt")).item())
        assert not [name for name in sys.modules if name.startswith("agecompact.")]
    """
    lines = output_of(script, tmp_path, "-I").split()
    network = weights.network()
    expected = [ours(network, weights.contract, chip(size)) for size in sides]
    rounding = ROUNDING[weights.contract.outputs[0].unit]
    assert [float(line) for line in lines] == pytest.approx(expected, abs=rounding)
    exchanged = [ours(network, weights.contract, chip(size)[..., ::-1].copy()) for size in sides]
    assert exchanged != pytest.approx(expected, abs=rounding)


@pytest.mark.parametrize("model_id", by_model(*MODELS))
def test_its_trained_weights_load_into_our_network(model_id: str, tmp_path: Path) -> None:
    weights, net = weights_of(model_id), net_of(model_id, tmp_path)
    net.load_state_dict(dict(weights.state))
    net.train_setup(PRM)
    net.learn(batches())
    path = tmp_path / "learnt.safetensors"
    checkpoints.write(
        path, net, model_id=model_id, config=weights.config, contract=weights.contract
    )
    again = checkpoints.read(path).network()
    assert set(again.state_dict()) == set(net.state_dict())
    # Every crop shrinks, and none to a half: OpenCV has other rules for both.
    image = chip(300)
    with torch.no_grad():
        predicted = float(net.eval()(as_lemur_loads(image)))
    assert ours(again, weights.contract, image) == pytest.approx(predicted, abs=1e-3)
    assert ours(weights.network(), weights.contract, image) != pytest.approx(predicted, abs=1e-3)


@pytest.mark.parametrize("model_id", by_model(*MODELS))
def test_training_changes_the_weights_and_keeps_them_finite(model_id: str, tmp_path: Path) -> None:
    net = net_of(model_id, tmp_path)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train_setup(PRM)
    net.learn(batches())
    for name, value in net.state_dict().items():
        assert torch.isfinite(value).all(), name
    still = {k for k, v in net.named_parameters() if torch.equal(v, before[k])}
    # A stage of an untrained SSR-Net may be dead: its ReLUs pass no gradient.
    assert len(still) < 0.3 * len(list(net.parameters())), still


@pytest.mark.parametrize("model_id", by_model(*(m for m in MODELS if m != "mobileagenet")))
def test_training_lowers_its_loss(model_id: str, tmp_path: Path) -> None:
    net = net_of(model_id, tmp_path)
    net.train_setup(PRM)
    data = batches(1)
    net.learn(data)
    first = net.loss(*data[0]).item()
    net.learn(data * 30)
    assert net.loss(*data[0]).item() < 0.9 * first


class _Recorder(dict[str, float]):
    """Hyperparameters that record which of them were read."""

    def __init__(self, values: Mapping[str, float]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> float:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.read.add(str(key))
        return super().__contains__(key)


@pytest.mark.parametrize("model_id", by_model(*MODELS))
def test_the_supported_hyperparameters_are_those_it_reads(model_id: str, tmp_path: Path) -> None:
    module = module_of(model_id)
    loaded = run(module, tmp_path)
    names = loaded.supported_hyperparameters()
    assert isinstance(names, set)
    prm = _Recorder({**PRM, "batch": 4, "epoch_max": 1})
    net = loaded.Net((4, 3, 64, 64), (1,), prm, CPU)
    net.train_setup(prm)
    net.learn(batches(1))
    assert prm.read == names
    assert set(module.hyperparameters) == names | {"batch"}
    assert all(0 <= module.hyperparameters[name] <= 1 for name in names)
    for missing in names:
        fewer = {key: value for key, value in PRM.items() if key != missing}
        with pytest.raises(KeyError, match=missing):
            loaded.Net((4, 3, 64, 64), (1,), fewer, CPU).train_setup(fewer)


@pytest.mark.parametrize("model_id", by_model(*MODELS))
def test_lemur_sets_the_dropout(model_id: str, tmp_path: Path) -> None:
    loaded = run(module_of(model_id), tmp_path)
    net = loaded.Net((4, 3, 64, 64), (1,), {**PRM, "dropout": 0.41}, CPU)
    assert 0.41 in {m.p for m in net.modules() if isinstance(m, nn.Dropout)}


@pytest.mark.parametrize("model_id", by_model(*MODELS))
def test_it_meets_the_published_interface(model_id: str, tmp_path: Path) -> None:
    module = module_of(model_id)
    # LEMUR splits a configuration into task, data set, metric and model at underscores.
    assert len(module.configuration.split(INTERFACE["config_splitter"])) == 4
    assert f"{module.transform}.py" in INTERFACE["transforms"]
    _, loader, _, _ = module.configuration.split("_")
    assert (list(MEAN), list(STD)) == (
        INTERFACE["loaders"][loader]["mean"],
        INTERFACE["loaders"][loader]["std"],
    )
    loaded = run(module, tmp_path)
    assert list(inspect.signature(loaded.Net).parameters) == INTERFACE["net_arguments"]
    for method, arguments in INTERFACE["net_methods"].items():
        assert list(inspect.signature(getattr(loaded.Net, method)).parameters)[1:] == arguments
    check = INTERFACE["check"]
    assert loaded.supported_hyperparameters() <= set(check["prm"])
    net = loaded.Net(tuple(check["in_shape"]), tuple(check["out_shape"]), check["prm"], CPU)
    net.to(CPU)
    net.train_setup(check["prm"])
    # Not the check's batch of 8: only the images' size matters.
    images = torch.randn(2, *check["in_shape"][1:])
    labels = torch.randint(0, check["out_shape"][0], (2,))
    net.learn([(images, labels)])
    assert net(images).shape == (2, 1)
    assert torch.isfinite(net.criterion(net(images), labels))


@pytest.mark.parametrize("model_id", by_model(*MODELS))
def test_the_source_is_complete_and_binds_every_name_once(model_id: str, tmp_path: Path) -> None:
    module = module_of(model_id)
    assert not re.search(r"^\s*(from|import) agecompact", module.source, re.MULTILINE)
    path = written(module, tmp_path)
    # Undefined names, unused names, and functions or classes bound twice.
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    bound: list[str] = []
    for statement in ast.parse(module.source).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            bound += [ast.unparse(target) for target in targets]
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            bound.append(statement.name)
    assert len(set(bound)) == len(bound) > 10


# An SSR-Net has no start to set, so its first output may be anything.
@pytest.mark.parametrize("model_id", by_model(*(m for m in MODELS if not m.startswith("ssrnet"))))
def test_untrained_it_starts_at_human_ages(model_id: str, tmp_path: Path) -> None:
    with torch.no_grad():
        assert 0 < float(net_of(model_id, tmp_path).eval()(as_lemur_loads(chip(64)))) < 110


def test_labels_are_clamped_to_the_bounds_of_the_output(tmp_path: Path) -> None:
    labels = torch.tensor([0, 50, 116])
    assert net_of("mobileagenet", tmp_path).targets(labels).tolist() == [[1.0], [50.0], [95.0]]
    assert net_of("ssrnet", tmp_path).targets(labels).tolist() == [[0.0], [50.0], [116.0]]


def test_a_gender_is_a_pair_if_lemur_wants_two_outputs(tmp_path: Path) -> None:
    image = as_lemur_loads(chip(64))
    pair, alone = (net_of("ssrnet-gender", tmp_path, shape).eval() for shape in ((2,), (1,)))
    with torch.no_grad():
        score = float(alone(image))
        assert pair(image).tolist()[0] == pytest.approx([1 - score, score], abs=1e-6)
    assert float(pair.criterion(torch.tensor([[0.2, 0.8]]), torch.tensor([1]))) == (
        pytest.approx(0.2)
    )


def test_another_contract_changes_the_inputs(tmp_path: Path) -> None:
    """A contract unlike any registered one: a crop, bilinear, RGB, -1..1, another mean."""
    contract = Contract(
        (Crop("face", 0.1, 0.2, 0.9, 0.8),),
        64,
        64,
        "RGB",
        (Output("age", "years"),),
        value_range=(-1.0, 1.0),
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.6, 0.7),
        interpolation="linear",
    )
    net = run(lemur_module("ssrnet", contract=contract), tmp_path).Net((1, 3, 9, 9), (1,), PRM, CPU)
    image = chip(150)
    (tensor,) = net.inputs(as_lemur_loads(image))
    # OpenCV interpolates in fixed point: results may differ by one level of 255.
    assert np.abs(tensor.numpy() - contract.apply(image)["face"]).max() < 1.01 * 2 / 255 / 0.5


def test_another_configuration_is_exported(tmp_path: Path) -> None:
    config = {"bins": 12, "features": None, "se_after": [1, 2], "interval": 9.0, "dropout": 0.3}
    module = lemur_module("c3ae", config)
    net = run(module, tmp_path).Net((1, 3, 9, 9), (1,), PRM, CPU)
    expected = registry.build("c3ae", config).state_dict()
    assert {k: v.shape for k, v in net.state_dict().items()} == {
        k: v.shape for k, v in expected.items()
    }


def test_grey_images_are_refused(tmp_path: Path) -> None:
    loaded = run(module_of("ssrnet"), tmp_path)
    with pytest.raises(ValueError, match="have 1 channels"):
        loaded.Net((4, 1, 64, 64), (1,), PRM, CPU)


def test_a_nan_loss_stops_before_the_weights_change(tmp_path: Path) -> None:
    net = net_of("c3ae-plain", tmp_path)
    net.train_setup(PRM)
    before = net.age.weight.clone()
    with pytest.raises(FloatingPointError, match="loss became nan"):
        net.learn([(torch.randn(2, 3, 64, 64), torch.tensor([[30.0], [float("nan")]]))])
    assert torch.equal(net.age.weight, before)


def test_images_without_normalisation_change_the_age(tmp_path: Path) -> None:
    """So the comparison with our networks would detect the fault."""
    weights, net = weights_of("c3ae"), net_of("c3ae", tmp_path)
    net.load_state_dict(dict(weights.state))
    image = as_lemur_loads(chip(64))
    wrong = image * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    with torch.no_grad():
        assert abs(float(net.eval()(image)) - float(net(wrong))) > 1


_QUOTES = '"""'


@pytest.mark.parametrize(
    "text",
    [
        f"{_QUOTES}\nimport os\nos.abort()\n{_QUOTES}",
        f"{_QUOTES} + exit(3) + {_QUOTES}",
        f"\\{_QUOTES} + exit(3) + {_QUOTES}\\",
        "$code \x00 \udc80",
    ],
)
def test_text_of_a_weights_file_is_no_code_of_the_module(text: str) -> None:
    weights = weights_of("c3ae")
    crops = weights.contract.crops
    contract = replace(weights.contract, crops=(replace(crops[0], name=text), *crops[1:]))
    # The interval is used by the loss only, and the factory takes any value.
    module = lemur_module("c3ae", {**weights.config, "interval": text}, contract)
    plain = lemur_module("c3ae", {**weights.config, "interval": 10.0}, weights.contract)
    tree, expected = ast.parse(module.source), ast.parse(plain.source)
    assert [type(node) for node in tree.body] == [type(node) for node in expected.body]
    assert ast.get_docstring(tree) is not None
