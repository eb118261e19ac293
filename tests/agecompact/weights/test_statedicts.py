"""State dicts as they are found: which load, which are refused, and what every refusal says."""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights import statedicts, unpickling
from agecompact.weights.fitting import AmbiguousError, Match, MisfitError, fit
from agecompact.weights.statedicts import Part, StateDict, read_state_dict
from tests.support import REPOSITORY

State = Mapping[str, Tensor]
Write = Callable[[Path, State], None]


class Net(nn.Module):
    """A network with what state dicts of real ones have: a norm, its counter, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 1)

    def forward(self, image: Tensor) -> Tensor:
        age: Tensor = self.head(self.stem(image).mean((2, 3)))
        return age


@pytest.fixture
def network() -> Net:
    torch.manual_seed(0)
    network = Net()
    # Values that float16 and bfloat16 hold exactly.
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.bfloat16())
    return network


def _saved(change: Callable[[State], object], **options: Any) -> Write:
    return lambda path, state: torch.save(change(state), path, **options)


def _prefixed(state: State, prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def _other(state: State) -> dict[str, Tensor]:
    return {name: value + 1 for name, value in state.items()}


def _lightning(state: State) -> dict[str, Any]:
    return {
        "epoch": 9,
        "global_step": 100,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": {**_prefixed(state, "model."), "criterion.weight": torch.ones(2)},
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(4.5)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "hyper_parameters": {"lr": 1e-3},
    }


def _averaged(state: State) -> object:
    network = Net()
    network.load_state_dict(dict(state))
    return AveragedModel(network).state_dict()


def _training(state: State) -> dict[str, Any]:
    network = Net()
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 3, 8, 8)).sum().backward()
    optimiser.step()
    return {"epoch": 3, "model_state_dict": state, "optimizer_state_dict": optimiser.state_dict()}


# How each file is written, and what is said of it.
LOADS: dict[str, tuple[Write, tuple[str, ...]]] = {
    "plain": (_saved(dict), ()),
    "the format before 1.6": (_saved(dict, _use_new_zipfile_serialization=False), ()),
    "safetensors": (lambda path, state: save_file(dict(state), path), ()),
    "float16": (
        _saved(lambda state: {k: v.half() for k, v in state.items()}),
        ("converted 8 tensors from float16 to float32",),
    ),
    "bfloat16 safetensors": (
        lambda path, state: save_file({k: v.bfloat16() for k, v in state.items()}, path),
        ("converted 8 tensors from bfloat16 to float32",),
    ),
    "float64": (
        _saved(lambda state: {k: v.double() for k, v in state.items()}),
        ("converted 8 tensors from float64 to float32",),
    ),
    "no counters": (
        _saved(lambda state: {k: v for k, v in state.items() if "num_batches" not in k}),
        (),
    ),
    "counters of a profiler": (
        _saved(
            lambda state: {**state, "total_ops": torch.zeros(1), "head.total_params": torch.ones(1)}
        ),
        (),
    ),
    "parameters": (_saved(lambda state: {k: nn.Parameter(v, False) for k, v in state.items()}), ()),
    "views of one storage": (
        _saved(lambda state: {**state, "head.bias": torch.stack([state["head.bias"]] * 3)[1]}),
        (),
    ),
    "NumPy arrays": (_saved(lambda state: {k: v.numpy() for k, v in state.items()}), ()),
    "state_dict": (_saved(lambda state: {"state_dict": state}), ("unwrapped 'state_dict'",)),
    "a training": (
        _saved(_training),
        ("unwrapped 'model_state_dict'", "ignored epoch, optimizer_state_dict"),
    ),
    "net, with the accuracy": (
        _saved(lambda state: {"net": state, "acc": np.float64(0.5), "epoch": 3}),
        ("unwrapped 'net'", "ignored acc, epoch"),
    ),
    "model, with arguments": (
        _saved(
            lambda state: {
                "model": state,
                "args": argparse.Namespace(lr=1e-3, out=Path("runs")),
                "matrix": np.eye(3),
            }
        ),
        ("unwrapped 'model'", "ignored matrix, args"),
    ),
    "ema": (_saved(lambda state: {"ema": state}), ("unwrapped 'ema'",)),
    "model and its average": (
        _saved(lambda state: {"model": _other(state), "model_ema": state}),
        (
            "chose 'model_ema': averaged weights come before others",
            "unwrapped 'model_ema'",
            "ignored model",
        ),
    ),
    "an average and its source in one dict": (
        _saved(lambda s: {**_prefixed(_other(s), "online_model."), **_prefixed(s, "ema_model.")}),
        ("chose 'ema_model'", "removed prefix 'ema_model.'", "ignored online_model.stem.0.weight"),
    ),
    "two that are equal": (
        _saved(lambda state: {"last": state, "best": state}),
        ("unwrapped 'last'", "ignored best"),
    ),
    "deep inside": (
        _saved(lambda state: {"checkpoint": {"weights": {"net": state}}}),
        ("unwrapped 'checkpoint.weights.net'",),
    ),
    "Lightning": (
        _saved(_lightning),
        ("unwrapped 'state_dict'", "removed prefix 'model.'", "ignored callbacks, epoch"),
    ),
    "AveragedModel": (_saved(_averaged), ("removed prefix 'module.'", "ignored n_averaged")),
    "DataParallel": (_saved(lambda s: _prefixed(s, "module.")), ("removed prefix 'module.'",)),
    "compiled": (_saved(lambda s: _prefixed(s, "_orig_mod.")), ("removed names of wrappers",)),
    "compiled, then distributed": (
        _saved(lambda state: _prefixed(state, "module._orig_mod.")),
        ("removed names of wrappers", "removed prefix 'module.'"),
    ),
    "a compiled layer": (
        _saved(lambda s: {k.replace("stem.", "stem._orig_mod."): v for k, v in s.items()}),
        ("removed names of wrappers",),
    ),
    "backbone and another head": (
        _saved(lambda s: {**_prefixed(s, "backbone."), "classifier.weight": torch.ones(2)}),
        ("removed prefix 'backbone.'", "ignored classifier.weight"),
    ),
    "beside other values": (
        _saved(lambda state: {**state, "epoch": 3, "lr": 0.1}),
        ("ignored epoch, lr",),
    ),
}


def _loaded(path: Path, network: nn.Module) -> Match:
    return fit(read_state_dict(path), network)


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("name", LOADS)
def test_state_dicts_load_whatever_is_around_them(name: str, network: Net, tmp_path: Path) -> None:
    write, said = LOADS[name]
    # The name of a file says nothing.
    path = tmp_path / "best.ckpt"
    write(path, network.state_dict())
    torch.manual_seed(1)
    found = _loaded(path, Net())
    wanted = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    assert found.tensors.keys() == wanted.keys()
    for key, value in found.tensors.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, wanted[key]), key
    assert len(found.notes) == len(said), found.notes
    for note, beginning in zip(found.notes, said, strict=True):
        assert note.startswith(beginning)


class _Runs:
    """Runs a function when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def _text(text: str) -> Write:
    return lambda path, _: path.write_text(text) and None


