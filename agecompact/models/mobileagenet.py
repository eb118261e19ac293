"""MobileAgeNet (Kumar et al., arXiv 2604.17007): MobileNetV3-Large features, a bounded head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from agecompact.models.bounded import logit_of
from agecompact.models.mobilenetv3 import OUTPUT_CHANNELS, mobilenet_v3_large_features
from agecompact.models.trainable import Heads

# Features whose outputs have the shapes of EfficientNet-Lite0's first five stages.
_STAGE_ENDS = (1, 3, 6, 10, 12)
_STEM = "features.0.0.weight"
# Standard deviation in pixels. Before any training, a bicubic resize moved the answers for 200
# validation faces by 0.23 years with 1, by 0.19 with 1.3, and by 0.42 without a blur.
_BLUR = 1.15


class MobileAgeNet(nn.Module):
    """Age regression bounded inside the graph, 3,234,481 trainable parameters.

    Input: float32 NCHW `(N, 3, 224, 224)`, RGB, normalised with ImageNet's mean and standard
    deviation. Output: float32 `(N, 1)`, years, within (minimum, maximum) by construction.

    Args:
        minimum: Lower bound of the output in years.
        maximum: Upper bound of the output in years.
        dropout: Dropout after the head's first layer; the second uses max(0.05, dropout / 2).
        stem: Side of the first convolution's kernel; the paper's is 3. One of 5 can blur, so that
            it hardly matters by which filter a picture was resized.
    """

    def __init__(
        self,
        minimum: float = 1.0,
        maximum: float = 95.0,
        dropout: float = 0.1807,
        stem: int = 3,
    ) -> None:
        super().__init__()
        self.minimum = minimum
        self.maximum = maximum
        self.features = mobilenet_v3_large_features(stem)
        self.head = nn.Sequential(
            nn.Linear(OUTPUT_CHANNELS, 256),
            nn.Hardswish(),
            nn.Dropout(dropout),
            nn.Linear(256, 64),
            nn.Hardswish(),
            nn.Dropout(max(0.05, dropout / 2)),
            nn.Linear(64, 1),
        )
        for module in self.head:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, face: Tensor) -> Tensor:
        """Returns the age in years, `(N, 1)`: minimum + (maximum - minimum) * sigmoid(z)."""
        # A mean over both axes is one op in every format, whatever the layout.
        pooled = self.features(face).mean(dim=(2, 3))
        return self.minimum + (self.maximum - self.minimum) * torch.sigmoid(self.head(pooled))

    def initialise_output(self, mean: float) -> None:
        """Starts at a mean age: `trainable.HasOutputStart`."""
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, logit_of(mean, self.minimum, self.maximum))

    def hint_layers(self) -> Mapping[str, nn.Module]:
        """Returns five stages and the head's first layer: `trainable.HasHintLayers`."""
        stages = {f"stage{n}": self.features[i] for n, i in enumerate(_STAGE_ENDS, start=1)}
        return {**stages, "hidden": self.head[0]}

    def adapted(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Widens a smaller stem: `trainable.AdaptsWeights`."""
        kernel, side = state[_STEM], self.state_dict()[_STEM].shape[-1]
        return {**state, _STEM: _widened(kernel, side)} if side > kernel.shape[-1] else state

    def heads(self) -> Heads:
        """Returns the names of torchvision's classifier: `trainable.HasTrunk`."""
        return Heads(own="head.", published="classifier.")


def _widened(kernel: Tensor, side: int) -> Tensor:
    """A larger kernel that sees, as nearly as it can, what a kernel would see of a blurred picture.

    Args:
        kernel: `(outputs, inputs, K, K)`, K odd.
        side: Side of the larger one, odd.
    """
    inputs, reach = kernel.shape[1], 2 * side
    blur = torch.exp(-((torch.arange(-reach, reach + 1) / _BLUR) ** 2) / 2)
    blur = torch.outer(blur, blur) / blur.sum() ** 2
    filters = blur.expand(inputs, 1, *blur.shape)
    whole = functional.conv2d(kernel, filters, padding=2 * reach, groups=inputs)
    cut = (whole.shape[-1] - side) // 2
    kept = whole[..., cut:-cut, cut:-cut]
    # What is cut off would have added to it on an even surface.
    missing = kernel.sum((2, 3), keepdim=True) - kept.sum((2, 3), keepdim=True)
    return kept + missing / side**2
