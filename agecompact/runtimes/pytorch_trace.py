"""Traces a PyTorch network: the output of every function that it calls, as `Step`s.

The network runs once, with its usual kernels. PyTorch passes each call of its Python API to the
active `TorchFunctionMode`, and forward hooks report which module is running. Unlike a graph from
`torch.export`, this shows `conv2d` and `batch_norm` as they are written, and a module that is
called three times gives three steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from agecompact.models.complexity import CALLS
from agecompact.runtimes.base import Step, Trace

# From the name of a step's output, and what the step wrote, to what the network uses instead.
Change = Callable[[str, Tensor], Tensor]


def trace(
    network: nn.Module, inputs: Mapping[str, Tensor], change: Change = lambda _, value: value
) -> Trace:
    """Runs a network and keeps the output of every function.

    Args:
        network: In evaluation mode.
        inputs: By name, in the order of `forward`.
        change: Applied to every floating-point output, with its name, before the network uses it:
            to round it to a lower precision, say.

    Returns:
        The steps in the order of the calls. `op` is the name of the function and `scope` the path
        of the module. `output` is both, `scope/op`, with a number from the second call on.
    """
    recorder = _Recorder(inputs, change)
    with CALLS, torch.inference_mode(), _tracked_path(network, recorder.path), recorder:
        network(*inputs.values())
    return tuple(recorder.steps)


class _Recorder(TorchFunctionMode):
    def __init__(self, inputs: Mapping[str, Tensor], change: Change) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.path: list[str] = []
        self._change = change
        self._calls: Counter[str] = Counter()
        # Holds the tensors too: the id of a deleted tensor would be reused.
        self._names = {id(tensor): (name, tensor) for name, tensor in inputs.items()}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        arguments = dict(kwargs or {})
        result = func(*args, **arguments)
        known = (self._names.get(id(t)) for t in _tensors([*args, *arguments.values()]))
        reads = tuple(dict.fromkeys(entry[0] for entry in known if entry))
        # A function that reads no activation, such as access to a weight, gives a constant.
        if not reads:
            return result
        if isinstance(result, Tensor):
            return self._record(func, reads, result)
        if isinstance(result, tuple | list) and all(isinstance(part, Tensor) for part in result):
            return type(result)(self._record(func, reads, part) for part in result)
        return result

    def _record(self, func: Any, reads: tuple[str, ...], output: Tensor) -> Tensor:
        op = func.__name__.strip("_")
        scope = self.path[-1] if self.path else ""
        name = f"{scope}/{op}" if scope else op
        self._calls[name] += 1
        if self._calls[name] > 1:
            name = f"{name}:{self._calls[name]}"
        if output.is_floating_point():
            output = self._change(name, output)
        self._names[id(output)] = (name, output)
        self.steps.append(Step(op, name, reads, scope, output.clone().numpy()))
        return output


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(list(value))


@contextmanager
def _tracked_path(network: nn.Module, path: list[str]) -> Iterator[None]:
    """Keeps the paths of the running modules in `path`, innermost last."""
    handles = []
    for name, module in network.named_modules():
        # Bound now: a closure over the loop variable would only see the last name.
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
