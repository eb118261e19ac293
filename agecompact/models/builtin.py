"""The models that come with agecompact."""

from __future__ import annotations

from collections.abc import Mapping

from agecompact.contract import Contract, Crop, Output
from agecompact.models.spec import Counts, ModelSpec

_FACE = (Crop("face"),)
_AGE = (Output("age", "years"),)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

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
        factory="agecompact.models.ssrnet:SSRNet",
        contract=Contract(_FACE, 64, 64, "BGR", _AGE),
        source="Yang et al., SSR-Net, IJCAI 2018; layers of github.com/shamangary/SSR-Net",
        counts=Counts(40_531, 384, folded_parameters=40_147, published=40_915),
        shrink="shrink",
    ),
    ModelSpec(
        id="ssrnet-gender",
        title="SSR-Net (gender)",
        factory="agecompact.models.ssrnet:SSRNetGender",
        contract=Contract(_FACE, 64, 64, "BGR", (Output("gender", "score"),)),
        source="Yang et al., SSR-Net, IJCAI 2018; layers of github.com/shamangary/SSR-Net",
        counts=Counts(40_531, 384, folded_parameters=40_147, published=40_915),
        shrink="shrink",
    ),
    ModelSpec(
        id="c3ae-plain",
        title="C3AE (plain)",
        factory="agecompact.models.c3ae:C3AEPlain",
        contract=Contract(_FACE, 64, 64, "BGR", _AGE),
        source="Zhang et al., C3AE, CVPR 2019, Table 1",
        counts=Counts(36_089, 256, folded_parameters=35_865, published=36_345),
        shrink="shrink",
    ),
    ModelSpec(
        id="c3ae",
        title="C3AE (full)",
        factory="agecompact.models.c3ae:C3AEFull",
        contract=Contract(C3AE_CROPS, 64, 64, "BGR", _AGE),
        source="Zhang et al., C3AE, CVPR 2019, sections 3.1-3.4, 39.7K reconstruction",
        counts=Counts(39_453, 256, folded_parameters=39_229, published=39_709),
        shrink="shrink",
    ),
    ModelSpec(
        id="mobileagenet",
        title="MobileAgeNet",
        factory="agecompact.models.mobileagenet:MobileAgeNet",
        contract=Contract(
            _FACE,
            224,
            224,
            "RGB",
            (Output("age", "years", 1.0, 95.0),),
            value_range=(0.0, 1.0),
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
        ),
        source="Kumar et al., MobileAgeNet, arXiv 2604.17007",
        counts=Counts(3_234_481, 24_400, folded_parameters=3_222_281, published=3_234_481),
        adaptable=("stem",),
    ),
)

_TEACHERS = (
    ModelSpec(
        id="efficientnet-lite0",
        title="EfficientNet-Lite0 (age)",
        factory="agecompact.models.efficientnet_lite:EfficientNetLite0",
        # 127 and 128 of 255, as its ImageNet weights were trained.
        contract=Contract(
            _FACE,
            128,
            128,
            "RGB",
            (Output("age", "years", 1.0, 95.0),),
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        ),
        source="Tan & Le, EfficientNet, ICML 2019, Lite variant",
        counts=Counts(3_372_289, 42_016, folded_parameters=3_351_281, published=3_372_289),
    ),
    ModelSpec(
        id="faceres",
        title="FaceRes (MobileNetV1, age)",
        factory="agecompact.models.mobilenetv1:MobileNetV1",
        # ImageNet's: within half a level of the means that its published weights were trained with.
        contract=Contract(
            _FACE,
            160,
            160,
            "RGB",
            (Output("age", "years", 0.0, 99.0),),
            value_range=(0.0, 1.0),
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
        ),
        source="Howard et al., MobileNets, arXiv 1704.04861; Savchenko, PeerJ CS 5:e197, 2019",
        counts=Counts(3_495_076, 21_888, folded_parameters=3_484_132, published=3_495_076),
    ),
)

MODELS: Mapping[str, ModelSpec] = {spec.id: spec for spec in _MODELS}
# Networks that others learn from: trained and measured like the models, but never shipped.
TEACHERS: Mapping[str, ModelSpec] = {spec.id: spec for spec in _TEACHERS}
