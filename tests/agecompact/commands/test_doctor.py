"""`doctor` in environments from which packages, programs and files were taken away."""

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from agecompact.bench.drivers import DRIVERS
from agecompact.errors import ExitCode
from tests.support import REPOSITORY

SITE = Path(sysconfig.get_path("purelib"))


@pytest.fixture
def environment(tmp_path):
    """Makes a virtual environment with all packages of this one, but for some."""

    def make(*left_out):
        venv.create(tmp_path / "venv", with_pip=False)
        (site,) = tmp_path.glob("venv/lib/*/site-packages")
        for entry in SITE.iterdir():
            if entry.name.partition("-")[0] not in left_out and entry.suffix != ".pth":
                (site / entry.name).symlink_to(entry)
        return tmp_path / "venv"

    return make


def doctor(place, *arguments, path=""):
    """Runs it there; no program can be found but on the path."""
    variables = {n: v for n, v in os.environ.items() if n not in ("ADB", "ANDROID_SERIAL")}
    return subprocess.run(
        [place / "bin" / "python", "-P", "-m", "agecompact", "doctor", *arguments],
        env={**variables, "PYTHONPATH": str(REPOSITORY), "PATH": str(path)},
        cwd=place,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_where_all_is_installed_it_exits_with_0(environment, tmp_path):
    done = doctor(environment(), "--json", tmp_path / "doctor.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "export, parity and predict work" in done.stdout
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert found["works"] is True
    states = {check["name"]: check["ok"] for check in found["checks"]}
    packages = ("Python", "packages", "tflite", "coreml", "train", "report", "dev")
    everywhere = dict.fromkeys((*packages, "faces", "HEIC"), True)
    assert everywhere.items() <= states.items()
    places = {f"--on {name}" for name in DRIVERS}
    processors = {"coreai", "executorch", "gpu", "ncnn", "npu", "sign", "web"}
    assert places | processors == states.keys() - everywhere.keys()
    # Nothing is on the path.
    assert states["--on adb"] is False


def test_without_a_core_package_it_exits_with_3_and_the_cure(environment):
    done = doctor(environment("onnxruntime"), "--json", "-")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "onnxruntime is not installed" in done.stderr
    assert "error: export, parity and predict do not work here" in done.stderr
    assert "fix: pip install . in the folder of agecompact's source" in done.stderr
    found = json.loads(done.stdout)
    assert found["works"] is False
    (broken,) = [check for check in found["checks"] if check["core"] and not check["ok"]]
    assert broken["why"] == "onnxruntime is not installed"


def test_without_extras_it_exits_with_0_and_what_that_costs(environment):
    done = doctor(environment("onnx2tf", "coremltools"))
    assert done.returncode == 0, done.stdout + done.stderr
    for extra, package in (("tflite", "onnx2tf"), ("coreml", "coremltools")):
        _, _, rest = done.stdout.partition(f"missing  {extra} ")
        assert f"why: {package} is not installed" in rest
        assert f"costs: export --format {extra}" in rest
        assert f"fix: pip install '.[{extra}]'" in rest


def test_it_needs_almost_nothing_of_what_it_judges(environment):
    gone = ("numpy", "cattrs", "cattr", "rich", "torch", "psutil", "cv2", "onnx")
    done = doctor(environment(*gone))
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "Traceback" not in done.stderr
    for name in ("numpy", "cattrs", "rich", "torch", "psutil", "onnx"):
        assert f"why: {name} is not installed" in done.stdout
    assert "opencv-python-headless is incomplete: there is no module cv2" in done.stdout
    # The places need what is missing, and are not said to be there.
    assert "why: No module named" in done.stdout
    assert "--on host" not in done.stdout


def test_a_core_package_that_crashes_is_found(environment):
    place = environment("onnxruntime")
    (site,) = place.glob("lib/*/site-packages")
    (info,) = SITE.glob("onnxruntime-*.dist-info")
    (site / info.name).symlink_to(info)
    (site / "onnxruntime").mkdir()
    (site / "onnxruntime" / "__init__.py").write_text("import os; os.abort()")
    done = doctor(place)
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "cannot import onnxruntime: its import ends the process with signal SIGABRT" in (
        done.stdout
    )
    assert "fix: pip install --force-reinstall --no-deps onnxruntime==" in done.stderr


@pytest.mark.slow
def test_a_broken_extra_is_found_if_it_looks_closely(environment):
    place = environment("coremltools")
    (site,) = place.glob("lib/*/site-packages")
    (info,) = SITE.glob("coremltools-*.dist-info")
    (site / info.name).symlink_to(info)
    (site / "coremltools").mkdir()
    (site / "coremltools" / "__init__.py").write_text("raise RuntimeError('another protobuf')")
    assert "missing  coreml" not in doctor(place).stdout
    done = doctor(place, "--thorough")
    assert done.returncode == 0
    assert "cannot import coremltools: RuntimeError: another protobuf" in done.stdout


def test_a_phone_is_found_through_adb(environment, tmp_path):
    # A missing core package, so that none is imported.
    place = environment("onnxruntime")
    path = tmp_path / "path"
    path.mkdir()
    (path / "adb").write_text("#!/bin/sh\necho 'F00 unauthorized usb:1'\n")
    (path / "adb").chmod(0o755)
    done = doctor(place, path=path)
    assert "device F00 cannot be used" in done.stdout
    assert "fix: unlock the device" in done.stdout
    assert "adb is missing" not in done.stdout
