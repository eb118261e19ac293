"""Packages are judged by what the installed agecompact declares, without being imported."""

import sys
import tomllib

import pytest

from agecompact.diagnosis import packages
from agecompact.diagnosis.checks import Check, Settings, checks, examine
from agecompact.errors import BackendMissingError
from agecompact.formats import FORMATS
from tests.support import REPOSITORY


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """Writes a distribution as pip does, in front of those that are installed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def write(name, version, *, requires=(), module=None, source="", python=">=3.11"):
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", f"Requires-Python: {python}"]
        lines += [f"Requires-Dist: {each}" for each in requires]
        (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))
        (info / "RECORD").write_text(f"{module or name}/__init__.py,,\n")
        if source is not None:
            (tmp_path / (module or name)).mkdir()
            (tmp_path / (module or name) / "__init__.py").write_text(source)

    return write


def refused(extra, *, imports=False):
    with pytest.raises(BackendMissingError) as caught:
        packages.installed(extra, imports=imports)
    return caught.value


OURS = (
    "always>=2",
    'more<3,>=2; extra == "tflite"',
    'elsewhere>=1; sys_platform == "nowhere" and extra == "tflite"',
    'other; extra == "coreml"',
)


def test_what_fits_is_listed_with_its_version(plant):
    plant("agecompact", "9", requires=OURS, source=None)
    plant("always", "2.0+cpu")
    plant("more", "2.5")
    assert packages.installed(None, imports=False) == "always 2.0+cpu"
    assert packages.installed("tflite", imports=False) == "more 2.5"
    assert packages.installed("tflite", imports=True) == "more 2.5; all can be imported"


def test_a_missing_package_is_cured_by_its_extra(plant):
    plant("agecompact", "9", requires=OURS, source=None)
    error = refused("tflite")
    assert error.what == "1 of 1 packages of the 'tflite' extra cannot be used"
    assert error.why == "more is not installed"
    assert error.fix == "pip install '.[tflite]' in the folder of agecompact's source"
    assert refused(None).fix == "pip install . in the folder of agecompact's source"


@pytest.mark.parametrize("version", ["1.9", "3.0"])
def test_another_version_than_those_allowed_is_refused(plant, version):
    plant("agecompact", "9", requires=OURS, source=None)
    plant("more", version)
    error = refused("tflite")
    assert error.why == f"more {version} is installed, and <3,>=2 is needed"
    assert error.fix == "pip install '.[tflite]' in the folder of agecompact's source"


def test_a_package_whose_files_are_gone_is_reinstalled(plant):
    plant("agecompact", "9", requires=OURS, source=None)
    plant("more", "2.5", module="more_here", source=None)
    error = refused("tflite")
    assert error.why == "more is incomplete: there is no module more_here"
    assert error.fix == "pip install --force-reinstall --no-deps more==2.5"


def test_a_package_that_cannot_be_imported_is_reinstalled(plant):
    plant("agecompact", "9", requires=OURS, source=None)
    plant("always", "2.0+cpu", source="raise ImportError('libgomp.so.1')")
    assert packages.installed(None, imports=False) == "always 2.0+cpu"
    error = refused(None, imports=True)
    assert error.why == "cannot import always: ImportError: libgomp.so.1"
    assert error.fix == (
        "pip install --force-reinstall --no-deps always==2.0+cpu "
        "--extra-index-url https://download.pytorch.org/whl/cpu"
    )


def test_a_python_that_is_too_old_is_refused(plant):
    plant("agecompact", "9", python=f">={sys.version_info[0]}.{sys.version_info[1] + 1}")
    with pytest.raises(BackendMissingError, match="is not supported"):
        packages.python()


def test_sources_that_were_not_installed_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert refused(None).what == "agecompact is not installed"


def test_every_extra_of_the_project_is_checked_and_no_other():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = {check.name for check in packages.checks(Settings())}
    # One of two, whichever onnx2tf is installed, under the name of the first.
    either = {"all", "tflite-lean"}
    assert names == {"Python", "packages", *project["optional-dependencies"]} - either
    assert {each.extra for each in FORMATS.values() if each.extra} <= names


@pytest.mark.parametrize(("version", "expected"), [("1.28.8", "more 2.5"), ("2.6.9", "less 1.0")])
def test_onnx2tf_2_is_judged_by_what_it_needs_itself(plant, version, expected):
    plant("agecompact", "9", requires=[*OURS, 'less; extra == "tflite-lean"'], source=None)
    plant("more", "2.5")
    plant("less", "1.0")
    plant("onnx2tf", version)
    (check,) = (each for each in packages.checks(Settings()) if each.name == "tflite")
    assert check.probe() == expected


def test_a_source_of_checks_that_cannot_be_imported_is_a_check_that_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "agecompact.diagnosis.places", None)
    found = [examine(check) for check in checks(Settings())]
    problem = found[-1].problem
    assert problem is not None
    assert (found[-1].check.name, problem.what) == (
        "agecompact.diagnosis.places",
        "it cannot be checked",
    )


def test_a_check_whose_stage_cannot_be_imported_fails():
    def probe():
        raise ImportError("no module named 'numpy'")

    problem = examine(Check("a place", probe, ("bench",))).problem
    assert problem is not None
    assert problem.why == "no module named 'numpy'"
