"""The modules pass the checks of the published nn-dataset, if its unpacked wheel is named."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.agecompact.lemur.modules import (
    INTERFACE,
    MODELS,
    PRM,
    PUBLISHED,
    ROUNDING,
    as_lemur_loads,
    chip,
    module_of,
    ours,
    output_of,
    published,
    weights_of,
    written,
)


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
