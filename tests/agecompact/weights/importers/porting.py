"""PyTorch ports of the public networks, as other people write them, with names of their own."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

# What a stage registers, in the order of the Keras code.
KERAS_ORDER = (
    "squeeze_max",
    "fc_max",
    "squeeze_avg",
    "fc_avg",
    "stretch",
    "joint",
    "prob",
    "shift",
)
# The avg stream first; and the shift before the shares.
STREAM_ORDER = (
    "squeeze_avg",
    "fc_avg",
    "squeeze_max",
    "fc_max",
    "stretch",
    "joint",
    "prob",
    "shift",
)
SHIFT_FIRST = (*KERAS_ORDER[:-2], "shift", "prob")


def _block(
    inputs: int, outputs: int, function: nn.Module, epsilon: float, bias: bool
) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, bias=bias)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=epsilon), function)


def _flat(maps: Tensor, order: str) -> Tensor:
    return (maps.permute(0, 2, 3, 1) if order == "hwc" else maps).flatten(1)


class _Stage(nn.Module):
    def __init__(self, width: int, flatten: str, order: tuple[str, ...]) -> None:
        super().__init__()
        self.order = flatten
        layers: dict[str, nn.Module] = {
            "squeeze_max": nn.Conv2d(16, 10, 1),
            "fc_max": nn.Linear(width, 3),
            "squeeze_avg": nn.Conv2d(32, 10, 1),
            "fc_avg": nn.Linear(width, 3),
            "stretch": nn.Linear(width, 1),
            "joint": nn.Linear(3, 6),
            "prob": nn.Linear(6, 3),
            "shift": nn.Linear(6, 3),
        }
        for name in order:
            self.add_module(name, layers[name])

    def forward(self, x: Tensor, s: Tensor, pool: int) -> tuple[Tensor, Tensor, Tensor]:
        x, s = torch.relu(self.squeeze_avg(x)), torch.relu(self.squeeze_max(s))
        if pool > 1:
            x, s = nn.functional.avg_pool2d(x, pool), nn.functional.max_pool2d(s, pool)
        x, s = _flat(x, self.order), _flat(s, self.order)
        mixed = torch.relu(self.fc_max(s)) * torch.relu(self.fc_avg(x))
        mixed = torch.relu(self.joint(mixed))
        p, eta = torch.relu(self.prob(mixed)), torch.tanh(self.shift(mixed))
        return p, eta, torch.tanh(self.stretch(x * s))


class PortedSSRNet(nn.Module):
    """SSR-Net (Yang et al., IJCAI 2018); torch's flatten and epsilon unless said otherwise."""

    def __init__(
        self,
        epsilon: float = 1e-5,
        flatten: str = "chw",
        order: tuple[str, ...] = KERAS_ORDER,
        bias: bool = True,
    ) -> None:
        super().__init__()
        sizes = [3, 32, 32, 32, 32]
        self.avg = nn.ModuleList(_block(a, b, nn.ReLU(), epsilon, bias) for a, b in pairwise(sizes))
        sizes = [3, 16, 16, 16, 16]
        self.max = nn.ModuleList(_block(a, b, nn.Tanh(), epsilon, bias) for a, b in pairwise(sizes))
        self.heads = nn.ModuleList(_Stage(width, flatten, order) for width in (160, 90, 90))

    def forward(self, image: Tensor) -> Tensor:
        taps = []
        for blocks, pool in ((self.avg, nn.AvgPool2d(2)), (self.max, nn.MaxPool2d(2))):
            maps, kept = image, []
            for i, layer in enumerate(blocks):
                maps = layer(maps)
                maps = pool(maps) if i < 3 else maps
                kept.append(maps)
            taps.append((kept[3], kept[1], kept[0]))
        age = torch.zeros(len(image), 1)
        width = torch.ones(len(image), 1)
        for x, s, head, pool in zip(*taps, self.heads, (1, 4, 8), strict=True):
            p, eta, delta = head(x, s, pool)
            width = width * 3 * (1 + delta)
            age = age + (p * (torch.arange(3) + eta)).sum(1, keepdim=True) / width
        return 101 * age


class PortedC3AE(nn.Module):
    """C3AE (Zhang et al., CVPR 2019): the full one with 8 bins, or the plain one of one crop.

    Args:
        bias: Whether the first convolution has a bias, which the batch norm behind it cancels.
        flatten: Order of the flattened maps.
        epsilon: Epsilon of the batch norms.
        plain: Whether it is the plain one.
    """

    def __init__(
        self,
        bias: bool = False,
        flatten: str = "chw",
        epsilon: float = 1e-5,
        plain: bool = False,
    ) -> None:
        super().__init__()
        self.order, self.plain = flatten, plain
        layers: list[nn.Module] = []
        for i in range(4):
            layers.append(nn.Conv2d(32 if i else 3, 32, 3, bias=bias or i > 0))
            layers += [nn.BatchNorm2d(32, eps=epsilon), nn.ReLU()]
            layers += [nn.AvgPool2d(2)] if i < 3 else []
            layers += [_Attention()] if i < 3 and not plain else []
        self.body = nn.Sequential(*layers, nn.Conv2d(32, 32, 1))
        self.twelve = nn.Linear(512, 12)
        if plain:
            self.years = nn.Linear(12, 1)
        else:
            self.classes = nn.Linear(36, 8)
            self.years = nn.Linear(8, 1)

    def forward(self, *crops: Tensor) -> Tensor:
        joined = torch.cat([self.twelve(_flat(self.body(crop), self.order)) for crop in crops], 1)
        hidden = joined if self.plain else torch.softmax(self.classes(joined), 1)
        years: Tensor = self.years(hidden)
        return years


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Linear(32, 16, bias=False)
        self.up = nn.Linear(16, 32, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        scale = torch.sigmoid(self.up(torch.relu(self.down(maps.mean((2, 3))))))
        return maps * scale[:, :, None, None]


def trained(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and statistics of the scale of a trained network."""
    generator = torch.Generator().manual_seed(seed)
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
