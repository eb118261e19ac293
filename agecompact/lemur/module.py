"""The source text of a LEMUR module: a network of ours behind the interface of `nn-dataset`.

LEMUR imports a file that stands alone, builds its `Net` from the shape of a batch and a dictionary
of hyperparameters within 0..1, and hands it batches that its loaders have put into RGB and
normalised with ImageNet's statistics. The contract says what our networks eat, so that the way from
the one to the other is worked out here and written down as numbers.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any, Literal

import torch
from torch import nn

from agecompact import __version__
from agecompact.contract import Contract
from agecompact.errors import unknown_name
from agecompact.lemur import adapter
from agecompact.lemur.flatten import flatten
from agecompact.models import registry
from agecompact.models.c3ae import C3AE, C3AEConfig
from agecompact.models.ssrnet import SSRNet
from agecompact.training import losses

# Adam's first decay, the number of the optimiser that LEMUR's searches can call momentum.
_MOMENTUM = 0.9
# Mean age of UTKFace, in years: LEMUR builds a `Net` before it shows any label.
_START_AGE = 33.0
_LINE = 100

# No `from __future__ import annotations`: LEMUR's check of a module runs it outside `sys.modules`,
# where dataclasses cannot resolve annotations that are text.
_TEMPLATE = Template('''"""$title as a LEMUR model: `ab/nn/nn/$name.py` of PyPI's nn-dataset.

$description
"""

$definitions


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
$loss''')

_CASCADE = '''
    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """What training lowers."""
        bins = self.bins(*self.inputs(images))
        return cascade(self, Answer(self.age(bins), bins), self.targets(labels))
'''
_ERRORS = {
    "l1": "nn.functional.l1_loss",
    "smooth_l1": "nn.functional.smooth_l1_loss",
    "cascade": "nn.functional.l1_loss",
}


@dataclass(frozen=True)
class _Learning:
    """How a paper trains, as far as LEMUR lets a model say it: LEMUR has no schedule of rates.

    Attributes:
        rate: Learning rate.
        batch: Faces a step.
        loss: The loss.
        weight_decay: Decoupled; 0 is Adam.
        clip_norm: Bound on the gradient's norm.
    """

    rate: float
    batch: int
    loss: Literal["l1", "smooth_l1", "cascade"]
    weight_decay: float = 0.0
    clip_norm: float = 10.0


_LEARNING = {
    "ssrnet": _Learning(2e-3, 50, "l1"),
    "ssrnet-gender": _Learning(2e-3, 50, "l1"),
    "c3ae-plain": _Learning(2e-3, 50, "l1", weight_decay=1e-4),
    "c3ae": _Learning(2e-3, 50, "cascade", weight_decay=1e-4),
    "mobileagenet": _Learning(1.4162e-3, 64, "smooth_l1", weight_decay=5e-5, clip_norm=2.0),
}


@dataclass(frozen=True)
class LemurModule:
    """A module for LEMUR.

    Attributes:
        name: Its name there, the file's stem. LEMUR splits its configurations at underscores, so it
            has none.
        source: Its text.
        task: The other parts of its configuration: task, data set and metric.
        transform: The transform of `nn-dataset` to feed it by.
        hyperparameters: The paper's, by the names that `Net` reads, and the batch.
    """

    name: str
    source: str
    task: str
    transform: str
    hyperparameters: Mapping[str, float]

    @property
    def configuration(self) -> str:
        """What `python -m ab.nn.train -c` calls it."""
        return f"{self.task}_{self.name}"


def lemur_module(
    model_id: str, config: Mapping[str, Any] | None = None, contract: Contract | None = None
) -> LemurModule:
    """The LEMUR module of a model.

    Args:
        model_id: A registered id.
        config: Configuration of the model's factory, as in the weights' header.
        contract: How its inputs are made, as in the weights' header; by default the registry's.

    Raises:
        UsageError: No such model, or none that LEMUR can train, or its factory does not take that
            configuration.
        ConversionError: The sources do not flatten into one file.
    """
    if model_id not in _LEARNING:
        raise unknown_name("model for LEMUR", model_id, _LEARNING)
    spec, learning = registry.get(model_id), _LEARNING[model_id]
    config = dict(config or {})
    contract = contract or spec.contract
    network = registry.build(model_id, config)
    base = type(network)
    score = contract.output.unit == "score"
    name = base.__name__ + (contract.output.name.title() if score else "")
    setting = _setting(network, contract, learning)

    wanted = [(base.__module__, base.__name__)]
    if isinstance(network, C3AE):
        wanted.append((C3AEConfig.__module__, C3AEConfig.__name__))
    if learning.loss == "cascade":
        wanted += [(losses.__name__, "Answer"), (losses.__name__, "cascade")]
    flat = flatten([*wanted, (adapter.__name__, "LemurNet")])
    source = _TEMPLATE.substitute(
        title=spec.title,
        name=name,
        description=_description(spec, config, contract),
        definitions=flat.text,
        base=base.__name__,
        arguments=_arguments(network, config),
        out_shape=(
            "`(2,)` where LEMUR wants the pair (1 - score, score)."
            if score
            else "Not read: the answer is one age, and LEMUR's check of modules says 10."
        ),
        setting="\n".join(f"        {_assigned(key, value)}" for key, value in setting.items()),
        loss=_CASCADE if learning.loss == "cascade" else "",
    )
    return LemurModule(
        name=name,
        source=source,
        task="img-classification_celeba-gender_acc" if score else "age-regression_utkface_mae",
        transform="norm_224" if contract.height == 224 else "norm_256",
        hyperparameters={
            "lr": learning.rate,
            "momentum": _MOMENTUM,
            "dropout": _dropout(network),
            "batch": learning.batch,
        },
    )


def _setting(network: nn.Module, contract: Contract, learning: _Learning) -> dict[str, str]:
    """The arguments of `adapter.Setting`, as source text."""
    low, high = contract.value_range
    scale = tuple((high - low) / 255 / std for std in contract.std)
    offset = tuple(
        (low - mean) / std for mean, std in zip(contract.mean, contract.std, strict=True)
    )
    bounds = (contract.output.minimum, contract.output.maximum)
    return {
        "height": repr(contract.height),
        "width": repr(contract.width),
        "crops": repr(tuple((c.left, c.top, c.right, c.bottom) for c in contract.crops)),
        "area": repr(contract.interpolation == "area"),
        "bgr": repr(contract.color_order == "BGR"),
        "scale": repr(scale),
        "offset": repr(offset),
        "answers": repr(None if None in bounds else bounds),
        "score": repr(contract.output.unit == "score"),
        "start": repr(_start(network)).replace("'", '"'),
        "error": _ERRORS[learning.loss],
        "weight_decay": repr(learning.weight_decay),
        "clip_norm": repr(learning.clip_norm),
    }


def _start(network: nn.Module) -> dict[str, list[Any]]:
    """What `losses.start_at` sets in an untrained network, by parameter."""
    before = {name: value.clone() for name, value in network.named_parameters()}
    losses.start_at(network, _START_AGE)
    return {
        name: value.tolist()
        for name, value in network.named_parameters()
        if not torch.equal(value, before[name])
    }


def _dropout(network: nn.Module) -> float:
    return next(module.p for module in network.modules() if isinstance(module, nn.Dropout))


def _arguments(network: nn.Module, config: Mapping[str, Any]) -> str:
    """The arguments that build the network again, with LEMUR's dropout, as source text."""
    if isinstance(network, C3AE):
        plain = C3AEConfig()
        values = {
            key: value
            for key, value in dataclasses.asdict(network.config).items()
            if value != getattr(plain, key)
        }
        return f"C3AEConfig({_keywords(values)})"
    # The gender network is told from the age network by its factory alone.
    return _keywords({**config, **({"v": network.v} if isinstance(network, SSRNet) else {})})


