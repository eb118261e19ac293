"""Torch's exporter of ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agecompact.contract import Contract

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn


def exported(
    network: nn.Module,
    inputs: Sequence[Tensor],
    contract: Contract,
    opset: int,
    shapes: tuple[dict[int, Any], ...] | None = None,
) -> onnx.ModelProto:
    """A network as an ONNX model, as the exporter writes it, with the names of its contract.

    Args:
        network: In evaluation mode.
        inputs: A batch for each input, in the contract's order.
        contract: Of the network.
        opset: ONNX opset to write.
        shapes: For each input, the axes that stay open; None for none.
    """
    import torch

    program = torch.onnx.export(
        network,
        tuple(inputs),
        dynamo=True,
        opset_version=opset,
        input_names=list(contract.input_names),
        output_names=list(contract.output_names),
        dynamic_shapes=shapes,
        verbose=False,
    )
    assert program is not None
    return program.model_proto
