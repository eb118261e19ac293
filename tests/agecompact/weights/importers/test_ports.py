"""State dicts of other PyTorch code, which computes what our network must compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights.importers.ports import Port, match
from tests.agecompact.weights.importers.porting import PortedC3AE, PortedSSRNet, trained


def arrays(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def error(port: nn.Module, model_id: str, state: dict[str, np.ndarray]) -> tuple[float, float]:
    """The largest difference of the two networks in years, and the spread of the outputs."""
    network = registry.build(model_id).eval()
    missing, unexpected = network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in state.items()}, strict=False
    )
    assert all(name.endswith("num_batches_tracked") for name in missing)
    assert not unexpected
    generator = torch.Generator().manual_seed(1)
    crops = [torch.rand((8, 3, 64, 64), generator=generator) * 2 for _ in range(3)]
    crops = crops[:1] if model_id == "ssrnet" else crops
    with torch.no_grad():
        theirs = port(*crops)
        return float((network(*crops) - theirs).abs().max()), float(theirs.std())


PORTS = [(PortedSSRNet, "ssrnet"), (PortedC3AE, "c3ae")]


@pytest.mark.parametrize(("port", "model_id"), PORTS)
def test_a_port_computes_the_same_in_our_network(port, model_id):
    network = trained(port())
    difference, spread = error(network, model_id, match(model_id, arrays(network)))
    assert spread > 0.01
    assert difference < 1e-4


@pytest.mark.parametrize(("port", "model_id"), PORTS)
@pytest.mark.parametrize("wrong", [Port(flatten="hwc"), Port(epsilon=0.1)])
def test_another_convention_gives_other_ages(port, model_id, wrong):
    """What the state dict does not show does matter."""
    network = trained(port())
    difference, _ = error(network, model_id, match(model_id, arrays(network), port=wrong))
    assert difference > 1e-3


def test_our_own_network_is_its_own_port():
    network = trained(registry.build("ssrnet"))
    own = match("ssrnet", arrays(network), port=Port(flatten="hwc", epsilon=1e-3))
    for name, array in own.items():
        np.testing.assert_array_equal(array, network.state_dict()[name])


def test_sorted_names_are_no_order():
    """As a safetensors file lists them."""
    state = arrays(trained(PortedSSRNet()))
    with pytest.raises(
        UsageError, match="cannot tell the layers of the state dict apart"
    ) as caught:
        match("ssrnet", dict(sorted(state.items())))
    assert "could be swapped" in caught.value.why


def test_sorted_names_that_look_like_an_order():
    """The names happen to sort into the order of registration; other names would not have."""
    state = arrays(trained(PortedC3AE()))
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    letters = {name: f"{chr(ord('a') + i)}x" for i, name in enumerate(layers)}
    renamed = {
        f"{letters[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": array
        for name, array in state.items()
    }
    match("c3ae", renamed)
    with pytest.raises(UsageError, match="cannot tell"):
        match("c3ae", dict(sorted(renamed.items())))


def test_an_unknown_order_is_refused():
    state = arrays(trained(PortedSSRNet()))
    streams = {k: v for k, v in state.items() if not k.startswith("heads")}
    with pytest.raises(UsageError, match="cannot tell"):
        match("ssrnet", {**{k: v for k, v in state.items() if k not in streams}, **streams})


def test_a_port_with_padding_is_another_network():
    """As the known ports of SSR-Net have: their maps are larger."""
    state = arrays(PortedSSRNet())
    wide = np.zeros((3, 640), np.float32)
    with pytest.raises(UsageError, match="fits no known network") as caught:
        match("ssrnet", state | {"heads.0.fc_max.weight": wide})
    assert "39 of its 40 layers match in order" in caught.value.why
    assert "'heads.0.fc_max' (bias 3, weight 3x640)" in caught.value.why
    assert "'stages.0.s.project.1' (bias 3, weight 3x160) was expected" in caught.value.why


def test_any_model_by_its_own_order():
    network = trained(registry.build("mobileagenet"))
    renamed = {f"net.{name}": array for name, array in arrays(network).items()}
    epsilon = next(m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    own = match("mobileagenet", renamed, port=Port(epsilon=epsilon))
    for name, array in own.items():
        np.testing.assert_array_equal(array, network.state_dict()[name])
