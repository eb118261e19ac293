"""Forms that phone runtimes take give the same numbers, and others are left as they are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

# Registers the operators of quantised networks.
import torch.ao.quantization.fx._decomposed
from torch import fx, nn
from torch.nn import functional

from export.torch_graph import simplify

_INT8 = torch.ops.quantized_decomposed


class _Padded(nn.Module):
    def __init__(self, sides: Sequence[int], value: float, padding: int = 0) -> None:
        super().__init__()
        self.sides, self.value = list(sides), value
        self.convolution = nn.Conv2d(3, 4, 3, stride=2, padding=padding)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.convolution(functional.pad(maps, self.sides, value=self.value))
        return made


class _Clamped(nn.Module):
    def __init__(self, lowest: float, highest: float, scale: float, zero: int) -> None:
        super().__init__()
        self.limits, self.grid = (lowest, highest), (scale, zero)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        limits = torch.clamp(maps, *self.limits)
        stored = _INT8.quantize_per_tensor(limits, *self.grid, -128, 127, torch.int8)
        made: torch.Tensor = _INT8.dequantize_per_tensor(stored, *self.grid, -128, 127, torch.int8)
        return made


def simplified(network: nn.Module, maps: torch.Tensor) -> tuple[fx.GraphModule, set[str]]:
    """The simplified graph of a network, and the names of its ops."""
    graph = torch.export.export(network.eval(), (maps,)).module()
    assert isinstance(graph, fx.GraphModule)
    simplify(graph)
    return graph, {str(node.target).split(".")[1] for node in graph.graph.nodes if _is_op(node)}


def _is_op(node: fx.Node) -> bool:
    return node.op == "call_function" and str(node.target).count(".") == 2


@pytest.mark.parametrize(
    ("network", "merged"),
    [
        (_Padded((1, 1, 1, 1), 0.0), True),
        (_Padded((2, 2, 1, 1), 0.0, padding=1), True),
        (_Padded((0, 0, 0, 0), 0.0), True),
        (_Padded((0, 1, 0, 1), 0.0), False),
        (_Padded((1, 1, 1, 1), 0.5), False),
    ],
)
def test_a_convolution_pads_by_itself_where_it_can(network: nn.Module, merged: bool) -> None:
    maps = torch.randn(1, 3, 8, 9, generator=torch.Generator().manual_seed(3))
    graph, ops = simplified(network, maps)
    assert ("pad" not in ops) == merged
    torch.testing.assert_close(graph(maps), network(maps), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("limits", "grid", "dropped"),
    [
        # 256 numbers from 0 to 6.
        ((0.0, 6.0), (6 / 255, -128), True),
        # They end inside the limits.
        ((-1.0, 7.0), (6 / 255, -128), True),
        ((0.0, 5.9), (6 / 255, -128), False),
        ((0.1, 6.0), (6 / 255, -128), False),
        ((0.0, 6.0), (12 / 255, 0), False),
    ],
)
def test_limits_that_int8_has_by_itself_are_left_out(
    limits: tuple[float, float], grid: tuple[float, int], dropped: bool
) -> None:
    network = _Clamped(*limits, *grid)
    maps = torch.linspace(-9, 9, 4001)[None]
    graph, ops = simplified(network, maps)
    assert ("clamp" not in ops) == dropped
    assert torch.equal(graph(maps), network(maps))
