"""What a worker process may not do: run code of the working folder, or use the network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agecompact.runtimes.process import RuntimeProcess
from tests.support import Agecompact, BuildOf, CopyBuild

STRACE = ("strace", "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg")


@pytest.mark.parametrize("module", ["numpy", "random"])
def test_a_module_in_the_working_folder_is_not_imported(
    module: str, build_of: BuildOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{module}.py").write_text("open('imported', 'w').close()\n")
    path = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    monkeypatch.chdir(tmp_path)
    with RuntimeProcess(path) as process:
        process.open()
    assert not (tmp_path / "imported").exists()


@pytest.fixture(scope="module")
def strace() -> None:
    if shutil.which("strace") is None or subprocess.call([*STRACE, "-o", "/dev/null", "true"]):
        pytest.skip("strace cannot be used here")


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize(
    "arguments",
    [
        ("parity", "{build}", "--no-search"),
        ("bench", "{build}", "--rounds", "2"),
        ("inspect", "{build}/ssrnet_float32.onnx"),
        ("export", "ssrnet", "--format", "onnx", "--out", "{build}/out"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_verb_uses_the_network_or_stores_usage_data(
    arguments: tuple[str, ...], copy_build: CopyBuild, agecompact: Agecompact, tmp_path: Path
) -> None:
    build = copy_build("ssrnet", "float32.onnx").folder
    log, cache = tmp_path / "strace.txt", tmp_path / "cache"
    done = agecompact(
        *(argument.format(build=build) for argument in arguments),
        env={"XDG_CACHE_HOME": str(cache), "HOME": str(tmp_path / "home")},
        prefix=(*STRACE, "-o", str(log)),
    )
    assert done.returncode == 0, done.stderr
    # Name services of this machine are reached by local sockets.
    assert not re.findall(r"^.*AF_INET.*$", log.read_text(), re.MULTILINE)
    assert not list(tmp_path.rglob("*Microsoft*"))
