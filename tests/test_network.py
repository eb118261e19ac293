"""No verb opens a socket that its user did not ask for, or stores data about its use."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.agecompact.data import synthetic
from tests.support import Agecompact, CopyBuild, random_weights

_STRACE = ("strace", "-f", "--seccomp-bpf", "-e", "trace=socket,connect,sendto,sendmsg")


@pytest.fixture(scope="module")
def strace() -> None:
    if shutil.which("strace") is None or subprocess.call([*_STRACE, "-o", "/dev/null", "true"]):
        pytest.skip("strace cannot be used here")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, a picture and a Keras file, for all verbs."""
    h5py = pytest.importorskip("h5py", reason="needs the 'train' extra")
    folder = tmp_path_factory.mktemp("inputs")
    random_weights(folder / "ssrnet.safetensors", "ssrnet")
    cv2.imwrite(str(folder / "face.png"), synthetic.picture(1))
    with h5py.File(folder / "other.h5", "w") as file:
        file["conv1/conv1/kernel:0"] = np.zeros((3, 3, 3, 8), np.float32)
    return folder


_DATA = ("--data", "{data}")
_TRAINING = ("--recipe", "c3ae-plain", *_DATA, "--epochs", "1", "--set", "batch=8")
_VERBS: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "list": ("list",),
    "list recipes": ("list", "--recipes"),
    "inspect": ("inspect", "{build}/ssrnet_float32.onnx"),
    "predict": ("predict", "--no-detect", "--model", "ssrnet", "{inputs}/face.png"),
    "weights import": (
        *("weights", "import", "{inputs}/other.h5", "--model", "c3ae"),
        *("--out", "{out}/w.safetensors"),
    ),
    "lemur": ("lemur", "export", "ssrnet", "--out", "{out}"),
    "data check": ("data", "check", *_DATA, "--cache", "{out}"),
    "data split": ("data", "split", *_DATA, "--out", "{out}/split.json"),
    "evaluate": ("evaluate", "ssrnet", *_DATA, "--split", "all", "--limit", "4"),
    "preprocessing": (
        *("preprocessing", "ssrnet", *_DATA, "--split", "all", "--limit", "4"),
        *("--out", "{out}"),
    ),
    "train": ("train", *_TRAINING, "--out", "{out}"),
    "tune": (
        *("tune", *_TRAINING, "--out", "{out}", "--storage", "sqlite:///{out}/study.db"),
        *("--search", "stages.0.rate=1e-3..2e-3", "--trials", "1"),
    ),
    "export": (
        *("export", "--weights", "{inputs}/ssrnet.safetensors"),
        *("--format", "onnx", "--out", "{out}"),
    ),
    "verify": ("verify", "{build}"),
    "parity": ("parity", "{build}", "--no-search"),
    "freeze": ("parity", "freeze", "{build}"),
    "bench": ("bench", "{build}", "--rounds", "2"),
    "bench size": ("bench", "size", "{build}"),
    "report": ("report", "{build}", "--html", "{out}/r.html", "--markdown", "{out}/r.md"),
}
_FAST = ("predict", "parity", "data check")
# A file of a layout that is unknown, so that no public weights are needed.
_CODES = {"weights import": 2}


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize(
    "verb", [pytest.param(v, marks=[] if v in _FAST else [pytest.mark.slow]) for v in _VERBS]
)
def test_no_verb_uses_the_network_or_stores_data_about_its_use(
    verb: str,
    inputs: Path,
    tiny_utkface: Path,
    copy_build: CopyBuild,
    agecompact: Agecompact,
    tmp_path: Path,
) -> None:
    copied = copy_build("ssrnet", "float32.onnx")
    build = copied.folder
    for path in build.glob("ssrnet_*"):
        if path.name not in [entry.file for entry in copied.manifest.artifacts]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    out, log, home = tmp_path / "out", tmp_path / "strace.txt", tmp_path / "home"
    out.mkdir()
    done = agecompact(
        *(
            word.format(build=build, inputs=inputs, data=tiny_utkface, out=out)
            for word in _VERBS[verb]
        ),
        env={"XDG_CACHE_HOME": str(home / "cache"), "HOME": str(home)},
        prefix=(*_STRACE, "-o", str(log)),
    )
    assert done.returncode == _CODES.get(verb, 0), done.stderr
    # Name services of this machine are reached by local sockets.
    assert not re.findall(r"^.*AF_INET.*$", log.read_text(), re.MULTILINE)
    # The thumbnails of a survey are kept for the next one.
    surveys = home / "cache" / "agecompact" / "surveys"
    assert all(path.parent == surveys for path in home.rglob("*") if path.is_file())


@pytest.mark.usefixtures("strace")
def test_a_socket_would_be_seen(tmp_path: Path) -> None:
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    log = tmp_path / "strace.txt"
    subprocess.run([*_STRACE, "-o", log, "python3", "-c", code], check=True)
    assert "AF_INET" in log.read_text()
