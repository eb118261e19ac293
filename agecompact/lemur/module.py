"""The source text of a LEMUR module: one of our networks behind the interface of `nn-dataset`.

LEMUR imports a file that stands alone, builds its `Net` from the shape of a batch and a dictionary
of hyperparameters within 0..1, and passes batches in RGB that its loaders have normalised with
ImageNet's statistics. The conversion from these to the inputs of our contract is computed here and
written into the module as numbers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from types import ModuleType
from typing import Any

from torch import nn

from agecompact import __version__
from agecompact.contract import Contract
from agecompact.errors import unknown_name
from agecompact.lemur import adapter
from agecompact.lemur.standalone import standalone
from agecompact.models import (
    bounded,
    c3ae,
    mobileagenet,
    mobilenetv3,
    registry,
    ssrnet,
    trainable,
)
from agecompact.models.spec import ModelSpec
from agecompact.text import one_line
from agecompact.training import losses
from agecompact.training import recipe as recipes
from agecompact.training.recipe import Recipe

# Adam's first decay, the number of the optimiser that LEMUR's searches can call momentum.
_MOMENTUM = 0.9
_LINE = 100

_TEMPLATE = Template('''"""$title as a LEMUR model: `ab/nn/nn/$name.py` of PyPI's nn-dataset.

