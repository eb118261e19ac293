"""What the registry knows of a model: data that imports no torch and may come from anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agecompact.contract import Contract
from agecompact.errors import UsageError

# Ids become file names.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Counts:
    """A network's counts, by the definitions of `complexity.Complexity`; tests recount them.

    Attributes:
        parameters: Trainable parameters.
        bn_statistics: Running means and variances.
        folded_parameters: Parameters after every BN is folded into the convolution before it.
        published: The paper's count. Papers that used Keras include the BN statistics.
    """

    parameters: int
    bn_statistics: int
    folded_parameters: int
    published: int


@dataclass(frozen=True)
class ModelSpec:
    """One model.

    Attributes:
        id: Its name on the command line and in file names.
        title: Its name in the literature.
        factory: `module:callable` that takes the configuration as keyword arguments and returns an
            `nn.Module`. It is text so that listing models imports no torch.
        contract: How images become its inputs, in PyTorch's NCHW layout.
        source: Where its layers and counts come from; empty if unpublished.
        counts: Its counts; None if they are unpublished.
        config: Keyword arguments of the factory, unless weights name others.
        shrink: The argument of the factory that says by how much the network shrinks its inputs
            first; empty if it has none. No weight depends on it.
        adaptable: Other arguments that a training may choose for weights that it continues from;
            the network adapts the weights (`trainable.AdaptsWeights`).

    Raises:
        UsageError: The id cannot be part of a file name.
    """

    id: str
    title: str
    factory: str
    contract: Contract
    source: str = ""
    counts: Counts | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    shrink: str = ""
    adaptable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise UsageError(
                f"'{self.id}' cannot be the id of a model",
                fix="use letters, digits, '.', '_' and '-', and begin with a letter or a digit",
            )

    def contract_of(self, config: Mapping[str, Any]) -> Contract:
        """The contract of a configuration: what shrinks its inputs by 2 takes them twice as large.

        Args:
            config: Keyword arguments of the factory.

        Raises:
            UsageError: It says something else than a number of pixels.
        """
        times = config.get(self.shrink, 1) if self.shrink else 1
        if not isinstance(times, int) or times < 1:
            raise UsageError(
                f"'{self.id}' cannot shrink its inputs by {times!r}",
                why=f"'{self.shrink}' is a number of pixels, 1 or more",
                fix=f"correct '{self.shrink}' in the recipe, or use other weights",
            )
        height, width = self.contract.height * times, self.contract.width * times
        return replace(self.contract, height=height, width=width)
