"""Weights of other people's PyTorch ports, compared with the ports' own answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights import checkpoints
from agecompact.weights.adoption import weights_file
from parity_tests.inputs import portrait
from tests.agecompact.weights.importers.porting import (
    SHIFT_FIRST,
    STREAM_ORDER,
    PortedC3AE,
    PortedSSRNet,
    trained,
)
from tests.invoking import done, refused, run

pytestmark = pytest.mark.usefixtures("_in_this_process")
State = dict[str, Tensor]


def _refused(*arguments: object) -> UsageError:
    error = refused(*arguments)
    assert error.exit_code == 2
    assert len(str(error).splitlines()) <= 20
    return error


def _saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def _adopted(path: Path, model_id: str) -> tuple[nn.Module, tuple[str, ...]]:
    with weights_file(path, model_id, naming="") as adopted:
        return checkpoints.read(adopted.path).network(), adopted.notes


def _gap(port: nn.Module, ours: nn.Module, crops: int = 1) -> float:
    """The largest difference of two networks in years; their answers are not all the same."""
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand((6, 3, 64, 64), generator=generator) * 2 for _ in range(crops)]
    with torch.no_grad():
        theirs = port(*images)
        assert float(theirs.std()) > 0.01
        return float((theirs - ours(*images)).abs().max())


def _crops(model_id: str) -> int:
    return len(registry.get(model_id).contract.crops)


_PORTS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "SSR-Net": ("ssrnet", PortedSSRNet),
    "SSR-Net, streams in another order": ("ssrnet", lambda: PortedSSRNet(order=STREAM_ORDER)),
    "SSR-Net, shift before shares": ("ssrnet", lambda: PortedSSRNet(order=SHIFT_FIRST)),
    "SSR-Net without bias before batch norms": ("ssrnet", lambda: PortedSSRNet(bias=False)),
    "C3AE": ("c3ae", PortedC3AE),
    "C3AE with a bias before each batch norm": ("c3ae", lambda: PortedC3AE(bias=True)),
    "plain C3AE": ("c3ae-plain", lambda: PortedC3AE(plain=True)),
}


@pytest.mark.parametrize("name", _PORTS)
def test_a_port_answers_as_in_its_own_code(name: str, tmp_path: Path) -> None:
    model_id, build = _PORTS[name]
    port = trained(build())
    ours, notes = _adopted(_saved(tmp_path / "port.pth", port.state_dict()), model_id)
    assert _gap(port, ours, _crops(model_id)) < 1e-4
    assert notes[0].startswith("a port with names of its own: its ")


def _half(state: State) -> State:
    return {n: v.half() if v.is_floating_point() else v for n, v in state.items()}


def _under(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


_WRAPPED: dict[str, tuple[Callable[[State], Any], tuple[str, ...]]] = {
    "nested": (lambda s: {"epoch": 3, "net": s}, ("unwrapped 'net'", "ignored epoch")),
    "DataParallel": (lambda s: _under("module.", s), ("removed prefix 'module.'",)),
    "compiled inside": (lambda s: _under("model.", _under("_orig_mod.", s)), ()),
    "deep": (
        lambda s: {"a": {"b": _under("module.model.", s)}, "optimizer": {"lr": 0.1}},
        ("unwrapped 'a.b'", "removed prefix 'module.model.'", "ignored optimizer"),
    ),
    "with others": (
        lambda s: {**_under("net.", s), "loss.weight": torch.ones(7), "net.ages": torch.arange(3)},
        ("removed prefix 'net.'", "ignored net.ages, loss.weight"),
    ),
    "average": (
        lambda s: {"model": {n: v + 1 for n, v in s.items()}, "ema": s},
        ("chose 'ema': averaged weights come before others", "unwrapped 'ema'"),
    ),
}


@pytest.mark.parametrize("name", _WRAPPED)
@pytest.mark.parametrize(("build", "model_id"), [(PortedSSRNet, "ssrnet"), (PortedC3AE, "c3ae")])
def test_a_port_is_unwrapped(
    name: str, build: Callable[[], nn.Module], model_id: str, tmp_path: Path
) -> None:
    port = trained(build())
    wrap, expected = _WRAPPED[name]
    ours, notes = _adopted(_saved(tmp_path / "p.pth", wrap(dict(port.state_dict()))), model_id)
    assert _gap(port, ours, _crops(model_id)) < 1e-4
    assert set(expected) <= set(notes)


def test_a_port_of_float16(tmp_path: Path) -> None:
    port = trained(PortedSSRNet())
    state = _half(dict(port.state_dict()))
    port.load_state_dict(state)
    ours, notes = _adopted(_saved(tmp_path / "p.pth", state), "ssrnet")
    assert _gap(port, ours) < 1e-4
    assert any(note.endswith("tensors from float16 to float32") for note in notes)


def test_two_ports_that_differ_are_refused(tmp_path: Path) -> None:
    """The fix is Python that works."""
    one, two = trained(PortedSSRNet()), trained(PortedSSRNet(), seed=1)
    path = _saved(tmp_path / "p.pth", {"one": one.state_dict(), "two": two.state_dict()})
    error = _refused("export", "ssrnet", "--weights", path)
    assert "holds several networks that fit" in error.what
    _, *lines = error.fix.splitlines()
    exec("\n".join(lines), {})
    (new,) = set(tmp_path.glob("*.pth")) - {path}
    ours, _ = _adopted(new, "ssrnet")
    assert min(_gap(one, ours), _gap(two, ours)) < 1e-4


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    path = tmp_path / "chip.png"
    cv2.imwrite(str(path), portrait())
    return path


def test_predict_answers_as_the_port(chip: Path, tmp_path: Path) -> None:
    port = trained(PortedSSRNet())
    with torch.no_grad():
        for stream in ("avg", "max"):
            port.get_parameter(f"{stream}.0.0.weight").div_(128)  # Pixels are 0 to 255.
    path = _saved(tmp_path / "best.pth", {"state_dict": port.state_dict()})
    result = done(
        *("predict", chip, "--no-detect", "--model", "ssrnet", "--weights", path, "--json", "-")
    )
    image = cv2.resize(portrait(), (64, 64), interpolation=cv2.INTER_AREA)
    with torch.no_grad():
        age = float(port(torch.from_numpy(image.transpose(2, 0, 1)[np.newaxis].astype(np.float32))))
    (face,) = json.loads(result.stdout)["images"][0]["faces"]
    assert face["age_years"] == pytest.approx(age, abs=1e-3)
    for note in (
        "a port with names of its own: its 40 layers match by their shapes and by the order of the "
        "layers",
        "'heads.0.prob' was taken for p, 'heads.0.shift' for eta",
        "unwrapped 'state_dict'",
        "maps assumed flattened in chw order, epsilon of batch norms assumed 1e-05",
        "images assumed BGR, 0 to 255, as for 'ssrnet'",
    ):
        assert f"{path}: {note}\n" in result.stderr
    assert f"agecompact weights import {path} --model ssrnet --flatten hwc" in result.stderr


def _imported(path: Path, model_id: str, *options: object) -> tuple[nn.Module, dict[str, Any]]:
    out = path.with_name("new.safetensors")
    arguments = ("--model", model_id, "--out", out, "--json", "-", *options)
    record = json.loads(done("weights", "import", path, *arguments).stdout)
    return checkpoints.read(out).network(), record


_KERAS_LIKE = ("--flatten", "hwc", "--bn-epsilon", "1e-3")


@pytest.mark.parametrize(
    ("build", "model_id"),
    [
        (lambda: PortedSSRNet(flatten="hwc", epsilon=1e-3), "ssrnet"),
        (lambda: PortedC3AE(flatten="hwc", epsilon=1e-3), "c3ae"),
    ],
)
def test_another_flatten_order_is_cured_by_the_option(
    build: Callable[[], nn.Module], model_id: str, tmp_path: Path
) -> None:
    port = trained(build())
    path = _saved(tmp_path / "p.pth", port.state_dict())
    wrong, _ = _imported(path, model_id)
    assert _gap(port, wrong, _crops(model_id)) > 0.01
    right, record = _imported(path, model_id, *_KERAS_LIKE)
    assert _gap(port, right, _crops(model_id)) < 1e-4
    assert record["adopted"][-2:] == [
        "maps stated as flattened in hwc order, epsilon of batch norms stated as 0.001",
        f"images assumed BGR, 0 to 255, as for '{model_id}'",
    ]


def test_one_option_alone_leaves_the_other_assumed(tmp_path: Path) -> None:
    port = trained(PortedSSRNet(flatten="hwc"))
    path = _saved(tmp_path / "p.pth", port.state_dict())
    ours, record = _imported(path, "ssrnet", "--flatten", "hwc")
    assert _gap(port, ours) < 1e-4
    assert "flattened in hwc order, epsilon of batch norms assumed" in record["adopted"][-3]
    assert "--flatten hwc --bn-epsilon 1e-3 --out" in record["adopted"][-2]


@pytest.mark.parametrize("epsilon", [1e-5, 1e-2])
def test_variances_below_the_epsilon(epsilon: float, tmp_path: Path) -> None:
    """A channel that is nearly constant: our own epsilon is larger than its variance."""
    port = trained(PortedSSRNet(epsilon=epsilon))
    with torch.no_grad():
        for name, tensor in port.state_dict().items():
            if name.endswith("running_var"):
                tensor[::3] = 1e-6
            if name.endswith("1.weight"):
                tensor[::3] *= 0.02
    path = _saved(tmp_path / "p.pth", port.state_dict())
    ours, _ = _imported(path, "ssrnet", "--bn-epsilon", epsilon)
    assert _gap(port, ours) < 1e-3
    variances = [v for n, v in ours.state_dict().items() if n.endswith("running_var")]
    assert all(bool((variance >= 0).all()) for variance in variances)


def test_options_of_a_port_are_for_ports(tmp_path: Path) -> None:
    path = _saved(tmp_path / "own.pth", registry.build("ssrnet").state_dict())
    to = ("--model", "ssrnet", "--out", tmp_path / "new.safetensors")
    error = _refused("weights", "import", path, *to, "--flatten", "chw")
    assert error.fix == "leave out --flatten and --bn-epsilon"
    path = tmp_path / "public.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    error = _refused("weights", "import", path, *to, "--bn-epsilon", "1e-4")
    assert "it is a Keras file" in error.why
    assert run("weights", "import", path, *to, "--bn-epsilon", "0").exit_code == 2


def test_a_port_that_lacks_a_layer(tmp_path: Path) -> None:
    state = dict(trained(PortedSSRNet()).state_dict())
    held = {n: v for n, v in state.items() if not n.startswith("heads.1.joint")}
    path = _saved(tmp_path / "p.pth", {"net": _under("module.", held)})
    error = _refused("export", "ssrnet", "--weights", path)
    assert error.what == f"{path} does not fit 'ssrnet'"
    assert (
        "as a port with names of its own: 39 of its 40 layers match in order; the first difference "
        "is 'module.heads.1.prob' (bias 3, weight 3x6), where 'stages.1.mix' (bias 6, weight 6x3) "
        "was expected"
    ) in error.why
    assert error.fix.endswith(f"--factory CODE.py:NETWORK --weights {path}")


def test_a_port_of_other_shapes(tmp_path: Path) -> None:
    """As with padded convolutions, whose maps are larger."""
    state = dict(trained(PortedC3AE()).state_dict())
    state["twelve.weight"] = torch.zeros(12, 32 * 64)
    path = _saved(tmp_path / "p.pth", state)
    error = _refused("export", "c3ae", "--weights", path)
    assert "'twelve' (bias 12, weight 12x2048), where 'features'" in error.why
    assert "agecompact init NET.toml" in error.fix


def test_a_port_of_another_model_is_named(tmp_path: Path) -> None:
    path = _saved(tmp_path / "p.pth", trained(PortedSSRNet()).state_dict())
    error = _refused("export", "c3ae", "--weights", path)
    assert error.fix == "name the model that it fits: ssrnet or ssrnet-gender"
    assert _refused("inspect", path).why == "it is a state dict that fits ssrnet, ssrnet-gender"


def test_sorted_names_are_no_order(tmp_path: Path) -> None:
    path = tmp_path / "port.safetensors"
    save_file(_under("_orig_mod.", dict(trained(PortedSSRNet()).state_dict())), path)
    error = _refused("export", "ssrnet", "--weights", path)
    assert "could be swapped" in error.why
    assert f"torch.save(network.state_dict(), {str(path.with_suffix('.pth'))!r})" in error.fix


def test_sorted_names_are_no_order_even_if_they_look_like_one(tmp_path: Path) -> None:
    """Without the wrapper's name, they are not sorted; and they are in the right order."""
    state = trained(PortedC3AE()).state_dict()
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    letters = {name: f"{chr(ord('a') + i)}x" for i, name in enumerate(layers)}
    letters[layers[0]] = "_orig_mod.zz"
    named = {
        f"{letters[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": value
        for name, value in state.items()
    }
    _adopted(_saved(tmp_path / "p.pth", named), "c3ae")
    path = tmp_path / "p.safetensors"
    save_file(named, path)
    assert "could be swapped" in _refused("export", "c3ae", "--weights", path).why