def _truncated(path: Path, state: State) -> None:
    torch.save(dict(state), path)
    path.write_bytes(path.read_bytes()[:-100])


def _damaged(path: Path, state: State) -> None:
    torch.save(dict(state), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:300])


def _rezipped(path: Path, _: State) -> None:
    """An archive of few bytes that becomes large when it is read."""
    torch.save({"w": torch.zeros(2**20)}, path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    assert path.stat().st_size < 2**16


def _keras(path: Path, _: State) -> None:
    with h5py.File(path, "w") as file:
        file["dense/kernel:0"] = np.zeros((2, 2))


def _onnx(path: Path, _: State) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [])
    onnx.save(helper.make_model(graph, producer_name="someone"), path)  # type: ignore[no-untyped-call]


def _network_with(state: State) -> Net:
    network = Net()
    network.load_state_dict(dict(state))
    return network.eval()


def _scripted(path: Path, state: State) -> None:
    torch.jit.script(_network_with(state)).save(str(path))  # type: ignore[no-untyped-call]


def _exported(path: Path, state: State) -> None:
    torch.export.save(torch.export.export(_network_with(state), (torch.zeros(1, 3, 8, 8),)), path)


def _with(name: str, value: Tensor) -> Write:
    return _saved(lambda state: {**state, name: value})


