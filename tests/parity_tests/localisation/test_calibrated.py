"""Faults planted in int8 files: localisation names the broken op, and what each op costs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from _pytest.mark.structures import ParameterSet

from agecompact.artifacts import manifest
from agecompact.artifacts.manifest import Build
from agecompact.contract import Image
from agecompact.formats import format_of
from agecompact.runtimes.base import Trace
from agecompact.runtimes.reading import read_metadata
from agecompact.runtimes.registry import load
from agecompact.weights import checkpoints
from export import pipeline, targets
from parity_tests import inputs
from parity_tests.check import check_builds
from parity_tests.localisation.answers import Answer, answer_of
from parity_tests.localisation.calibrated import localise_calibrated
from parity_tests.localisation.equalised import factors
from parity_tests.localisation.graph import with_inputs
from parity_tests.localisation.report import Localisation, as_json, lines
from parity_tests.localisation.rounding import ReferenceRun, run_reference
from parity_tests.settings import CheckSettings
from tests.parity_tests.editing import (
    Edit,
    OnnxEdit,
    TfliteEdit,
    edited_build,
    in_onnx,
    in_tflite,
    tflite_weights,
)
from tests.parity_tests.faults import int8_edits as e
from tests.parity_tests.faults import qdq_edits as q

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")

FACES = 6
# As `parity` has it: a share of the mean error that int8 is allowed.
LEAST = 0.45


@pytest.fixture(scope="module")
def int8_build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Build]:
    """Released weights in int8, by their released calibration."""
    made: dict[str, Build] = {}

    def build(model: str) -> Build:
        if model not in made:
            folder = tmp_path_factory.mktemp("int8")
            wanted = targets.select(("onnx", "tflite"), ("int8",))
            weights = checkpoints.released_path(model)
            pipeline.export(pipeline.Request(weights, wanted, folder))
            made[model] = manifest.read_builds(folder)[0]
        return made[model]

    return build


def traced(path: Path, crops: Sequence[Mapping[str, Image]]) -> list[Trace]:
    """A file's traces for some faces."""
    session = load(format_of(path).runtimes[0]).open_session(str(path), 1)
    read = [read_metadata(path).contract.tensors(each) for each in crops]
    return [with_inputs(session.trace(each), each) for each in read]


class Network:
    """A network on a few faces."""

    def __init__(self, weights: Path) -> None:
        contract = checkpoints.read(weights).contract
        self.crops = [
            sample.crops for sample in inputs.standard(contract) if sample.kind == "face"
        ][:FACES]
        self.run: ReferenceRun = run_reference(
            weights, [contract.tensors(crops) for crops in self.crops], "int8"
        )
        (output,) = contract.outputs
        values = [trace[-1].value.ravel() for trace in self.run.traces]
        answer = answer_of(output, output.compared(np.float64(values)), self.run.traces)
        assert answer is not None
        self.answer: Answer = answer

    def traced(self, path: Path) -> list[Trace]:
        return traced(path, self.crops)

    def localised(self, traces: Sequence[Trace]) -> Localisation:
        found = localise_calibrated(
            self.run.traces,
            traces,
            precision="int8",
            known=self.run.known,
            answer=self.answer,
            least=LEAST,
        )
        assert found is not None
        return found

    def error(self, traces: Sequence[Trace]) -> float:
        """RMS error of a file's answers, which its traces end with."""
        right = self.answer.of(self.run.traces).ravel()
        made = [float(trace[-1].value.ravel()[0]) for trace in traces]
        return float(np.sqrt(np.square(made - right).mean()))


@pytest.fixture(scope="module")
def network(int8_build: Callable[[str], Build]) -> Callable[[str], Network]:
    made: dict[str, Network] = {}

    def get(model: str) -> Network:
        if model not in made:
            made[model] = Network(int8_build(model).weights)
        return made[model]

    return get


def file_of(build: Build, suffix: str) -> Path:
    return build.folder / f"{build.manifest.model}_int8{suffix}"


