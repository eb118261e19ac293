"""A build with Core ML packages that cannot run here, and a pretended Mac."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from agecompact.artifacts import manifest
from agecompact.artifacts.manifest import Build, Entry, Manifest
from agecompact.contract import Contract, Crop, Output
from agecompact.files import sha256_of, size_of
from tests.ios_bench import fixtures

DATA = Path(__file__).parent / "data"


@pytest.fixture
def saved() -> Callable[[str], str]:
    """Returns the saved output of a tool, by name."""
    return lambda name: (DATA / name).read_text()


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A build with two packages and a golden pack."""
    folder = tmp_path / "build" / "c3ae"
    entries = []
    for precision in ("float32", "float16"):
        package = folder / f"c3ae_{precision}.mlpackage"
        shutil.copytree(fixtures.FOLDER / "sample.package", package)
        (package / "Data/precision").write_text(precision)
        entries.append(
            Entry(
                file=package.name,
                format="coreml",
                precision=precision,
                sha256=sha256_of(package),
                bytes=size_of(package),
                converter="coremltools",
                versions={},
                opset=7,
                batch=1,
                conversion_s=1.0,
            )
        )
    shutil.copytree(fixtures.FOLDER / "golden", folder / "golden")
    contract = Contract(
        crops=(Crop("face"),),
        height=2,
        width=3,
        color_order="BGR",
        outputs=(Output("age", "years"),),
    )
    made = Manifest(
        model="c3ae",
        weights="c3ae.safetensors",
        weights_sha256="0" * 64,
        source="",
        terms="",
        contract=contract,
        parameters=39741,
        folded_parameters=39000,
        macs=21_000_000,
        artifacts=tuple(entries),
    )
    manifest.write(folder, made)
    return Build(folder, made)


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the drivers believe that this is a Mac with Xcode."""
    monkeypatch.setattr("ios_bench.mac.sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr("ios_bench.devices.shutil.which", lambda name: f"/usr/bin/{name}")
