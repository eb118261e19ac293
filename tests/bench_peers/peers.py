"""The table of tools that are compared; each makes one file of a model."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass

_MAKERS = "tests.bench_peers.makers"
_OWN_EXTRA = "pip install '.[tflite]'"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A tool with its settings.

    Attributes:
        name: Its name for `--peer`.
        title: Its name in the table.
        suffix: Suffix of its file.
        maker: `module:function`, called with a `makers.Job` in a process of its own.
        distributions: What must be installed; their versions are in the results.
        install: The command that installs them.
        source: Name of the tool whose file it converts; None for PyTorch's weights.
        is_calibrated: Whether it sees the calibration faces.
        is_ours: Whether agecompact's own code makes it, so that a change there makes it again.
        runs_emulated: Whether its answers are the emulator's: this machine computes its file in
            another arithmetic.
    """

    name: str
    title: str
    suffix: str
    maker: str
    distributions: tuple[str, ...]
    install: str = _OWN_EXTRA
    source: str | None = None
    is_calibrated: bool = False
    is_ours: bool = False
    runs_emulated: bool = False

    def versions(self) -> dict[str, str]:
        """Versions of its distributions that are installed, by name."""
        found = {}
        for name in self.distributions:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        return found

    def missing(self) -> tuple[str, ...]:
        """Its distributions that are not installed."""
        installed = self.versions()
        return tuple(name for name in self.distributions if name not in installed)


SOURCE = "agecompact-onnx"
# Whose file the sizes and instructions of the others are divided by.
BASELINE = "onnx2tf"

_ONNX2TF = ("onnx2tf", "tensorflow")
_QUANTIZER = ("ai-edge-quantizer", "ai-edge-litert")
_OURS = ("onnx2tf", "tensorflow", "ai-edge-litert")

PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            name=SOURCE,
            title="agecompact ONNX float32",
            suffix=".onnx",
            maker=f"{_MAKERS}:agecompact_onnx",
            distributions=("torch", "onnx"),
            is_ours=True,
        ),
        Peer(
            name=BASELINE,
            title="onnx2tf float32",
            suffix=".tflite",
            maker=f"{_MAKERS}:onnx2tf_float32",
            distributions=_ONNX2TF,
            source=SOURCE,
        ),
        Peer(
            name="litert-torch",
            title="litert-torch float32",
            suffix=".tflite",
            maker=f"{_MAKERS}:litert_torch_float32",
            distributions=("litert-torch",),
            install="pip install litert-torch==0.10.0",
        ),
        Peer(
            name="agecompact",
            title="agecompact float32",
            suffix=".tflite",
            maker=f"{_MAKERS}:agecompact_float32",
            distributions=_OURS,
            is_ours=True,
        ),
        Peer(
            name="agecompact-float16-arithmetic",
            title="agecompact float16-arithmetic",
            suffix=".tflite",
            maker=f"{_MAKERS}:agecompact_float16_arithmetic",
            distributions=_OURS,
            is_ours=True,
            runs_emulated=True,
        ),
        Peer(
            name="onnx2tf-int8",
            title="onnx2tf int8",
            suffix=".tflite",
            maker=f"{_MAKERS}:onnx2tf_int8",
            distributions=_ONNX2TF,
            source=SOURCE,
            is_calibrated=True,
        ),
        Peer(
            name="ai-edge-quantizer",
            title="ai-edge-quantizer int8",
            suffix=".tflite",
            maker=f"{_MAKERS}:quantizer_static",
            distributions=_QUANTIZER,
            source=BASELINE,
            is_calibrated=True,
        ),
        Peer(
            name="ai-edge-quantizer-convolutions",
            title="ai-edge-quantizer int8 convolutions",
            suffix=".tflite",
            maker=f"{_MAKERS}:quantizer_convolutions",
            distributions=_QUANTIZER,
            source=BASELINE,
            is_calibrated=True,
        ),
        Peer(
            name="ai-edge-quantizer-dynamic",
            title="ai-edge-quantizer dynamic range",
            suffix=".tflite",
            maker=f"{_MAKERS}:quantizer_dynamic",
            distributions=_QUANTIZER,
            source=BASELINE,
        ),
        Peer(
            name="onnxruntime",
            title="ONNX Runtime static QDQ",
            suffix=".onnx",
            maker=f"{_MAKERS}:onnxruntime_static",
            distributions=("onnxruntime",),
            source=SOURCE,
            is_calibrated=True,
        ),
        Peer(
            name="agecompact-onnx-int8",
            title="agecompact ONNX int8",
            suffix=".onnx",
            maker=f"{_MAKERS}:agecompact_onnx_int8",
            distributions=(*_OURS, "onnx"),
            is_calibrated=True,
            is_ours=True,
        ),
        Peer(
            name="agecompact-int8",
            title="agecompact int8",
            suffix=".tflite",
            maker=f"{_MAKERS}:agecompact_int8",
            distributions=(*_OURS, "ai-edge-quantizer"),
            is_calibrated=True,
            is_ours=True,
        ),
    )
}
