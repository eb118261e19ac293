"""Writes parts of a PyTorch graph in forms that phone runtimes take as a whole, for one image.

XNNPACK averages maps over rows and columns at once and keeps both axes; our networks do it in two
steps, whose sums round less in converters that add one by one. It has no sum of a row, which is a
dense layer whose weights are 1. Rows that are taken apart and joined again, one after the other,
are the same numbers in the same order. ExecuTorch does not see that a convolution is int8 if it
reads padded maps, or if what it writes is clamped before it is quantised.
"""

from __future__ import annotations

import operator
from collections.abc import Collection
from typing import Any

import torch

# Registers the operators of quantised networks.
import torch.ao.quantization.fx._decomposed
from torch import fx

_ATEN = torch.ops.aten
_MAP_AXES = (2, 3)
_INT8_WEIGHTS = (torch.ops.quantized_decomposed.dequantize_per_channel.default,)
_QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
_DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default
# What ATen's conv2d takes after the maps and the weights, by default.
_CONVOLUTION = (None, None, [1, 1], [0, 0], [1, 1], 1)
# How `pad` may say that it adds zeros.
_WITH_ZEROS = ((), ("constant",), ("constant", None), ("constant", 0), ("constant", 0.0))
_WITH_NUMBERS = (_ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.mul.Tensor, _ATEN.div.Tensor)


def simplify(graph: fx.GraphModule, restored: Collection[str] = ()) -> None:
    """Makes means, sums of rows, joined rows and padded convolutions one op each, in place.

    Constants are computed.

    Args:
        graph: An exported network for one image, as a graph of ATen ops with shapes.
        restored: Names of int8 weights to store as the float numbers that they stand for.
    """
    for node in list(graph.graph.nodes):
        if node.target is _ATEN.div.Tensor:
            _merge_steps(graph, node)
        elif node.target is _ATEN.mean.dim:
            _keep_axes(graph, node)
        elif node.target is _ATEN.sum.dim_IntList:
            _sum_by_layer(graph, node)
        elif node.target is _ATEN.cat.default:
            _join_rows(graph, node)
        elif node.target is _ATEN.conv2d.default:
            _pad_itself(node)
        elif node.target is _ATEN.clamp.default:
            _saturate(node)
        if node.target in _WITH_NUMBERS:
            # ExecuTorch would store an integer, and cast it in every call.
            node.args = tuple(float(each) if type(each) is int else each for each in node.args)
    _fold(graph, restored)
    _separate(graph)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _fold(graph: fx.GraphModule, restored: Collection[str]) -> None:
    """Computes what depends on constants alone, but for the weights of int8 layers."""
    known: dict[fx.Node, torch.Tensor] = {}
    for node in list(graph.graph.nodes):
        if node.op == "get_attr":
            known[node] = _held(graph, str(node.target))
        elif node.op == "call_function" and not _stays_int8(node, restored):
            read = node.all_input_nodes
            if not all(each in known for each in read) or not _is_tensor(node):
                continue
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
            with torch.no_grad():
                made = node.target(*args, **kwargs).contiguous()
            name = f"folded_{len(known)}"
            graph.register_buffer(name, made)
            with graph.graph.inserting_before(node):
                constant = graph.graph.get_attr(name)
            known[constant] = made
            node.replace_all_uses_with(constant)


def _stays_int8(node: fx.Node, restored: Collection[str]) -> bool:
    """Whether a node restores int8 weights that a runtime takes as they are."""
    if node.target not in _INT8_WEIGHTS:
        return False
    weights = node.args[0]
    return isinstance(weights, fx.Node) and str(weights.target) not in restored


def _separate(graph: fx.GraphModule) -> None:
    """Gives each reader of an int8 map a dequantisation of its own.

    ExecuTorch's partitioner expects that, as its quantiser does it. With shared ones it finds
    cycles between its partitions, or makes more of them.
    """
    for node in list(graph.graph.nodes):
        if node.target is not _DEQUANTIZE:
            continue
        for reader in list(node.users)[1:]:
            with graph.graph.inserting_before(reader):
                own = graph.graph.call_function(_DEQUANTIZE, node.args, node.kwargs)
            own.meta = dict(node.meta)
            reader.replace_input_with(node, own)


def _held(graph: fx.GraphModule, name: str) -> torch.Tensor:
    owner, _, attribute = name.rpartition(".")
    held: torch.Tensor = getattr(graph.get_submodule(owner), attribute)
    return held


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor)


