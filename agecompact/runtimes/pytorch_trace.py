"""What every function that a PyTorch network calls gave, as `Step`s.

The network itself runs, once, with the kernels of any other call: PyTorch hands each function of
its Python interface to the active `TorchFunctionMode`, and forward hooks tell whose turn it is.
Unlike a graph from `torch.export`, this sees `conv2d` and `batch_norm` as they are written, and a
module that is called three times is three steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from agecompact.runtimes.base import Step, Trace

Change = Callable[[Tensor], Tensor]


def trace(
    network: nn.Module, inputs: Mapping[str, Tensor], change: Change = lambda value: value
) -> Trace:
    """Runs a network and keeps what every function gave.

    Args:
        network: In evaluation mode.
        inputs: In the order of `forward`, by name.
        change: Applied to every floating result before the network goes on with it: to a narrower
            precision, say.

    Returns:
        The steps in the order of their calls. `op` is the function, `output` its module's path, its
        name and, from the second call on, a number; `scope` is the module's path.
    """
    recorder = _Recorder(inputs, change)
    with torch.inference_mode(), _hooked(network, recorder.path), recorder:
        network(*inputs.values())
    return tuple(recorder.steps)


class _Recorder(TorchFunctionMode):
    def __init__(self, inputs: Mapping[str, Tensor], change: Change) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.path: list[str] = []
        self._change = change
        self._calls: Counter[str] = Counter()
        # The tensors are held, or ids of those gone would be given to new ones.
        self._names = {id(tensor): (name, tensor) for name, tensor in inputs.items()}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        arguments = dict(kwargs or {})
        given = func(*args, **arguments)
        known = (self._names.get(id(t)) for t in _tensors([*args, *arguments.values()]))
        reads = tuple(dict.fromkeys(entry[0] for entry in known if entry))
        # What reads no activation, such as a fetched weight, is the same for every input.
        if not reads:
            return given
        if isinstance(given, Tensor):
            return self._keep(func, reads, given)
        if isinstance(given, tuple | list) and all(isinstance(part, Tensor) for part in given):
            return type(given)(self._keep(func, reads, part) for part in given)
        return given

    def _keep(self, func: Any, reads: tuple[str, ...], given: Tensor) -> Tensor:
        if given.is_floating_point():
            given = self._change(given)
        op = func.__name__.strip("_")
        scope = self.path[-1] if self.path else ""
        name = f"{scope}/{op}" if scope else op
        self._calls[name] += 1
        if self._calls[name] > 1:
            name = f"{name}:{self._calls[name]}"
        self._names[id(given)] = (name, given)
        self.steps.append(Step(op, name, reads, scope, given.clone().numpy()))
        return given


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(list(value))


@contextmanager
def _hooked(network: nn.Module, path: list[str]) -> Iterator[None]:
    """Keeps the paths of the modules that are running, innermost last."""
    handles = []
    for name, module in network.named_modules():
        # Bound now: a closure over the loop's variable would see the last name only.
        def enter(_: nn.Module, __: Any, name: str = name) -> None:
            path.append(name)

        def leave(_: nn.Module, __: Any, ___: Any) -> None:
            path.pop()

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
