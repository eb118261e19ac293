"""State dicts of other PyTorch code, which computes what our network must compute."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights.importers.ports import Port, match


def block(inputs: int, outputs: int, function: nn.Module, epsilon: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3), nn.BatchNorm2d(outputs, eps=epsilon), function
    )


class PortedStage(nn.Module):
    """Stage of the port below: registered as the Keras code makes its layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze_max = nn.Conv2d(16, 10, 1)
        self.fc_max = nn.Linear(width, 3)
        self.squeeze_avg = nn.Conv2d(32, 10, 1)
        self.fc_avg = nn.Linear(width, 3)
        self.stretch = nn.Linear(width, 1)
        self.joint = nn.Linear(3, 6)
        self.prob = nn.Linear(6, 3)
        self.shift = nn.Linear(6, 3)

    def forward(self, x, s, pool):
        x, s = torch.relu(self.squeeze_avg(x)), torch.relu(self.squeeze_max(s))
        if pool > 1:
            x, s = nn.functional.avg_pool2d(x, pool), nn.functional.max_pool2d(s, pool)
        x, s = x.flatten(1), s.flatten(1)
        mixed = torch.relu(self.fc_max(s)) * torch.relu(self.fc_avg(x))
        mixed = torch.relu(self.joint(mixed))
        p, eta = torch.relu(self.prob(mixed)), torch.tanh(self.shift(mixed))
        return p, eta, torch.tanh(self.stretch(x * s))


class PortedSSRNet(nn.Module):
    """SSR-Net (Yang et al., IJCAI 2018) with torch's flatten and epsilon, and other names."""

    def __init__(self, epsilon: float = 1e-5) -> None:
        super().__init__()
        sizes = [3, 32, 32, 32, 32]
        self.avg = nn.ModuleList(block(a, b, nn.ReLU(), epsilon) for a, b in pairwise(sizes))
        sizes = [3, 16, 16, 16, 16]
        self.max = nn.ModuleList(block(a, b, nn.Tanh(), epsilon) for a, b in pairwise(sizes))
        self.heads = nn.ModuleList(PortedStage(width) for width in (160, 90, 90))

    def forward(self, image):
        taps = []
        for blocks, pool in ((self.avg, nn.AvgPool2d(2)), (self.max, nn.MaxPool2d(2))):
            maps, kept = image, []
            for i, layer in enumerate(blocks):
                maps = layer(maps)
                maps = pool(maps) if i < 3 else maps
                kept.append(maps)
            taps.append((kept[3], kept[1], kept[0]))
        age, width = 0.0, 1.0
        for x, s, head, pool in zip(*taps, self.heads, (1, 4, 8), strict=True):
            p, eta, delta = head(x, s, pool)
            width = width * 3 * (1 + delta)
            age = age + (p * (torch.arange(3) + eta)).sum(1, keepdim=True) / width
        return 101 * age


class PortedC3AE(nn.Module):
    """The full C3AE with 8 bins, torch's flatten and epsilon, and other names."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(4):
            layers += [nn.Conv2d(32 if i else 3, 32, 3, bias=i > 0), nn.BatchNorm2d(32), nn.ReLU()]
            layers += [nn.AvgPool2d(2)] if i < 3 else []
            layers += [Attention()] if i < 3 else []
        self.body = nn.Sequential(*layers, nn.Conv2d(32, 32, 1), nn.Flatten(), nn.Linear(512, 12))
        self.classes = nn.Linear(36, 8)
        self.years = nn.Linear(8, 1)

    def forward(self, *crops):
        joined = torch.cat([self.body(crop) for crop in crops], 1)
        return self.years(torch.softmax(self.classes(joined), 1))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Linear(32, 16, bias=False)
        self.up = nn.Linear(16, 32, bias=False)

    def forward(self, maps):
        scale = torch.sigmoid(self.up(torch.relu(self.down(maps.mean((2, 3))))))
        return maps * scale[:, :, None, None]


def trained(network: nn.Module) -> nn.Module:
    """Weights and statistics of the scale of a trained network."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("stretch.weight", "stretch.bias")):
                tensor.normal_(0, 0.01, generator=generator)
            elif tensor.dtype == torch.float32:
                fan = max(1, tensor[0].numel()) if tensor.ndim > 1 else 1
                scale = 100.0 if name.startswith("years") else 1.0
                tensor.normal_(0, scale * fan**-0.5, generator=generator)
    return network.eval()


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