# An early, a middle and a late layer of each network: which convolution it is, and its modules.
LAYERS = {
    "c3ae-plain": (
        (0, "trunk.0.bn|trunk.0.relu"),
        (2, "trunk.2.bn|trunk.2.relu"),
        (4, "trunk.4.conv"),
    ),
    "ssrnet": (
        (0, "x_stream.blocks.0.1|x_stream.blocks.0.2"),
        (7, "x_stream.blocks.3.1|x_stream.blocks.3.2"),
        (8, "stages.0.x|stages.0.x.reduce"),
    ),
}
CLIPPED = "quantisation clipped range"
FAULTS: dict[str, tuple[Callable[[int], TfliteEdit], str]] = {
    "weights negated": (lambda n: e.flipped("CONV_2D", n), "weights differ"),
    "bias dropped": (lambda n: e.without_bias("CONV_2D", n), "bias dropped"),
    "scale too small": (lambda n: e.scaled("CONV_2D", n, 0.125), CLIPPED),
    "scale too great": (lambda n: e.scaled("CONV_2D", n, 64.0), "quantisation step"),
    "zero point": (lambda n: e.moved("CONV_2D", n, 110), CLIPPED),
}
IN_ONNX: dict[str, tuple[Callable[[int], OnnxEdit], str]] = {
    "weights negated": (lambda n: q.flipped(n), "weights differ"),
    "bias dropped": (lambda n: q.without_bias(n), "bias dropped"),
    "scale too small": (lambda n: q.scaled(n, 0.125), CLIPPED),
    "zero point": (lambda n: q.moved(n, 240), CLIPPED),
    "read with another scale": (lambda n: q.restored(n, 2.0), "scaled"),
}


def cases(faults: Iterable[str]) -> list[ParameterSet]:
    """Every layer with every fault; the fast tests have the middle one of a small network."""
    return [
        pytest.param(
            model,
            place,
            fault,
            marks=[] if (model, place) == ("c3ae-plain", 1) else [pytest.mark.slow],
        )
        for model in LAYERS
        for place in range(3)
        for fault in faults
    ]


def assert_located(found: Localisation, model: str, place: int, cause: str) -> None:
    assert found.origin is not None, found.summary
    assert found.origin.scope in LAYERS[model][place][1].split("|"), found.summary
    assert found.origin.cause == cause, found.summary
    assert re.search(r"; it moves the answers by [\d.]+ years, and int8 explains", found.summary)


@pytest.mark.parametrize(("model", "place", "fault"), cases(FAULTS))
def test_a_broken_layer_of_a_tflite_file_is_named(
    model: str,
    place: int,
    fault: str,
    int8_build: Callable[[str], Build],
    network: Callable[[str], Network],
    tmp_path: Path,
) -> None:
    plant, cause = FAULTS[fault]
    path = Path(shutil.copy(file_of(int8_build(model), ".tflite"), tmp_path))
    in_tflite(plant(LAYERS[model][place][0]))(path)
    found = network(model).localised(network(model).traced(path))
    assert_located(found, model, place, cause)


@pytest.mark.parametrize(("model", "place", "fault"), cases(IN_ONNX))
def test_a_broken_layer_of_an_onnx_file_is_named(
    model: str,
    place: int,
    fault: str,
    int8_build: Callable[[str], Build],
    network: Callable[[str], Network],
    tmp_path: Path,
) -> None:
    plant, cause = IN_ONNX[fault]
    build = int8_build(model)
    # Both files have the same ops, but average pools are convolutions like others in ONNX.
    layer = q.place_of(file_of(build, ".tflite"), LAYERS[model][place][0])
    path = Path(shutil.copy(file_of(build, ".onnx"), tmp_path))
    in_onnx(plant(layer))(path)
    found = network(model).localised(network(model).traced(path))
    assert_located(found, model, place, cause)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
