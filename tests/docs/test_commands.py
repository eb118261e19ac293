"""The commands of the documentation exist, with the options that it shows, and most of them run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
import torch

from agecompact.bench import store
from agecompact.bench.circumstances import Conditions
from agecompact.errors import AgecompactError
from agecompact.models import project
from parity_tests.inputs import portrait
from tests import records
from tests.docs import pages
from tests.invoking import done, run
from tests.lit_faces import write_lit_faces
from tests.own.projects import write
from tests.support import random_network, random_weights

# The pages whose commands run, with the files that they need. Those of the tutorial run in a test
# of their own. `parity`, `bench` and `report` run in the test of the wheel, the precisions in those
# of the exports; the others take hours, a phone or files of other people.
RUN = (
    "docs/apps.md",
    "docs/contract.md",
    "docs/data-sets.md",
    "docs/exit-codes.md",
    "docs/index.md",
    "docs/lemur.md",
    "docs/own-data.md",
    "docs/own-network.md",
    "docs/own-weights.md",
    "docs/predict.md",
    "docs/preprocessing.md",
    "docs/troubleshooting.md",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_utkface: Path) -> Path:
    """The files that the pages name."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("photo.jpg", "album/1.jpg", "album/2.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), portrait())
    cv2.imwrite(str(folder / "chip.png"), portrait()[100:400, 100:400])
    cv2.imwrite(str(folder / "wall.jpg"), np.full((400, 400, 3), 128, np.uint8))
    film = cv2.VideoWriter(
        str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (512, 512)
    )
    for _ in range(10):
        film.write(portrait())
    film.release()
    shutil.copytree(tiny_utkface, folder / "UTKFace")
    write_lit_faces(folder / "my-chips", (0.8, 1.0, 1.2))
    _labels(folder / "labels.csv", tiny_utkface, "")
    (folder / "photos").mkdir()
    _labels(folder / "photos" / "labels.csv", tiny_utkface, '"0,0,64,64"')
    write(folder, "residual").rename(folder / "my.toml")
    with (folder / "nets.py").open("a") as code:
        code.write("\n\nbuild = Residual\n")
    random_weights(folder / "mine.safetensors", "ssrnet")
    torch.save(random_network("ssrnet", 0).state_dict(), folder / "ssrnet.pth")
    torch.save(random_network("ssrnet", 0), folder / "pickled.pth")
    busy = replace(records.HOST, conditions=Conditions(load_average=13.5))
    store.add(folder / "before.json", [busy])
    store.add(folder / "after.json", [records.HOST])
    return folder


def _labels(table: Path, chips: Path, box: str) -> None:
    """A table of chips, which it copies beside itself."""
    rows = ["path,age,box"]
    for chip in sorted(chips.iterdir()):
        shutil.copy(chip, table.parent)
        rows.append(f"{chip.name},{chip.name.partition('_')[0]},{box}")
    table.write_text("\n".join(rows) + "\n")


# Every command, without running it.


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, the current folder, where no project is known yet."""
    monkeypatch.setenv(project.VARIABLE, "")
    monkeypatch.chdir(shutil.copytree(home, tmp_path / "home"))
    return Path.cwd()


@pytest.mark.parametrize("page", pages.PAGES)
def test_every_command_of_a_page_is_one(page: str, folder: Path) -> None:
    for block in pages.blocks(page):
        for command in pages.commands(block) if block.language == "sh" else ():
            program, *words = command.words
            if program == "agecompact" and command.exit_code != 2:
                assert parsed(*words) is None, command
                if words[0] == "init" and not Path(words[1]).exists():
                    shutil.copy(folder / "my.toml", words[1])


@pytest.mark.parametrize(
    "line",
    [
        "exprot ssrnet",
        "export ssrnet --percision int8",
        "parity build --data",
        "parity chekc build --jsno x",
        "list ssrnet",
    ],
)
def test_a_command_that_is_none_is_found(line: str) -> None:
    assert parsed(*line.split()) is not None


def parsed(*words: str) -> object:
    """Why a command is none: a verb or an option does not exist, or lacks its value."""
    with pytest.MonkeyPatch.context() as patch:
        # What a verb does; groups find their verbs in `Group.invoke`, which calls this as well.
        patch.setattr(click.Command, "invoke", lambda *_: None)
        result = run(*words)
    return result.exception and (result.exception, result.output)


# Those of most pages, run.


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build that the home page makes."""
    out = tmp_path_factory.mktemp("build")
    done("export", "ssrnet", "--format", "onnx", "--precision", "fp32", "--out", out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run(page: str, folder: Path, build: Path) -> None:
    shutil.copytree(build, folder / "build")
    pages.files(page, folder)
    printed = ""
    for block in pages.blocks(page):
        if block.language == "sh":
            printed = ""
            if not block.title:
                printed = "".join(map(ran, pages.commands(block)))
        elif block.language == "text" and printed:
            for line in block.content.splitlines():
                assert line.strip() in printed


def ran(command: pages.Command) -> str:
    """Runs a command, and returns what it printed.

    Raises:
        AssertionError: It ends with another code than the page says.
    """
    program, *words = command.words
    if program == "agecompact":
        result = run(*words)
        error = result.exception
        code = int(error.exit_code) if isinstance(error, AgecompactError) else result.exit_code
        text = result.output + (f"error: {error}" if error else "")
    else:
        assert program == "python"
        ended = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, check=False
        )
        code, text = ended.returncode, ended.stdout + ended.stderr
    assert code == command.exit_code, (command, text)
    return text