def test_an_order_of_layers_that_nobody_knows(tmp_path: Path) -> None:
    order = ("squeeze_max", "squeeze_avg", "fc_max", "fc_avg", "stretch", "joint", "prob", "shift")
    path = _saved(tmp_path / "p.pth", trained(PortedSSRNet(order=order)).state_dict())
    error = _refused("export", "ssrnet", "--weights", path)
    assert "as a port with names of its own: cannot tell the layers" in error.why
    assert "agecompact init NET.toml" in error.fix


def test_a_port_with_nan(tmp_path: Path) -> None:
    port = trained(PortedSSRNet())
    port.heads[0].joint.weight.data[0, 0] = torch.nan  # type: ignore[index, union-attr]
    path = _saved(tmp_path / "p.pth", port.state_dict())
    assert "contains NaN or Inf" in _refused("export", "ssrnet", "--weights", path).why


@pytest.mark.slow
def test_a_port_is_exported(tmp_path: Path) -> None:
    port = trained(PortedC3AE())
    path = _saved(tmp_path / "p.pth", _under("module.", dict(port.state_dict())))
    out = tmp_path / "build"
    arguments = ("--format", "onnx", "--precision", "fp32", "--out", out)
    done("export", "c3ae", "--weights", path, *arguments)
    ours = checkpoints.read(out / "c3ae" / "c3ae.safetensors").network()
    assert _gap(port, ours, 3) < 1e-4