@pytest.mark.parametrize(
    "model", ["c3ae-plain", *(pytest.param(m, marks=pytest.mark.slow) for m in ("ssrnet", "c3ae"))]
)
def test_an_intact_file_has_a_cost_for_each_layer_and_no_broken_one(
    model: str,
    suffix: str,
    int8_build: Callable[[str], Build],
    network: Callable[[str], Network],
) -> None:
    traces = network(model).traced(file_of(int8_build(model), suffix))
    found = network(model).localised(traces)
    assert found.origin is None, found.summary
    assert not found.disagrees
    assert "weights differ" not in found.summary
    costs = [row.cost for row in found.rows if row.cost is not None]
    assert len(costs) == len(found.rows)
    # The costs lead to the file's error: nothing was left out.
    error = network(model).error(traces)
    assert 0 < error < LEAST
    assert costs[-1].total == pytest.approx(error, rel=1e-3)
    # Every step of the error is at most what its op moves the answers by.
    before = 0.0
    for cost in costs:
        assert abs(cost.total - before) <= cost.own + 1e-9
        before = cost.total
    # Every convolution moves them.
    layers = [row for row in found.rows if "conv2d" in row.covers and row.cost is not None]
    assert len(layers) > 4
    assert all(row.cost is not None and row.cost.own > 0 for row in layers)
    shown = lines(as_json(found))
    assert shown[0] == found.summary
    assert re.search(r"candidate +years +in int8 +so far", shown[1])
    assert found.rows[found.greatest_increase].candidate_tensor in shown[3]


def test_reversed_colours_are_blamed_on_the_input(
    int8_build: Callable[[str], Build], network: Callable[[str], Network]
) -> None:
    plain = network("c3ae-plain")
    turned = [{name: crop[..., ::-1] for name, crop in crops.items()} for crops in plain.crops]
    located = plain.localised(traced(file_of(int8_build("c3ae-plain"), ".tflite"), turned))
    assert located.disagrees
    assert located.origin is not None
    assert (located.origin.op, located.origin.cause) == ("input", "RGB/BGR order")


def test_answers_that_are_not_finite_are_located(
    int8_build: Callable[[str], Build], network: Callable[[str], Network], tmp_path: Path
) -> None:
    path = Path(shutil.copy(file_of(int8_build("c3ae-plain"), ".tflite"), tmp_path))
    in_tflite(tflite_weights(1, lambda v: v.fill(np.nan), kind="FULLY_CONNECTED", bias=True))(path)
    found = network("c3ae-plain").localised(network("c3ae-plain").traced(path))
    assert found.origin is not None
    assert (found.origin.scope, found.origin.cause) == ("age", "not finite")
    row = as_json(found)["rows"][found.origin.row]
    assert row["cost"]["own"] is None


def test_parity_names_the_broken_layer_and_its_cost(
    int8_build: Callable[[str], Build], tmp_path: Path
) -> None:
    build, name = int8_build("c3ae-plain"), "c3ae-plain_int8.tflite"
    edit: Edit = in_tflite(e.flipped("CONV_2D", 2))
    broken = edited_build(build, tmp_path, {name: (name, edit)}, rehash=True)
    (result,) = check_builds([broken], CheckSettings(budget=None))
    assert result.kind == "mismatch"
    assert result.localisation is not None
    origin = result.localisation["originates_at"]
    assert (origin["scope"], origin["suspicion"]) == ("trunk.2.bn", "weights differ")
    assert result.localisation["unit"] == "years"
    row = result.localisation["rows"][origin["row"]]
    assert row["cost"]["own"] > 10 * row["cost"]["in_int8"]


RANDOM = np.random.default_rng(0)
MAPS = np.maximum(RANDOM.normal(size=(3, 1, 4, 6, 6)), 0)
FACTORS = np.array([1.0, 7.0, 1.5, 30.0])


def test_the_factors_of_equalised_channels_are_found() -> None:
    equal = MAPS * FACTORS.reshape(-1, 1, 1)
    rounded = np.round(equal / 0.05) * 0.05
    assert factors(MAPS, rounded) == pytest.approx(FACTORS, rel=0.02)


@pytest.mark.parametrize("by", [0.5, -1.0, 2.0])
def test_one_factor_for_all_channels_is_an_error(by: float) -> None:
    assert factors(MAPS, by * MAPS) == pytest.approx(1.0)


def test_a_clipped_map_is_not_equalised() -> None:
    assert factors(MAPS, np.minimum(MAPS, 0.3)) == pytest.approx(1.0)
