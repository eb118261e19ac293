"""The locks pin the same versions; the lean one lacks TensorFlow, its packages and a browser."""

from __future__ import annotations

from packaging.requirements import Requirement

from tests.support import REPOSITORY

_ONLY_FULL = {
    *("tensorflow", "tf_keras", "keras", "astunparse", "gast", "google-pasta", "grpcio"),
    *("libclang", "namex", "onnx_graphsurgeon", "opt_einsum", "optree", "termcolor", "wrapt"),
    "tflite-support",
}
# The extra web, which the tests need: it brings 170 MB of Node.js.
_WEB = {"playwright", "pyee"}


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
    assert full.keys() - lean.keys() == _ONLY_FULL | _WEB
    assert lean == {name: pin for name, pin in full.items() if name in lean}


def test_the_extra_web_has_one_version() -> None:
    full, extras = _pins("requirements.lock"), _pins("requirements-extras.lock")
    assert {name: extras[name] for name in _WEB} == {name: full[name] for name in _WEB}
