"""The registry finds built-in models and those of other packages, and refuses broken ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agecompact.contract import Contract, Crop, Output
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.models.builtin import MODELS, TEACHERS
from agecompact.models.spec import ModelSpec
from tests.support import write_package

_SPEC = """
from agecompact.contract import Contract, Crop, Output
from agecompact.models.spec import ModelSpec

SPEC = ModelSpec(
    id="{id}",
    title="Tiny",
    factory="{factory}",
    contract=Contract((Crop("face"),), 8, 8, "RGB", (Output("age", "years"),)),
)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a package with one model onto the path."""

    def put(
        package: str, name: str, *, spec_id: str = "", factory: str = "torch.nn:Identity"
    ) -> None:
        code = _SPEC.format(id=spec_id or name, factory=factory)
        write_package(tmp_path / package, package, {"spec": code}, {name: f"{package}.spec:SPEC"})
        monkeypatch.syspath_prepend(str(tmp_path / package))

    return put


def test_a_model_of_another_package_is_found(install: Install) -> None:
    install("outside_found", "tiny")
    spec = registry.get("tiny")
    assert (spec.title, spec.counts, spec.source) == ("Tiny", None, "")
    assert [each.id for each in registry.models()] == [*MODELS, "tiny"]
    assert type(registry.build("tiny")).__name__ == "Identity"


def test_a_network_that_shrinks_its_input_takes_a_larger_one() -> None:
    plain, shrunk = (registry.contract_of("ssrnet", each) for each in ({}, {"shrink": 3}))
    assert plain == registry.get("ssrnet").contract
    assert (shrunk.height, shrunk.width) == (3 * plain.height, 3 * plain.width)
    # The argument of another model may mean anything.
    assert registry.contract_of("mobileagenet", {"shrink": 3}).height == 224


@pytest.mark.parametrize("amount", [0, -1, "3", 2.0, None, 1000])
def test_a_configuration_of_no_sensible_size_is_refused(amount: object) -> None:
    with pytest.raises(UsageError):
        registry.contract_of("c3ae", {"shrink": amount})


def test_the_teachers_are_found_and_not_listed() -> None:
    assert [each.id for each in registry.models()] == list(MODELS)
    assert [registry.get(model_id) for model_id in TEACHERS] == list(TEACHERS.values())


def test_an_unknown_model_suggests_the_nearest(install: Install) -> None:
    install("outside_near", "tiny-face")
    for wrong, near in (("mobileage", "mobileagenet"), ("tinyface", "tiny-face")):
        with pytest.raises(UsageError, match=f"did you mean '{near}'"):
            registry.get(wrong)


def test_two_packages_with_one_name_are_refused_and_others_still_work(install: Install) -> None:
    install("outside_one", "ssrnet")
    with pytest.raises(UsageError, match=r"named 'ssrnet'\nwhy: .*agecompact, package outside_one"):
        registry.get("ssrnet")
    with pytest.raises(UsageError, match="named 'ssrnet'"):
        registry.models()
    assert registry.get("c3ae") is MODELS["c3ae"]


@pytest.mark.parametrize(
    ("package", "code", "reason"),
    [
        ("outside_absent", None, "No module named 'outside_absent.spec'"),
        ("outside_raises", "raise RuntimeError('no licence')", "no licence"),
        ("outside_empty", "", "has no attribute 'SPEC'"),
        ("outside_other", "SPEC = 'tiny'", "is a str, not a ModelSpec"),
        (
            "outside_named",
            _SPEC.format(id="huge", factory="torch.nn:Identity"),
            "is the spec of 'huge'",
        ),
        ("outside_id", _SPEC.format(id="../tiny", factory="x:y"), "cannot be the id of a model"),
    ],
)
def test_a_broken_entry_point_is_reported_with_its_package(
    package: str,
    code: str | None,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modules = {} if code is None else {"spec": code}
    write_package(tmp_path, package, modules, {"tiny": f"{package}.spec:SPEC"})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=reason) as caught:
        registry.get("tiny")
    assert caught.value.what == f"cannot load model 'tiny' of package {package}"
    assert f"pip uninstall {package}" in caught.value.fix
    assert registry.get("c3ae") is MODELS["c3ae"]


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("absent_module:net", "cannot import the factory"),
        ("torch.nn:Absent", "cannot import the factory"),
        ("builtins:dict", "did not return a torch.nn.Module"),
    ],
)
def test_a_broken_factory_is_reported(
    factory: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = Contract((Crop("face"),), 8, 8, "RGB", (Output("age", "years"),))
    spec = ModelSpec("tiny", "Tiny", factory, contract)
    monkeypatch.setattr(registry, "MODELS", {"tiny": spec})
    with pytest.raises(UsageError, match=f"{reason}.*\nwhy: {factory}"):
        registry.build("tiny")


def test_an_invalid_configuration_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot build model 'ssrnet'"):
        registry.build("ssrnet", {"colour": "red"})


def test_listing_models_imports_no_torch() -> None:
    code = "import sys; from agecompact.models.registry import models; models()"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
