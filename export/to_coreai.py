"""PyTorch to Apple Core AI, as `.aimodel` folders, for iOS and macOS 27 and newer.

The same weights and versions give the same bytes: the converter's random names are drawn from a
fixed sequence, its hashes of addresses are fixed by `addresses`, and the date is a fixed one. What
it notes about the source code, absolute paths included, is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agecompact.artifacts import metadata
from agecompact.artifacts.texts import texts_of
from agecompact.formats import FORMATS, Target
from agecompact.models import registry
from agecompact.models.complexity import example_inputs, fold_batch_norm
from agecompact.models.returned import conform
from agecompact.precisions import PRECISIONS
from agecompact.runtimes.coreai import METADATA_FILE
from agecompact.weights import checkpoints
from export import addresses
from export import source as sources
from export.job import Conversion, Job, metadata_for, versions_of
from export.torch_half import InHalf

_TOOLS = ("torch", "coreai-torch", "coreai-core")

# The network of each precision, from the graph of its ops.
_NETWORKS: Mapping[str, Callable[[torch.fx.GraphModule], nn.Module]] = {
    "float32": lambda graph: graph,
    "float16": InHalf,
}


def convert(job: Job) -> Conversion:
    """Converts the network of a weights file; inputs and outputs are float32, NCHW.

    Raises:
        ConversionError: The source is an ONNX file.
    """
    sources.require_network(job.weights, "Core AI models", "Core AI")
    is_same = addresses.fix()
    warnings.filterwarnings("ignore")
    logging.getLogger("torch").setLevel(logging.ERROR)
    weights = checkpoints.read(job.weights)
    contract, source = weights.contract, sources.of_weights(weights)
    inputs = example_inputs(contract, 1)
    graph = _program(conform(fold_batch_norm(weights.network()), contract).eval(), inputs).module()
    versions = versions_of(*_TOOLS)
    for precision in job.precisions:
        target = Target(FORMATS["coreai"], PRECISIONS[precision])
        described = metadata_for(source, target, versions)
        network = _NETWORKS[precision](graph)
        path = job.folder / target.file_name(weights.model_id)
        _save(_program(network, inputs), described, path)
    notes = () if is_same else ("its bytes differ from run to run: addresses are random here",)
    return Conversion("coreai-torch", versions, notes=notes)


def _program(network: nn.Module, inputs: Sequence[torch.Tensor]) -> torch.export.ExportedProgram:
    from coreai_torch import get_decomp_table

    program = torch.export.export(network, tuple(inputs))
    made: torch.export.ExportedProgram = program.run_decompositions(get_decomp_table())
    return made


def _save(
    program: torch.export.ExportedProgram, described: metadata.ArtifactMetadata, path: Path
) -> None:
    from coreai.runtime import AIModelAssetMetadata
    from coreai_torch import TorchConverter
    from coreai_torch.debugging.debug_info import strip_debug_info

    contract, spec = described.contract, registry.get(described.model)
    texts = texts_of(described)
    # A progress bar of its own, on standard error.
    with (
        _fixed_names(),
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stderr(nowhere),
    ):
        converter = TorchConverter(mode=TorchConverter.Mode.RELEASE)
        converter.add_exported_program(
            program,
            input_names=list(contract.input_names),
            output_names=list(contract.output_names),
        )
        made = converter.to_coreai()
        strip_debug_info(made)
        about = AIModelAssetMetadata()
        about.author, about.license = spec.source, texts.licence
        about.model_description = f"{spec.title}, {described.precision}"
        about.set_custom(metadata.KEY, described.to_json())
        made.save_asset(path, about).update_metadata(_date)
    # The library writes the entries in a random order.
    file = path / METADATA_FILE
    file.write_text(json.dumps(json.loads(file.read_text()), indent=2, sort_keys=True) + "\n")


def _date(about: Any) -> None:
    """Dates a model by `SOURCE_DATE_EPOCH`, else by the beginning of 1970."""
    about.creation_date = float(os.environ.get("SOURCE_DATE_EPOCH", "0"))


@contextlib.contextmanager
def _fixed_names() -> Iterator[None]:
    """Draws the random ends of names, which the authoring library chooses, from a sequence."""
    from coreai.authoring import func, graph_builder

    sequence = random.Random(0)
    modules: tuple[Any, ...] = (func, graph_builder)
    before = [module.choice for module in modules]
    for module in modules:
        module.choice = sequence.choice
    try:
        yield
    finally:
        for module, choice in zip(modules, before, strict=True):
            module.choice = choice