def _keywords(values: Mapping[str, Any]) -> str:
    texts = [f"{key}={value!r}" for key, value in values.items() if key != "dropout"]
    return ", ".join([*texts, 'dropout=prm["dropout"]'])


def _assigned(key: str, value: str) -> str:
    """An argument on a line of its own, broken where it is too long."""
    line = f"{key}={value},"
    if len(line) + 8 <= _LINE:
        return line
    inner = value[1:-1].rstrip(",")
    return f"{key}={value[0]}\n            {inner},\n        {value[-1]},"


def _description(spec: registry.ModelSpec, config: Mapping[str, Any], contract: Contract) -> str:
    """What the module takes for granted and does, for its docstring."""
    low, high = contract.value_range
    values = f"{contract.color_order} {low:g}..{high:g}"
    if (contract.mean, contract.std) != ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)):
        values += f" less {contract.mean}, over {contract.std}"
    names = ", ".join(contract.input_names)
    cut = f"cuts it into the crops {names}, " if len(contract.crops) > 1 else ""
    layout = f", config={dict(config)!r}" if config else ""
    paragraphs = (
        f"Layers: {spec.source}.",
        "An image is a face framed as UTKFace frames it, of any size, in the normalisation of "
        f"LEMUR's loaders of faces: RGB 0..1 less {adapter.MEAN}, over {adapter.STD}. Transforms "
        "named norm give it; those named echo leave it out, and released weights then answer "
        f"wrongly without an error. The module {cut}resizes to {contract.height}x{contract.width} "
        f"({contract.interpolation}) and makes of it {values}.",
        f"Written by agecompact {__version__} (Apache-2.0); needs torch alone. The keys of the "
        "state dict are agecompact's: `net.load_state_dict` takes the tensors of an agecompact "
        "weights file, and what the network learnt becomes one by "
        f'`agecompact.weights.checkpoints.write(path, net, model_id="{spec.id}"{layout})`.',
    )
    return "\n\n".join(
        textwrap.fill(text, _LINE, break_long_words=False, break_on_hyphens=False)
        for text in paragraphs
    )