_ME = f"{__name__}.Net"
# How each file is written, what the message says, and how its fix begins.
REFUSED: dict[str, tuple[Write, tuple[str, ...], str]] = {
    "a pickled network": (
        _saved(_network_with),
        ("it is a pickle of a whole network, and loading it would run code", _ME),
        "if you trust it, save its tensors with Python, in the code that defines",
    ),
    "a pickled network of torch's own layers": (
        _saved(lambda _: nn.Sequential(nn.Linear(2, 1))),
        ("needs torch.nn.modules.container.Sequential",),
        "if you trust it, save its tensors with Python, then name",
    ),
    "a pickled network in a dict": (
        _saved(lambda state: {"epoch": 3, "model": _network_with(state)}),
        ("a pickle of a whole network", _ME),
        "if you trust it",
    ),
    "a state dict beside an object": (
        _saved(lambda state: {"state_dict": state, "hook": _Runs(print, "ran")}),
        ("a pickle of more than tensors", "it needs print"),
        "if you trust it",
    ),
    "the format before 1.6 with an object": (
        _saved(_network_with, _use_new_zipfile_serialization=False),
        ("a pickle of more than tensors", _ME),
        "if you trust it",
    ),
    "a pickle of protocol 4": (
        _saved(dict, pickle_protocol=4),
        ("it is a pickle of protocol 4 or 5",),
        "if you trust it",
    ),
    "a pickle of arrays": (
        lambda path, s: (
            path.write_bytes(pickle.dumps({k: v.numpy() for k, v in s.items()})) and None
        ),
        ("it is a Python pickle, which can run code",),
        "if you trust it",
    ),
    "code for the shell": (
        _saved(lambda state: {**state, "x": _Runs(__import__("os").system, "false")}),
        ("it is a pickle that calls posix.system, which no weights need",),
        "get the weights from a source that you trust",
    ),
    "TorchScript": (_scripted, ("it is a TorchScript archive",), "if you trust it"),
    "torch.export": (_exported, ("it is a torch.export archive",), "if you trust it"),
    "Keras": (_keras, ("it is a Keras HDF5 file",), "agecompact weights import"),
    "ONNX": (_onnx, ("it is an ONNX model",), "name the weights that it was exported from"),
    "text": (_text("epoch 1 loss 3\n"), ("it is a text file",), "name a file that torch.save"),
    "a web page": (
        _text("<!DOCTYPE html>\n404"),
        ("it is a web page",),
        "download the file itself",
    ),
    "a pointer": (_text("version https://git-lfs.github.com/spec/v1\n"), ("LFS",), "git lfs pull"),
    "nothing": (lambda path, _: path.touch(), ("it is an empty file",), "copy or download"),
    "cut short": (_truncated, ("a ZIP archive that is cut short",), "copy or download it again"),
    "the format before 1.6, cut short": (_damaged, ("torch.load cannot read it",), "copy or"),
    "one tensor": (_saved(lambda s: s["head.bias"]), ("it holds one tensor",), "save one in"),
    "a list": (_saved(lambda s: list(s.values())), ("it holds a list",), "save one in PyTorch"),
    "no tensors": (
        _saved(lambda _: {"epoch": 3}),
        ("it holds a dict with the keys 'epoch'",),
        "save one in PyTorch",
    ),
    "NaN": (
        _with("head.bias", torch.tensor([float("nan")])),
        ("'head.bias' contains NaN or Inf",),
        "use an earlier checkpoint",
    ),
    "too large for float32": (
        _with("head.bias", torch.tensor([1e300], dtype=torch.float64)),
        ("'head.bias' contains NaN or Inf",),
        "use an earlier checkpoint",
    ),
    "int8": (
        _with("head.bias", torch.ones(1, dtype=torch.int8)),
        ("'head.bias' is int8: it is quantised",),
        "save the float32 network",
    ),
    "quantised": (
        _with(
            "head.bias",
            torch._empty_affine_quantized([1], scale=1.0, zero_point=0, dtype=torch.qint8),
        ),
        ("tensors that are not plain numbers", "quantised"),
        "save the float32 network",
    ),
    "sparse": (
        _with("head.bias", torch.ones(1).to_sparse()),
        ("torch.sparse_coo, of shape (1,)",),
        "save the float32 network",
    ),
    "no values": (
        _with("head.bias", torch.ones(1, device="meta")),
        ("empty (on the meta device)",),
        "save the float32 network",
    ),
    "a view larger than memory": (
        _with("head.bias", torch.ones(1).expand(2**40)),
        ("its tensors take more than 1,048,576 bytes",),
        "save the network alone",
    ),
    "an archive larger than it looks": (
        _rezipped,
        ("its tensors take more than 1,048,576 bytes",),
        "save the network alone",
    ),
    "a tensor of another shape": (
        _with("head.weight", torch.ones(1, 5)),
        (
            "does not fit Net\nwhy: 1 of another shape",
            "'head.weight' has shape (1, 5), in the network (1, 4)",
        ),
        "name weights of this network",
    ),
    "a missing and an unknown tensor": (
        _saved(lambda s: {k.replace("head.bias", "head.biases"): v for k, v in s.items()}),
        (
            "1 of its 8 tensors missing, 1 of the file's left over",
            "missing: head.bias; the nearest left over: head.biases",
        ),
        "name weights of this network",
    ),
    "another head under a prefix": (
        _saved(
            lambda state: {
                "state_dict": {
                    k: v for k, v in _prefixed(state, "net.").items() if "head" not in k
                },
                "epoch": 1,
            }
        ),
        (
            "2 of its 8 tensors missing",
            "likely prefix: 'net.', which its names begin with",
            "the nearest part of the file is 'state_dict'",
        ),
        "name weights of this network",
    ),
    "another network": (
        _saved(lambda _: nn.ModuleDict({"other": nn.Linear(2, 3)}).state_dict()),
        ("8 of its 8 tensors missing, 2 of the file's left over", "left over: other.weight"),
        "name weights of this network",
    ),
    "more layers than the network has": (
        _with("head2.weight", torch.ones(1)),
        ("1 of the file's left over", "left over: head2.weight"),
        "name weights of this network",
    ),
    "several networks": (
        _saved(lambda state: {"student": state, "teacher": _other(state)}),
        ("several networks that fit", "their weights differ: 'student', 'teacher'"),
        "choose one with Python, such as 'teacher'",
    ),
    "several networks in one dict": (
        _saved(lambda s: {**_prefixed(s, "a."), **_prefixed(_other(s), "b.")}),
        ("their weights differ: 'a', 'b'",),
        "choose one with Python",
    ),
}


