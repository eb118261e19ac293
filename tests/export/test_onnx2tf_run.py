"""Which packages decide what a TFLite file is; `.ci/run` shows that onnx2tf 2 writes right ones."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from agecompact import imports
from export import onnx2tf_run


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ("1.28.8", ("onnx2tf", "tensorflow", "ai-edge-litert")),
        ("2.6.9", ("onnx2tf", "ai-edge-litert")),
        (None, ("onnx2tf", "tensorflow", "ai-edge-litert")),
    ],
)
def test_only_onnx2tf_1_builds_with_tensorflow(
    installed: str | None, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        assert name == "onnx2tf"
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(imports, "version", version)
    assert onnx2tf_run.tools() == expected
