"""LEMUR modules stand alone, predict as our networks do, and have the published interface."""

import ast
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from agecompact.contract import Contract, Crop, Image, Output
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
# Facts of the published interface, as `interface` reads them from its sources.
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


@pytest.mark.parametrize("model_id", MODELS)
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
    rounding = ROUNDING[weights.contract.output.unit]
    assert [float(line) for line in lines] == pytest.approx(expected, abs=rounding)
    exchanged = [ours(network, weights.contract, chip(size)[..., ::-1].copy()) for size in sides]
    assert exchanged != pytest.approx(expected, abs=rounding)


@pytest.mark.parametrize("model_id", MODELS)
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
    image = chip(max(weights.contract.height, 200))
    with torch.no_grad():
        predicted = float(net.eval()(as_lemur_loads(image)))
    assert ours(again, weights.contract, image) == pytest.approx(predicted, abs=1e-3)
    assert ours(weights.network(), weights.contract, image) != pytest.approx(predicted, abs=1e-3)


@pytest.mark.parametrize("model_id", MODELS)
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


@pytest.mark.parametrize("model_id", [m for m in MODELS if m != "mobileagenet"])
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


@pytest.mark.parametrize("model_id", MODELS)
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


@pytest.mark.parametrize("model_id", MODELS)
def test_lemur_sets_the_dropout(model_id: str, tmp_path: Path) -> None:
    loaded = run(module_of(model_id), tmp_path)
    net = loaded.Net((4, 3, 64, 64), (1,), {**PRM, "dropout": 0.41}, CPU)
    assert 0.41 in {m.p for m in net.modules() if isinstance(m, nn.Dropout)}


@pytest.mark.parametrize("model_id", MODELS)
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


@pytest.mark.parametrize("model_id", MODELS)
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
@pytest.mark.parametrize("model_id", [m for m in MODELS if not m.startswith("ssrnet")])
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
        Output("age", "years"),
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


def interface(root: Path) -> dict[str, Any]:
    """The facts of an unpacked nn-dataset that a module must meet."""
    util = root / "ab" / "nn" / "util"
    check = next(
        node
        for node in ast.walk(ast.parse((util / "CodeEval.py").read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "dynamic_evaluation"
    )
    values, calls = {}, {}
    for node in ast.walk(check):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            calls[called] = [ast.unparse(argument) for argument in node.args]
    metadata = next(root.glob("nn_dataset-*.dist-info/METADATA")).read_text()
    constants = (util / "Const.py").read_text()
    loaders = {}
    for name in ("utkface", "imdb_wiki", "celeba-gender"):
        text = (root / "ab" / "nn" / "loader" / f"{name}.py").read_text()
        loaders[name] = {
            key: list(ast.literal_eval(re.findall(rf"^__norm_{word} = (.*)$", text, re.M)[0]))
            for key, word in (("mean", "mean"), ("std", "dev"))
        }
    transforms = sorted(p.name for p in (root / "ab" / "nn" / "transform").glob("norm*.py"))
    return {
        "version": re.findall(r"^Version: (.*)$", metadata, re.M)[0],
        "config_splitter": re.findall(r"^config_splitter = '(.*)'$", constants, re.M)[0],
        "net_arguments": calls["ModelClass"],
        "net_methods": {name: calls[name] for name in ("train_setup", "learn")},
        "check": {
            "in_shape": list(values["in_shape"]),
            "out_shape": list(values["out_shape"]),
            "prm": values["prm"],
        },
        "loaders": loaders,
        "transforms": transforms,
    }


@published
def test_the_recorded_interface_is_the_published_one() -> None:
    assert interface(Path(str(PUBLISHED))) == {
        key: value for key, value in INTERFACE.items() if key != "about"
    }


@published
@pytest.mark.parametrize("model_id", MODELS)
def test_the_published_check_passes(model_id: str, tmp_path: Path) -> None:
    """`evaluate_single_file` would take any result of `dynamic_evaluation` for a success."""
    pytest.importorskip("radon", reason="nn-dataset's CodeEval imports radon")
    path = written(module_of(model_id), tmp_path)
    script = f"""
        import sys
        sys.path.insert(0, {str(PUBLISHED)!r})
        from ab.nn.util.CodeEval import dynamic_evaluation
        result = dynamic_evaluation({str(path)!r})
        sys.exit(0 if result["success"] else result["output"])
    """
    output_of(script, tmp_path)


@published
@pytest.mark.parametrize("model_id", MODELS)
def test_the_published_loader_loads_our_weights(model_id: str, tmp_path: Path) -> None:
    """LEMUR saves a state dict with `torch.save` and loads it strictly, without pickled objects."""
    module, weights = module_of(model_id), weights_of(model_id)
    written(module, tmp_path)
    checkpoint = tmp_path / "ckpt" / module.name / "best_model.pth"
    checkpoint.parent.mkdir(parents=True)
    torch.save(load_file(weights.path), checkpoint)
    script = f"""
        import sys
        sys.path[:0] = [{str(PUBLISHED)!r}, {str(tmp_path)!r}]
        from pathlib import Path
        import torch
        from ab.nn.util import Util
        import {module.name} as module
        Util.ckpt_dir = Path({str(tmp_path / "ckpt")!r})
        net = module.Net((1, 3, 64, 64), (1,), {PRM!r}, torch.device("cpu"))
        sys.exit(not Util.load_pretrained_weights(net, "ab.nn.nn.{module.name}"))
    """
    output_of(script, tmp_path)


@published
def test_the_published_onnx_export_predicts_alike(tmp_path: Path) -> None:
    """LEMUR leaves the images' size open, also in the crops and the resizing."""
    module, weights = module_of("c3ae"), weights_of("c3ae")
    written(module, tmp_path)
    torch.save(as_lemur_loads(chip(200)), tmp_path / "image.pt")
    script = f"""
        import sys
        sys.path[:0] = [{str(PUBLISHED)!r}, {str(tmp_path)!r}]
        import onnxruntime, safetensors.torch, torch
        from ab.nn.util.Util import export_model_to_onnx
        import {module.name} as module
        net = module.Net((1, 3, 64, 64), (1,), {PRM!r}, torch.device("cpu")).eval()
        net.load_state_dict(safetensors.torch.load_file({str(weights.path)!r}))
        export_model_to_onnx(net, torch.randn(1, 3, 256, 256), "{tmp_path}/net.onnx")
        session = onnxruntime.InferenceSession("{tmp_path}/net.onnx")
        image = torch.load("{tmp_path}/image.pt")
        print()
        print(session.run(None, {{"input": image.numpy()}})[0].item())
    """
    predicted = float(output_of(script, tmp_path).split()[-1])
    expected = ours(weights.network(), weights.contract, chip(200))
    assert predicted == pytest.approx(expected, abs=ROUNDING["years"])
