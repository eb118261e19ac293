"""The verb: what it writes, refuses and leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agecompact.contract import Contract, Crop, Output
from agecompact.integrate import rendering
from agecompact.integrate.platforms import PLATFORMS
from agecompact.integrate.project import MARK, affine
from agecompact.models import registry
from tests import invoking
from tests.agecompact.integrate.test_python import released_onnx


def test_a_project_replaces_an_older_one_but_no_other_folder(tmp_path: Path) -> None:
    model, out = released_onnx("ssrnet"), tmp_path / "app"
    said = invoking.done("integrate", model, "--platform", "python", "--out", out).output
    assert "the golden test allows 0.05 years" in said
    (out / "stale.py").write_text("")
    invoking.done("integrate", model, "--platform", "python", "--out", out)
    assert not (out / "stale.py").exists()
    (out / MARK).unlink()
    kept = sorted(out.rglob("*"))
    error = invoking.refused("integrate", model, "--platform", "python", "--out", out)
    assert "is no project of agecompact" in str(error)
    assert sorted(out.rglob("*")) == kept


def test_files_that_a_platform_does_not_run_are_refused(tmp_path: Path) -> None:
    model = tmp_path / "a.mlpackage"
    model.mkdir()
    error = invoking.refused("integrate", model, "--platform", "python", "--out", tmp_path / "b")
    assert "*.onnx or *.tflite" in str(error)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("filter_", ["py", "js", "kotlin", "swift"])
def test_a_string_gets_into_code_only_as_a_literal(filter_: str) -> None:
    quote = rendering._FILTERS[filter_]
    hostile = '"; boom() // \\ $x ${y} \\(z) \n\u2028</script>'
    literal = quote(hostile)
    assert "\n" not in literal
    assert "\u2028" not in literal
    if filter_ == "py":
        assert eval(literal) == hostile
    assert {"js": "</script>", "kotlin": " $x", "swift": " \\(z", "py": "\n"}[
        filter_
    ] not in literal
    with pytest.raises(ValueError, match="does not quote"):
        rendering._checked(hostile)
    assert rendering._checked(literal) == literal


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_platform_has_templates(platform: str) -> None:
    folder = Path(rendering.__file__).parent / "templates" / platform
    assert any(folder.rglob("README.md.j2"))


def test_scale_and_shift_are_the_contracts_table() -> None:
    contract = replace(
        registry.get("mobileagenet").contract, value_range=(-1.0, 1.0), mean=(0.1, 0.2, 0.3)
    )
    scale, shift = affine(contract)
    for channel in range(3):
        for level in (0, 77, 255):
            value = level * scale[channel] + shift[channel]
            assert value == pytest.approx(contract.table()[0, level, channel], abs=1e-6)


def test_the_scale_of_levels_is_one() -> None:
    plain = Contract((Crop("face"),), 8, 8, "RGB", (Output("age", "years"),))
    assert affine(plain) == ((1.0,) * 3, (0.0,) * 3)
