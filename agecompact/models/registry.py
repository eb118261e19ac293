"""The models by id: how to build each, what it eats, where it comes from, what it should count.

Entries name their factory as text, so that listing models imports no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agecompact.contract import Contract, Crop, Output
from agecompact.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelSpec:
    """One model.

    Attributes:
        id: The name used on the command line and in file names.
        title: The name used in the literature.
        factory: `module:function` that takes the configuration and returns an `nn.Module`.
        contract: How images become its inputs, in PyTorch's NCHW layout.
        source: Where layers and figures come from.
        parameters: The published count, which tests hold the network to.
        counts_statistics: Whether that count includes BN running statistics, as Keras counts.
        folded_parameters: The count once BN is folded into the convolutions.
    """

    id: str
    title: str
    factory: str
    contract: Contract
    source: str
    parameters: int
    counts_statistics: bool
    folded_parameters: int


_AGE = Output("age", "years")

# The paper gives no geometry for the three crops; these are nose-centred on UTKFace's framing.
C3AE_CROPS = (
    Crop("outer"),
    Crop("middle", 0.12, 0.12, 0.88, 0.88),
    Crop("inner", 0.24, 0.24, 0.76, 0.76),
)

_MODELS = (
    ModelSpec(
        id="ssrnet",
        title="SSR-Net (age)",
        factory="agecompact.models.ssrnet:age",
        contract=Contract((Crop("face"),), 64, 64, "BGR", _AGE),
        source="Yang et al., SSR-Net, IJCAI 2018; layers of github.com/shamangary/SSR-Net",
        parameters=40_915,
        counts_statistics=True,
        folded_parameters=40_147,
    ),
    ModelSpec(
        id="ssrnet-gender",
        title="SSR-Net (gender)",
        factory="agecompact.models.ssrnet:gender",
        contract=Contract((Crop("face"),), 64, 64, "BGR", Output("gender", "score")),
        source="Yang et al., SSR-Net, IJCAI 2018; layers of github.com/shamangary/SSR-Net",
        parameters=40_915,
        counts_statistics=True,
        folded_parameters=40_147,
    ),
    ModelSpec(
        id="c3ae-plain",
        title="C3AE (plain)",
        factory="agecompact.models.c3ae:plain",
        contract=Contract((Crop("face"),), 64, 64, "BGR", _AGE),
        source="Zhang et al., C3AE, CVPR 2019, Table 1",
        parameters=36_345,
        counts_statistics=True,
        folded_parameters=35_865,
    ),
    ModelSpec(
        id="c3ae",
        title="C3AE (full)",
        factory="agecompact.models.c3ae:full",
        contract=Contract(C3AE_CROPS, 64, 64, "BGR", _AGE),
        source="Zhang et al., C3AE, CVPR 2019, sections 3.1-3.4, 39.7K reconstruction",
        parameters=39_709,
        counts_statistics=True,
        folded_parameters=39_229,
    ),
    ModelSpec(
        id="mobileagenet",
        title="MobileAgeNet",
        factory="agecompact.models.mobileagenet:age",
        contract=Contract(
            (Crop("face"),),
            224,
            224,
            "RGB",
            Output("age", "years", 1.0, 95.0),
            value_range=(0.0, 1.0),
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
        source="Kumar et al., MobileAgeNet, arXiv 2604.17007",
        parameters=3_234_481,
        counts_statistics=False,
        folded_parameters=3_222_281,
    ),
)

MODELS: Mapping[str, ModelSpec] = {spec.id: spec for spec in _MODELS}


# Networks that others learn from. They are trained and measured like the models, and never shipped.
TEACHERS: Mapping[str, ModelSpec] = {
    "efficientnet-lite0": ModelSpec(
        id="efficientnet-lite0",
        title="EfficientNet-Lite0 (age)",
        factory="agecompact.models.efficientnet_lite:age",
        # 127 and 128 of 255, as its ImageNet weights were trained.
        contract=Contract(
            (Crop("face"),),
            128,
            128,
            "RGB",
            Output("age", "years", 1.0, 95.0),
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        ),
        source="Tan & Le, EfficientNet, ICML 2019, Lite variant",
        parameters=3_372_289,
        counts_statistics=False,
        folded_parameters=3_351_281,
    ),
    "faceres": ModelSpec(
        id="faceres",
        title="FaceRes (MobileNetV1, age)",
        factory="agecompact.models.mobilenetv1:age",
        # ImageNet's: within half a level of the means that its published weights were trained with.
        contract=Contract(
            (Crop("face"),),
            160,
            160,
            "RGB",
            Output("age", "years", 0.0, 99.0),
            value_range=(0.0, 1.0),
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
        source="Howard et al., MobileNets, arXiv 1704.04861; Savchenko, PeerJ CS 5:e197, 2019",
        parameters=3_495_076,
        counts_statistics=False,
        folded_parameters=3_484_132,
    ),
}


def get(model_id: str) -> ModelSpec:
    """The entry of a model.

    Raises:
        UsageError: No such model; the nearest name is suggested.
    """
    known = {**MODELS, **TEACHERS}
    if model_id not in known:
        raise unknown_name("model", model_id, known)
    return known[model_id]


def build(model_id: str, config: Mapping[str, Any] | None = None) -> nn.Module:
    """Builds a network with fresh weights.

    Args:
        model_id: A registered id.
        config: Keyword arguments of the model's factory, for other layouts than the default.

    Raises:
        UsageError: No such model, or the factory does not take that configuration.
    """
    spec = get(model_id)
    module, function = spec.factory.split(":")
    factory = getattr(importlib.import_module(module), function)
    try:
        network: nn.Module = factory(**(config or {}))
    except TypeError as error:
        raise UsageError(f"'{model_id}' cannot be built so", why=str(error)) from None
    return network
