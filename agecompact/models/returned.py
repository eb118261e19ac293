"""What a network returns, in the form of its contract.

A network may return one tensor, several in a tuple, or several by name, and a head of one value may
come as `(N,)`. Converters and runtimes get one form: tensors `(N, size)` in the contract's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from agecompact.contract import Contract
from agecompact.errors import UsageError

_FIX = "correct the outputs of the contract, or what the network returns"


def by_name(returned: Any, contract: Contract) -> dict[str, Tensor]:
    """The tensors of a contract's outputs, `(N, size)` each, in the contract's order.

    Args:
        returned: What the network returned: a tensor, tensors in the contract's order, or tensors
            by name, of which others are ignored.
        contract: Names the outputs and their sizes.

    Raises:
        UsageError: A tensor is missing, too many, or has another shape.
    """
    found = _found(returned, contract)
    return {
        output.name: _fitted(found[output.name], output.name, output.size)
        for output in contract.outputs
    }


def conform(network: nn.Module, contract: Contract) -> nn.Module:
    """Makes a network return what `by_name` gives: one tensor, or a tuple of several.

    Args:
        network: The network, changed in place.
        contract: Its contract.

    Returns:
        The network.
    """
    network.register_forward_hook(partial(_conformed, contract))
    return network


def _conformed(
    contract: Contract, _: nn.Module, __: Any, returned: Any
) -> Tensor | tuple[Tensor, ...]:
    tensors = tuple(by_name(returned, contract).values())
    return tensors[0] if len(tensors) == 1 else tensors


def _found(returned: Any, contract: Contract) -> Mapping[str, Any]:
    names = contract.output_names
    if isinstance(returned, Mapping):
        if missing := [name for name in names if name not in returned]:
            raise UsageError(
                f"the network returns no '{missing[0]}'",
                why=f"it returns {', '.join(map(str, returned))}",
                fix=_FIX,
            )
        return returned
    several = isinstance(returned, Sequence) and not isinstance(returned, str)
    tensors = tuple(returned) if several else (returned,)
    if len(tensors) != len(names):
        raise UsageError(
            f"the network returns {len(tensors)} outputs, the contract has {len(names)}",
            why=f"the contract's are {', '.join(names)}",
            fix=_FIX,
        )
    return dict(zip(names, tensors, strict=True))


def _fitted(tensor: Any, name: str, size: int) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise UsageError(
            f"the network returns a {type(tensor).__name__} as '{name}', not a tensor", fix=_FIX
        )
    shape = tuple(tensor.shape)
    if shape[1:] == (size,):
        return tensor
    # Not `reshape`, whose sizes would become a part of the converted graph.
    if len(shape) == 1 and size == 1:
        return tensor.unsqueeze(1)
    if len(shape) > 2 and shape[1:] == (size, *[1] * (len(shape) - 2)):
        return tensor.flatten(1)
    raise UsageError(
        f"the network returns '{name}' of shape {_sides(shape)}, the contract has (N, {size})",
        fix=_FIX,
    )


def _sides(shape: tuple[int, ...]) -> str:
    return f"(N{''.join(f', {side}' for side in shape[1:])})" if shape else "()"
