"""A golden pack of random faces, the runner compiled for this machine, and the ARM bundle."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agecompact.artifacts.manifest import Build
from agecompact.contract import Contract, Image
from agecompact.errors import BackendMissingError
from agecompact.runtimes.process import RuntimeProcess
from agecompact.runtimes.registry import read_metadata
from android_bench.emulated import stored
from android_bench.emulated.stored import Bundle
from android_bench.native import sources
from tests.support import BuildOf

SAMPLES = 3


def write_pack(
    folder: Path, contract: Contract, model: str, chips: Sequence[Image], answers: Sequence[float]
) -> Path:
    """A golden pack in both of its forms."""
    import cv2

    folder.mkdir(parents=True)
    filters = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
    size = (contract.width, contract.height)
    shape = [len(chips), contract.height, contract.width, 3]
    lines = ["agecompact-golden 1", f"model {model}", f"samples {len(chips)}"]
    lines += [f"height {contract.height}", f"width {contract.width}"]
    for name in contract.input_names:
        resized = [
            cv2.resize(contract.crop(c)[name], size, interpolation=filters[contract.interpolation])
            for c in chips
        ]
        images = np.stack(resized)[..., :: -1 if contract.color_order == "RGB" else 1]
        (folder / f"{name}.u8").write_bytes(np.ascontiguousarray(images).tobytes())
        lines.append(f"input {name} {name}.u8")
    # Every level in every channel, through the contract itself: an image of 1 x 256 that no filter
    # touches.
    levels = np.repeat(np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2)
    plain = Contract.from_json(
        json.dumps({**json.loads(contract.to_json()), "layout": "NHWC", "height": 1, "width": 256})
    )
    (folder / "table.f32").write_bytes(plain.tensor(levels)[0, 0].T.astype("<f4").tobytes())
    (folder / "answers.f32").write_bytes(np.asarray(answers, "<f4").tobytes())
    lines += ["table table.f32", f"output {contract.output.name} answers.f32", "end"]
    (folder / "golden.txt").write_text("\n".join(lines) + "\n")
    index = {
        "schema_version": 1,
        "model": model,
        "weights_sha256": "0" * 64,
        "unit": contract.output.unit,
        "samples": [f"chip {i}" for i in range(len(chips))],
        "inputs": [
            {"name": n, "file": f"{n}.u8", "shape": shape, "dtype": "uint8"}
            for n in contract.input_names
        ],
        "table": {"file": "table.f32", "shape": [3, 256], "dtype": "float32"},
        "outputs": [
            {
                "name": contract.output.name,
                "file": "answers.f32",
                "shape": [len(chips)],
                "dtype": "float32",
            }
        ],
        "tolerances": {},
    }
    (folder / "golden.json").write_text(json.dumps(index))
    return folder


def random_chips(count: int = SAMPLES) -> list[Image]:
    """Smooth pictures, each with a tone of its own."""
    random = np.random.default_rng(7)
    small = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [np.kron(image, np.ones((25, 25, 1), np.uint8)) for image in small]


def pytorch_answers(build: Build, chips: Sequence[Image]) -> list[float]:
    """What the build's source weights answer."""
    contract = build.manifest.contract
    stacked = {
        name: np.concatenate([contract.apply(chip)[name] for chip in chips])[:, np.newaxis]
        for name in contract.input_names
    }
    with RuntimeProcess(build.weights) as process:
        process.open()
        answers = process.infer(stacked)
    return [float(value) for value in np.ravel(answers[contract.output.name])]


@pytest.fixture(scope="session")
def ssrnet(build_of: BuildOf) -> Build:
    return build_of("ssrnet")


@pytest.fixture(scope="session")
def artefact(ssrnet: Build) -> Path:
    return ssrnet.folder / "ssrnet_float32.tflite"


@pytest.fixture(scope="session")
def pack(ssrnet: Build, artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    chips = random_chips()
    contract = read_metadata(artefact).contract
    folder = tmp_path_factory.mktemp("pack") / "golden"
    return write_pack(folder, contract, "ssrnet", chips, pytorch_answers(ssrnet, chips))


@pytest.fixture
def own_pack(pack: Path, tmp_path: Path) -> Path:
    """To harm."""
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
    sources.compile_runner((compiler,), program)
    return program


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    try:
        return stored.load()
    except BackendMissingError as error:
        pytest.skip(f"{error.what}: {error.fix}")


@pytest.fixture
def own_bundle(bundle: Bundle, tmp_path: Path) -> Bundle:
    """To harm."""
    return Bundle(Path(shutil.copytree(bundle.folder, tmp_path / "bundle")), bundle.index)