def _merge_steps(graph: fx.GraphModule, divided: fx.Node) -> None:
    """Replaces `mean(sum(maps, columns), rows) / columns`."""
    mean, count = divided.args[0], divided.args[1]
    if not isinstance(mean, fx.Node) or mean.target is not _ATEN.mean.dim:
        return
    total = mean.args[0]
    if not isinstance(total, fx.Node) or total.target is not _ATEN.sum.dim_IntList:
        return
    maps = total.args[0]
    assert isinstance(maps, fx.Node)
    axes = sorted(_axes(mean) + _axes(total))
    if axes != list(_MAP_AXES) or count != _shape(maps)[_axes(total)[0]]:
        return
    if not (_keeps(mean) and _keeps(total)):
        return
    with graph.graph.inserting_before(divided):
        whole = graph.graph.call_function(_ATEN.mean.dim, (maps, list(_MAP_AXES), True))
    whole.meta["val"] = divided.meta["val"]
    divided.replace_all_uses_with(whole)


def _keep_axes(graph: fx.GraphModule, mean: fx.Node) -> None:
    maps = mean.args[0]
    assert isinstance(maps, fx.Node)
    if _keeps(mean) or sorted(_axes(mean)) != list(_MAP_AXES):
        return
    with graph.graph.inserting_before(mean):
        kept = graph.graph.call_function(_ATEN.mean.dim, (maps, list(_MAP_AXES), True))
        flat = graph.graph.call_function(_ATEN.view.default, (kept, list(_shape(maps)[:2])))
    mean.replace_all_uses_with(flat)


def _sum_by_layer(graph: fx.GraphModule, total: fx.Node) -> None:
    """Replaces the sum of a row of numbers by a dense layer without a bias."""
    rows = total.args[0]
    if len(_shape(rows)) != 2 or _axes(total) != [1] or not _keeps(total):
        return
    name = f"ones_{_shape(rows)[1]}"
    if not hasattr(graph, name):
        graph.register_buffer(name, torch.ones(1, _shape(rows)[1]))
    with graph.graph.inserting_before(total):
        ones = graph.graph.get_attr(name)
        layer = graph.graph.call_function(_ATEN.linear.default, (rows, ones))
    total.replace_all_uses_with(layer)


def _join_rows(graph: fx.GraphModule, joined: fx.Node) -> None:
    """Replaces `cat(unbind(rows, 0), 1)` where each part is one row."""
    parts: Any = joined.args[0]
    taken = {part.args[0] for part in parts if part.target is operator.getitem}
    if len(taken) != 1 or joined.args[1:] != (1,):
        return
    (unbound,) = taken
    if unbound.target is not _ATEN.unbind.int:
        return
    rows = unbound.args[0]
    shape = _shape(rows)
    in_order = [part.args[1] for part in parts] == list(range(shape[0]))
    if len(shape) != 3 or shape[1] != 1 or unbound.args[1:] not in ((), (0,)) or not in_order:
        return
    with graph.graph.inserting_before(joined):
        line = graph.graph.call_function(_ATEN.reshape.default, (rows, [1, shape[0] * shape[2]]))
    joined.replace_all_uses_with(line)


def _pad_itself(convolution: fx.Node) -> None:
    """Adds zeros around the maps in the convolution that reads them."""
    padded, *others = _arguments(convolution)
    if padded.target is not _ATEN.pad.default:
        return
    maps, sides, *how = _arguments(padded)
    if len(sides) != 4 or tuple(how) not in _WITH_ZEROS:
        return
    left, right, top, bottom = sides
    if (left, top) != (right, bottom):
        return
    filled: list[Any] = [*others, *_CONVOLUTION[len(others) :]]
    weight, bias, stride, padding, *rest = filled
    if isinstance(padding, str):
        return
    wider = [padding[0] + top, padding[1] + left]
    convolution.args = (maps, weight, bias, stride, wider, *rest)


def _saturate(clamp: fx.Node) -> None:
    """Leaves out limits that the int8 numbers of a map have by themselves."""
    maps, *limits = _arguments(clamp)
    lowest, highest = (*limits, None, None)[:2]
    for reader in clamp.users:
        if reader.target is not _QUANTIZE:
            return
        _, scale, zero, least, most, *_ = _arguments(reader)
        if lowest is not None and round(lowest / scale) + zero > least:
            return
        if highest is not None and round(highest / scale) + zero < most:
            return
    clamp.replace_all_uses_with(maps)


def _arguments(node: fx.Node) -> list[Any]:
    return list(node.args)


def _axes(node: fx.Node) -> list[int]:
    axes: Any = node.args[1]
    rank = len(_shape(node.args[0]))
    return [axis % rank for axis in axes]


def _keeps(node: fx.Node) -> bool:
    return len(node.args) > 2 and bool(node.args[2])


def _shape(node: Any) -> list[int]:
    return list(map(operator.index, node.meta["val"].shape))