def _refusal(path: Path, network: nn.Module) -> UsageError:
    with pytest.raises(UsageError) as caught:
        _loaded(path, network)
    return caught.value


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_load_is_refused_with_a_cure(
    name: str, network: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (statedicts, unpickling):
        monkeypatch.setattr(module, "MOST_BYTES", 2**20)
    write, messages, fix = REFUSED[name]
    path = tmp_path / "best.pth"
    write(path, network.state_dict())
    error = _refusal(path, network)
    assert str(path) in error.what
    for message in messages:
        assert message in "\n".join((error.what, f"why: {error.why}"))
    assert error.fix.startswith(fix)


_WITH_PYTHON = (
    "a pickled network",
    "a pickled network in a dict",
    "a state dict beside an object",
    "the format before 1.6 with an object",
    "a pickle of protocol 4",
    "a pickle of arrays",
    "TorchScript",
    "torch.export",
    "several networks",
    "several networks in one dict",
)


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("name", _WITH_PYTHON)
def test_the_lines_of_python_make_a_file_that_loads(
    name: str, network: Net, tmp_path: Path
) -> None:
    path = tmp_path / "best.pth"
    REFUSED[name][0](path, network.state_dict())
    text, *lines = _refusal(path, network).fix.splitlines()
    assert len(lines) == 2
    exec("\n".join(lines), {})
    new = tmp_path / "best-tensors.pth"
    assert text.endswith(f"then name {new}:")
    found = _loaded(new, network)
    right = all(torch.equal(v, network.state_dict()[k]) for k, v in found.tensors.items())
    assert right or name.startswith("several")


def test_the_lines_of_python_choose_from_safetensors(network: Net, tmp_path: Path) -> None:
    path = tmp_path / "two.safetensors"
    state = network.state_dict()
    save_file({**_prefixed(state, "a."), **_prefixed(_other(state), "b.")}, path)
    with pytest.raises(AmbiguousError) as caught:
        _loaded(path, network)
    exec("\n".join(caught.value.fix.splitlines()[1:]), {})
    _loaded(tmp_path / "two-tensors.pth", network)


@pytest.mark.parametrize("form", ["zip", "before 1.6", "plain"])
def test_code_is_not_run(form: str, network: Net, tmp_path: Path) -> None:
    harm, path = tmp_path / "harm", tmp_path / "best.pth"
    harmful = {**network.state_dict(), "x": _Runs(Path.mkdir, harm)}
    if form == "plain":
        path.write_bytes(pickle.dumps(harmful))
    else:
        torch.save(harmful, path, _use_new_zipfile_serialization=form == "zip")
    assert "if you trust it" in _refusal(path, network).fix
    assert not harm.exists()


def test_a_pickle_is_read_in_a_process_with_a_limit(network: Net, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    torch.save({**network.state_dict(), "x": _Runs(bytearray, 2**42)}, path)
    assert "MB of memory" in _refusal(path, network).why


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights at"):
        read_state_dict(tmp_path / "absent.pth")


def _state(**parts: State) -> StateDict:
    return StateDict(Path("x.pth"), "", tuple(Part((k,), v) for k, v in parts.items()))


def test_a_prefix_that_only_the_network_has_is_added(network: Net) -> None:
    whole = nn.Module()
    whole.net = network
    found = fit(_state(model=network.state_dict()), whole)
    assert found.tensors.keys() == {k for k in whole.state_dict() if "num_batches" not in k}
    assert "added prefix 'net.'" in found.notes


def test_constants_in_a_traced_network_are_left_out(network: Net) -> None:
    network.register_buffer("index", torch.arange(3), persistent=False)
    traced = torch.jit.trace(network.eval(), torch.zeros(1, 3, 8, 8))  # type: ignore[no-untyped-call]
    assert "index" in traced.state_dict()
    assert "index" not in fit(_state(model=traced.state_dict()), network).tensors


def test_shapes_are_compared_before_memory_is_taken() -> None:
    with torch.device("meta"):
        network = nn.Linear(10**6, 10**6)
    with pytest.raises(MisfitError, match="1 of another shape"):
        fit(_state(model={"weight": torch.zeros(1), "bias": torch.zeros(1).expand(10**6)}), network)


_TIMM = json.loads((REPOSITORY / "tests/data/timm-state-dicts.json").read_text())["tensors"]


@pytest.mark.parametrize(
    ("model_id", "theirs"),
    [("mobileagenet", "mobilenetv3_large_100"), ("efficientnet-lite0", "efficientnet_lite0")],
)
def test_a_trunk_takes_timms_names(model_id: str, theirs: str) -> None:
    network = registry.outline(model_id)
    # Each tensor's value is its place in timm's order, which is also ours.
    state = {n: torch.full(s, float(i)) for i, (n, s) in enumerate(_TIMM[theirs].items())}
    heads: Any = network
    found = fit(_state(state_dict=_prefixed(state, "module.")), network, heads=heads.heads())
    values = [value.flatten()[0].item() for value in found.tensors.values()]
    assert sorted(values) == list(range(len(values)))
    assert "renamed from timm's names" in found.notes
    assert "classifier.weight" in found.notes[-1]


def test_reading_imports_no_torch_in_the_layers_below() -> None:
    code = "import sys, agecompact.weights.statedicts; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
