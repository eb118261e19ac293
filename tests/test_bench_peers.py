"""The comparison with other tools: its rows, and how a run goes on."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest

from agecompact.contract import Contract
from agecompact.evaluation.prediction import Values
from agecompact.runtimes.base import Interface, Port
from agecompact.weights import checkpoints
from tests.bench_peers import rows
from tests.bench_peers.comparison import Run
from tests.bench_peers.faces import Faces
from tests.bench_peers.measure import Instruments, _named, measured
from tests.bench_peers.peers import BASELINE, PEERS, SOURCE, Peer
from tests.bench_peers.rows import Comparison, Row, Unusable
from tests.bench_peers.workshop import Workshop
from tests.parity_tests.test_dead_relu import DEAD, int8_file
from tests.planted_peers import HEAD
from tests.support import REPOSITORY

WEIGHTS = checkpoints.read(checkpoints.released_path("ssrnet"))
PLANTED = "tests.planted_peers"


def planted(maker: str, **changes: object) -> Peer:
    peer = Peer(
        name=maker,
        title=f"planted {maker}",
        suffix=".onnx",
        maker=f"{PLANTED}:{maker}",
        distributions=("onnx",),
    )
    return replace(peer, **changes)  # type: ignore[arg-type]


@pytest.fixture
def chips() -> Faces:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (5, 200, 200, 3)).astype(np.uint8)
    pictures[1:3] //= 4
    return Faces(tuple(pictures), np.array([20.0, 30.0, 40.0, 50.0, 60.0]), "five")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "calibration").mkdir()
    return Workshop(folder, folder / "calibration")


@pytest.fixture
def run(tmp_path: Path, workshop: Workshop, chips: Faces) -> Run:
    return Run(
        models=("ssrnet",),
        chosen=(planted("tiny"),),
        workshop=workshop,
        instruments=Instruments(chips, 2, None),
        store=tmp_path / "peers.json",
        blank=Comparison(faces="noise", calibration="nothing"),
    )


def only_row(run: Run) -> Row:
    (row,) = run.compare(lambda _: None).rows
    return row


def right(contract: Contract, chips: Faces) -> Values:
    """What the tiny file answers: a weighted sum of the mean colours, and a shift."""
    means = contract.batch(chips.chips)[contract.input_names[0]].mean(axis=(2, 3), dtype=float)
    answers: Values = means @ np.array(HEAD.weights[0]) + HEAD.shift
    return answers


# Rows.


def test_the_figures_of_a_file_are_those_of_its_answers(run: Run, chips: Faces) -> None:
    contract = WEIGHTS.contract
    peer = planted("tiny")
    file = run.workshop.make(peer, WEIGHTS, None, again=False)
    answers = right(contract, chips)
    off = np.array([0.0, 1.0, -2.0, 3.0, -4.0])
    found = measured(file, peer, contract, answers - off, run.instruments)
    assert found.bytes == file.stat().st_size
    assert found.faces == 5
    scale = np.abs(answers).max() * 1e-6
    assert found.mean_years == pytest.approx(2.0, abs=scale)
    assert found.max_years == pytest.approx(4.0, abs=scale)
    assert found.p99_years == pytest.approx(3.96, abs=scale)
    assert chips.ages is not None
    errors = np.abs(answers - chips.ages).mean() - np.abs(answers - off - chips.ages).mean()
    assert found.mae_change_years == pytest.approx(errors, abs=2 * scale)


def test_integers_are_read_as_what_they_stand_for(run: Run, chips: Faces) -> None:
    peer = planted("quantised")
    file = run.workshop.make(peer, WEIGHTS, None, again=False)
    answers = right(WEIGHTS.contract, chips)
    assert 1000 < answers.max() < 255 * 100
    found = measured(file, peer, WEIGHTS.contract, answers, run.instruments)
    assert found.max_years <= 50.01


def test_faces_without_labels_have_no_mae(run: Run, chips: Faces) -> None:
    unlabelled = replace(run.instruments, faces=replace(chips, ages=None))
    row = only_row(replace(run, instruments=unlabelled))
    assert row.figures is not None
    assert row.figures.mae_change_years is None


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (
            planted("tiny", distributions=("no-such-tool",), install="pip install no-such-tool"),
            "no-such-tool is not installed: pip install no-such-tool",
        ),
        (planted("abort"), "its process ended with signal SIGABRT"),
        (planted("nothing"), "it wrote no file"),
        (planted("refuse"), "exit code 1: ValueError: the graph has an unknown op"),
        (planted("not_a_number"), "5 of 5 answers are not finite"),
        (planted("tiny", suffix=".tflite"), "is not a TFLite file"),
        (planted("tiny", runs_emulated=True), "the emulator runs TFLite files only"),
    ],
    ids=lambda value: value.name if isinstance(value, Peer) else "",
)
def test_a_tool_that_fails_is_a_row_with_its_reason(run: Run, peer: Peer, reason: str) -> None:
    row = only_row(replace(run, chosen=(peer,)))
    assert row.figures is None
    assert reason in row.failure


def test_a_failure_does_not_hide_the_rows_after_it(run: Run) -> None:
    both = replace(run, chosen=(planted("abort"), planted("tiny")))
    failed, made = both.compare(lambda _: None).rows
    assert failed.failure
    assert made.figures is not None


def test_a_tool_whose_source_fails_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench_peers.comparison.PEERS", {"abort": planted("abort")})
    row = only_row(replace(run, chosen=(planted("tiny", source="abort"),)))
    assert row.failure == "planted abort: its process ended with signal SIGABRT"


@pytest.mark.slow
def test_a_file_that_aborts_litert_is_a_row(run: Run) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        content = pool.submit(int8_file, DEAD, 2).result()
    file = run.workshop.folder / "aborts.tflite"
    file.write_bytes(content)
    contract = WEIGHTS.contract
    with pytest.raises(Unusable, match="crash: its process ended with signal SIGABRT"):
        measured(file, planted("tiny", suffix=".tflite"), contract, np.zeros(5), run.instruments)


# Going on.


def test_a_second_run_measures_nothing_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = only_row(run)
    monkeypatch.setattr(Workshop, "make", lambda *_, **__: pytest.fail("made again"))
    assert only_row(run) == first


def test_other_faces_or_tools_make_a_row_again(run: Run, chips: Faces) -> None:
    first = only_row(run)
    other = replace(run.instruments, faces=replace(chips, digest="others"))
    assert only_row(replace(run, instruments=other)).digest != first.digest
    newer = planted("tiny", distributions=("onnx", "onnxruntime"))
    assert only_row(replace(run, chosen=(newer,))).digest != first.digest


def test_a_row_is_made_again_when_asked(run: Run) -> None:
    file = run.workshop.make(planted("tiny"), WEIGHTS, None, again=False)
    before = file.stat().st_mtime_ns
    only_row(replace(run, again=True))
    assert file.stat().st_mtime_ns > before


def test_rows_on_other_kinds_of_faces_are_dropped(run: Run) -> None:
    only_row(run)
    assert run.start().rows
    assert not replace(run, blank=replace(run.blank, faces="others")).start().rows


def test_rows_come_in_the_order_of_models_and_tools() -> None:
    given = [("b", "y"), ("unnamed", "x"), ("a", "x"), ("b", "x"), ("a", "removed")]
    blank = Comparison(faces="", calibration="")
    for model, peer in given:
        blank = blank.with_row(Row(model=model, peer=peer, digest="", versions={}))
    found = blank.ordered(("a", "b"), ("x", "y")).rows
    expected = [("a", "x"), ("b", "x"), ("b", "y"), ("unnamed", "x")]
    assert [(row.model, row.peer) for row in found] == expected


# The table of tools.


def test_every_source_is_a_tool_before_it() -> None:
    names = list(PEERS)
    for name, peer in PEERS.items():
        if peer.source is not None:
            assert names.index(peer.source) < names.index(name)
    assert {SOURCE, BASELINE} <= set(names)


@pytest.mark.parametrize(
    ("inputs", "names"), [(("args_1", "args_0"), ("args_0", "args_1")), (("a", "b"), ("a", "b"))]
)
def test_numbered_inputs_are_bound_in_pytorchs_order(
    inputs: tuple[str, ...], names: tuple[str, ...]
) -> None:
    contract = WEIGHTS.contract
    crop = contract.crops[0]
    two = replace(contract, crops=(replace(crop, name="a"), replace(crop, name="b")))
    port = Port((1, 64, 64, 3), "float32")
    interface = Interface(dict.fromkeys(inputs, port), {"out": Port((1, 1), "float32")})
    assert _named(two, interface).input_names == names


# The command.


def bench_peers(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench_peers", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-model"], "unknown model 'no-such-model'"),
        (["ssrnet-gender"], "does not answer the age"),
        (["--peer", "onnx2fx"], "did you mean 'onnx2tf'?"),
    ],
)
def test_a_wrong_name_is_a_usage_error(arguments: list[str], message: str) -> None:
    done = bench_peers(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_passes_its_variables_on() -> None:
    made = ["-o", ".venv/.ready", "-o", "arm-bundle"]
    command = ["make", "-n", "--no-print-directory", *made, "bench-peers"]
    given = ["PEERS=onnx2tf agecompact-int8", "FACES=50", "CALIBRATION=my chips", "AGAIN=1"]
    done = subprocess.run([*command, *given], cwd=REPOSITORY, capture_output=True, text=True)
    words = shlex.split(done.stdout.replace("\\\n", ""))
    at = words.index("tests.bench_peers")
    assert words[at + 1 : at + 5] == ["ssrnet", "c3ae-plain", "c3ae", "mobileagenet"]
    assert " ".join(words[at + 5 :]).split(" ", 2)[2] == (
        "--faces 50 --emulated-faces 100 --peer onnx2tf --peer agecompact-int8 "
        "--calibration my chips --again"
    )
    one = subprocess.run(
        [*command, "MODELS=c3ae"], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout
    assert "tests.bench_peers c3ae --out" in one


@pytest.mark.slow
def test_a_tool_from_end_to_end(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(33):
        blocks = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(pictures / f"{number}.png"), cv2.resize(blocks, (200, 200)))
    out = tmp_path / "out"
    options = ["--calibration", pictures, "--images", pictures, "--faces", 4, "--out", out]
    done = bench_peers("ssrnet", "--peer", BASELINE, *options)
    assert done.returncode == 0, done.stderr
    found = rows.read(out / "peers.json")
    assert found is not None
    (row,) = found.rows
    assert row.figures is not None
    assert row.figures.partitions == 1
    assert 0 < row.figures.max_years < 1e-3
    assert "onnx2tf float32" in (out / "peers.md").read_text(encoding="utf-8")
    again = bench_peers("ssrnet", "--peer", BASELINE, *options)
    assert "measured (of an earlier run)" in again.stdout
