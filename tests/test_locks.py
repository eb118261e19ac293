"""The two locks pin the same versions, but for TensorFlow and what only it needs."""

from __future__ import annotations

from packaging.requirements import Requirement

from tests.support import REPOSITORY

_ONLY_FULL = {
    *("tensorflow", "tf_keras", "keras", "astunparse", "gast", "google-pasta", "grpcio"),
    *("libclang", "namex", "onnx_graphsurgeon", "opt_einsum", "optree", "termcolor", "wrapt"),
    "tflite-support",
}


def _pins(name: str) -> dict[str, str]:
    lines = (REPOSITORY / name).read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if not line.startswith("#")]
    assert len({each.name for each in pinned}) == len(pinned)
    return {each.name: str(each.specifier) for each in pinned}


def test_the_lean_lock_has_the_versions_of_the_full_one() -> None:
    full, lean = _pins("requirements.lock"), _pins("requirements-lean.lock")
    assert full.pop("onnx2tf") == "==1.28.8"
    assert lean.pop("onnx2tf") == "==2.6.9"
    assert lean.pop("onnxoptimizer")
    assert full.keys() - lean.keys() == _ONLY_FULL
    assert lean == {name: pin for name, pin in full.items() if name not in _ONLY_FULL}
