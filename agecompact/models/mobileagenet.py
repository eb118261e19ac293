"""MobileAgeNet (Kumar et al., arXiv 2604.17007): MobileNetV3-Large features, a bounded head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agecompact.models.mobilenetv3 import OUTPUT_CHANNELS, mobilenet_v3_large_features


class MobileAgeNet(nn.Module):
    """Age regression bounded inside the graph.

    Input: float32 NCHW `(N, 3, 224, 224)`, RGB, normalised with ImageNet's mean and standard
    deviation. Output: float32 `(N, 1)`, years, within (minimum, maximum) by construction.

    Args:
        minimum: Lower bound of the answer in years.
        maximum: Upper bound of the answer in years.
        dropout: Dropout after the head's first layer; the second uses max(0.05, dropout / 2).
    """

    def __init__(
        self, minimum: float = 1.0, maximum: float = 95.0, dropout: float = 0.1807
    ) -> None:
        super().__init__()
        self.minimum = minimum
        self.maximum = maximum
        self.features = mobilenet_v3_large_features()
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
        """Age in years, `(N, 1)`: minimum + (maximum - minimum) * sigmoid(z)."""
        # A mean over both axes is one op in every format, and free of the layout.
        pooled = self.features(face).mean(dim=(2, 3))
        return self.minimum + (self.maximum - self.minimum) * torch.sigmoid(self.head(pooled))


def age(**config: object) -> MobileAgeNet:
    """MobileAgeNet, 3,234,481 trainable parameters."""
    return MobileAgeNet(**config)  # type: ignore[arg-type]