$description
"""

$code


def supported_hyperparameters() -> set[str]:
    """Names of the hyperparameters that `Net` reads, each within 0..1."""
    return {"lr", "momentum", "dropout"}


class Net(LemurNet, $base):
    """$title.

    Args:
        in_shape: Shape of a batch of images, `(N, 3, H, W)`.
        out_shape: $out_shape
        prm: Hyperparameters: `lr`, `momentum` (Adam's first decay) and `dropout`.
        device: Where to train.
    """

    setting = Setting(
$setting
    )

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        prm: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        super().__init__($arguments)
        self.connect(in_shape, out_shape, device)
''')


@dataclass(frozen=True)
class _Export:
    """What a module is made of.

    Attributes:
        modules: The network's source, each module after those that it imports.
        recipe: The paper's training. LEMUR has no stages, so the last one is used, and no schedule.
        error: Name of the test loss.
    """

    modules: tuple[ModuleType, ...]
    recipe: str
    error: str = "l1"


_EXPORTS = {
    "ssrnet": _Export((ssrnet,), "ssrnet"),
    "ssrnet-gender": _Export((ssrnet,), "ssrnet-gender"),
    "c3ae-plain": _Export((c3ae,), "c3ae-plain"),
    "c3ae": _Export((c3ae,), "c3ae-study1"),
    "mobileagenet": _Export((bounded, mobilenetv3, mobileagenet), "mobileagenet", "smooth_l1"),
}


@dataclass(frozen=True)
class LemurModule:
    """A module for LEMUR.

    Attributes:
        name: Stem of its file. LEMUR splits configurations at underscores, so it has none.
        source: Its text.
        task: The other parts of its configuration: task, data set and metric.
        transform: The transform of `nn-dataset` that it needs.
        hyperparameters: The paper's, by the names that `Net` reads, and the batch.
    """

    name: str
    source: str
    task: str
    transform: str
    hyperparameters: Mapping[str, float]

    @property
    def configuration(self) -> str:
        """Its name for `python -m ab.nn.train -c`."""
        return f"{self.task}_{self.name}"


def lemur_module(
    model_id: str, config: Mapping[str, Any] | None = None, contract: Contract | None = None
) -> LemurModule:
    """Returns the LEMUR module of a model.

    Args:
        model_id: A registered id.
        config: Configuration of the model's factory, as in the weights' header.
        contract: How its inputs are made, as in the weights' header; by default the registry's.

    Raises:
        UsageError: LEMUR cannot train the model, or its factory does not take that configuration.
    """
    if model_id not in _EXPORTS:
        raise unknown_name("model for LEMUR", model_id, _EXPORTS)
    spec, export = registry.get(model_id), _EXPORTS[model_id]
    recipe = recipes.load(export.recipe)
    config = dict(config or {})
    contract = contract or registry.contract_of(model_id, config)
    network = registry.build(model_id, config)
    name = type(network).__name__
    output = contract.only_output("LEMUR")
    score = output.unit == "score"
    arguments = [f"{key}={value!r}" for key, value in config.items() if key != "dropout"]
    source = _TEMPLATE.substitute(
        title=spec.title,
        name=name,
        description=_description(spec, config, contract),
        code=standalone((trainable, *export.modules, losses, adapter)),
        base=name,
        arguments=", ".join([*arguments, 'dropout=prm["dropout"]']),
        out_shape=(
            "`(2,)` if LEMUR wants the pair (1 - score, score)."
            if score
            else "Not used: the output is one age, although LEMUR's check passes 10 classes."
        ),
        setting=textwrap.indent(_setting(contract, recipe, export.error), " " * 8),
    )
    return LemurModule(
        name=name,
        source=source,
        task="img-classification_celeba-gender_acc" if score else "age-regression_utkface_mae",
        transform="norm_224" if contract.height == 224 else "norm_256",
        hyperparameters={
            "lr": recipe.stages[-1].rate,
            "momentum": _MOMENTUM,
            "dropout": next(m.p for m in network.modules() if isinstance(m, nn.Dropout)),
            "batch": recipe.batch,
        },
    )


def _setting(contract: Contract, recipe: Recipe, error: str) -> str:
    """Returns the arguments of `adapter.Setting`, one a line."""
    low, high = contract.value_range
    output = contract.only_output("LEMUR")
    bounds = (output.minimum, output.maximum)
    values = {
        "height": contract.height,
        "width": contract.width,
        "crops": tuple((c.left, c.top, c.right, c.bottom) for c in contract.crops),
        "area": contract.interpolation == "area",
        "bgr": contract.color_order == "BGR",
        "scale": tuple((high - low) / 255 / std for std in contract.std),
        "offset": tuple(
            (low - mean) / std for mean, std in zip(contract.mean, contract.std, strict=True)
        ),
        "bounds": None if None in bounds else bounds,
        "score": output.unit == "score",
        "weight_decay": recipe.stages[-1].weight_decay,
        "clip_norm": recipe.clip_norm,
    }
    lines = [f"{key}={value!r}," for key, value in values.items()]
    return "\n".join([*lines, f"loss={recipe.loss},", f"error={error},"])


def _description(spec: ModelSpec, config: Mapping[str, Any], contract: Contract) -> str:
    """Returns what a user of the module must know, as text inside a docstring.

    The configuration and the names of the crops come from a weights file, whose text must not end
    the docstring.
    """
    low, high = contract.value_range
    values = f"{contract.color_order} {low:g}..{high:g}"
    if (contract.mean, contract.std) != ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)):
        values += f" less {contract.mean}, over {contract.std}"
    names = ", ".join(contract.input_names)
    cut = f"cuts it into the crops {names}, " if len(contract.crops) > 1 else ""
    layout = f", config={dict(config)!r}" if config else ""
    paragraphs = (
        f"Layers: {spec.source}.",
        "An image is a face of any size, framed as in UTKFace and normalised as by LEMUR's face "
        f"loaders: RGB 0..1 less {adapter.MEAN}, over {adapter.STD}. Transforms named norm do so; "
        "those named echo do not, and released weights then give wrong ages without an error. The "
        f"module {cut}resizes to {contract.height}x{contract.width} ({contract.interpolation}) and "
        f"converts to {values}.",
        f"Written by agecompact {__version__} (Apache-2.0); needs only torch. The keys of the "
        "state dict are agecompact's: `net.load_state_dict` takes the tensors of an agecompact "
        "weights file, and "
        f'`agecompact.weights.checkpoints.write(path, net, model_id="{spec.id}"{layout})` writes '
        "the trained network as one.",
    )
    return "\n\n".join(
        textwrap.fill(_quoted(text), _LINE, break_long_words=False, break_on_hyphens=False)
        for text in paragraphs
    )


def _quoted(text: str) -> str:
    """Returns a text that stays inside a docstring."""
    return one_line(text.replace("\\", "\\\\")).replace('"""', '\\"\\"\\"')
