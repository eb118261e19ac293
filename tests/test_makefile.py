"""`make` remakes what a changed source goes into, and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agecompact.models.registry import MODELS
from tests.support import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

EXPORT, PARITY, BENCH = "agecompact export ssrnet ", "agecompact parity ", "agecompact bench "


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build folder whose every target is newer than every source."""
    for model in MODELS:
        for name in ("manifest.json", "golden/golden.json"):
            (tmp_path / model / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / model / name).touch()
    for name in ("parity.json", "latency.json"):
        (tmp_path / name).touch()
    return tmp_path


def remade(build: Path, *changed: str, settings: tuple[str, ...] = ()) -> str:
    """What `make parity bench` would run if these files were new."""
    command = ["make", "-n", "-o", ".venv/.ready", f"BUILD={build}", *settings, "parity", "bench"]
    flags = [flag for name in changed for flag in ("-W", name)]
    return subprocess.run(
        [*command, *flags], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout


def test_nothing_is_remade_without_a_change(build: Path) -> None:
    assert "agecompact" not in remade(build)


@pytest.mark.parametrize(
    ("source", "commands"),
    [
        ("agecompact/runtimes/registry.py", [EXPORT, PARITY, BENCH]),
        ("agecompact/runtimes/mil/kernels/conv.py", [EXPORT, PARITY, BENCH]),
        ("agecompact/artifacts/metadata.py", [EXPORT, PARITY, BENCH]),
        ("agecompact/models/ssrnet.py", [EXPORT, PARITY, BENCH]),
        ("agecompact/weights/ssrnet.safetensors", [EXPORT, PARITY, BENCH]),
        ("agecompact/weights/ssrnet.int8.safetensors", [EXPORT, PARITY, BENCH]),
        ("export/to_tflite.py", [EXPORT, PARITY, BENCH]),
        ("parity_tests/tolerances.toml", [PARITY]),
        ("parity_tests/localisation/rounding.py", [PARITY]),
        ("agecompact/faces/framing.py", [PARITY]),
        ("agecompact/bench/host.py", [BENCH]),
    ],
)
def test_a_changed_source_remakes_what_it_goes_into(
    build: Path, source: str, commands: list[str]
) -> None:
    assert (REPOSITORY / source).is_file()
    plan = remade(build, source)
    assert [c for c in (EXPORT, PARITY, BENCH) if c in plan] == commands


def test_extras_bring_their_processors_into_the_main_job(build: Path) -> None:
    plan = remade(build, "export/to_tflite.py", settings=("EXTRAS=npu coreai",))
    assert plan.index("'.[npu,coreai]'") < plan.index(f"{EXPORT}--everywhere ")
    assert f"{PARITY}{build} --everywhere" in plan
    assert "--everywhere" not in remade(build, "export/to_tflite.py")


def test_the_lean_lock_leaves_out_what_needs_tensorflow(build: Path) -> None:
    plan = remade(build, "export/to_tflite.py", settings=("LEAN=1",))
    assert "--precision int8-weights " in plan
    assert "--precision int8 " not in plan
    assert "requirements-lean.lock" not in plan, "nothing is installed again"
