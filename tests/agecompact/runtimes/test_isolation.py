"""A worker process does not run code of the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from agecompact.runtimes.process import RuntimeProcess
from tests.support import BuildOf


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
