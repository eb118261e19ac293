"""A golden pack of random faces, the runner compiled for this machine, and the ARM bundle."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from agecompact.artifacts.manifest import Build
from agecompact.contract import Image
from agecompact.errors import BackendMissingError
from agecompact.runtimes.reading import read_metadata
from android_bench.emulated import bundle as arm_bundle
from android_bench.emulated.bundle import Bundle
from android_bench.native import sources
from tests.golden_pack import write_build_pack
from tests.pictures import as_pictures
from tests.support import BuildOf

SAMPLES = 3


def random_chips(count: int = SAMPLES) -> list[Image]:
    """Smooth pictures of different tones."""
    random = np.random.default_rng(7)
    small = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [np.kron(image, np.ones((25, 25, 1), np.uint8)) for image in small]


@pytest.fixture(scope="session")
def ssrnet(build_of: BuildOf) -> Build:
    return build_of("ssrnet")


@pytest.fixture(scope="session")
def artifact(ssrnet: Build) -> Path:
    return ssrnet.folder / "ssrnet_float32.tflite"


@pytest.fixture(scope="session")
def picture_artifact(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network, which takes pictures."""
    path = tmp_path_factory.mktemp("pictures") / artifact.name
    shutil.copyfile(artifact, path)
    as_pictures(path)
    return path


@pytest.fixture(scope="session")
def pack(ssrnet: Build, artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    contract = read_metadata(artifact).contract
    crops = [contract.crop(chip) for chip in random_chips()]
    images = {
        name: np.stack([contract.pixels(crop[name]) for crop in crops])
        for name in contract.input_names
    }
    folder = tmp_path_factory.mktemp("pack") / "golden"
    table, colours = contract.table()[0].T, contract.color_order
    return write_build_pack(ssrnet, images, table, folder=folder, colours=colours)


@pytest.fixture
def own_pack(pack: Path, tmp_path: Path) -> Path:
    """A copy to modify."""
    return Path(shutil.copytree(pack, tmp_path / "golden"))


@pytest.fixture(scope="session")
def library() -> Path:
    """LiteRT for this machine."""
    litert = pytest.importorskip("ai_edge_litert")
    path = Path(litert.__path__[0]) / "libLiteRt.so"
    if not sys.platform.startswith("linux") or not path.is_file():
        pytest.skip("LiteRT's C library is only on Linux")
    return path


@pytest.fixture(scope="session")
def compiler() -> str:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    return "gcc"


@pytest.fixture(scope="session")
def runner(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner, compiled for this machine."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the runner is for Linux and Android")
    program = tmp_path_factory.mktemp("runner") / "runner"
    sources.compile_runner(compiler, program)
    return program


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    try:
        return arm_bundle.load()
    except BackendMissingError as error:
        pytest.skip(f"{error.what}: {error.fix}")


@pytest.fixture
def own_bundle(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A copy to modify."""
    return Bundle(Path(shutil.copytree(bundle.folder, tmp_path / "bundle")), bundle.index)
