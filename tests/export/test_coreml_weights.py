"""Compressed Core ML weights: what they hold, what stays, and that planted faults are found."""

from __future__ import annotations

import shutil
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.files import size_of
from agecompact.models.complexity import folded_weights
from agecompact.runtimes.coreml import read_specification
from agecompact.runtimes.mil import ConstantRef, read_graph
from agecompact.weights import checkpoints
from parity_tests.weights import Given, _affine, compare_given, compare_weights
from tests.invoking import run
from tests.parity_tests.editing import mil_block
from tests.support import BuildOf, verdicts_on
from tests.weight_blobs import WEIGHT_FILE

ct = pytest.importorskip("coremltools", reason="needs 'coreml'")

from export import coreml_weights  # noqa: E402
from export.coreml_slim import slim  # noqa: E402

MODEL = "c3ae-plain"
COMPRESS = {
    "int8": coreml_weights.quantised,
    "palette8": lambda model: coreml_weights.palettized_alike(model, 8),
    "palette4": lambda model: coreml_weights.palettized_alike(model, 4),
}


@pytest.fixture(scope="module")
def plain(build_of: BuildOf) -> Path:
    return build_of(MODEL).folder / f"{MODEL}_float16.mlpackage"


@pytest.fixture(scope="module")
def unslimmed(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("compressed")
    source = ct.models.MLModel(str(plain), skip_model_load=True)
    made = {name: folder / f"{name}.mlpackage" for name in COMPRESS}
    for name, path in made.items():
        COMPRESS[name](source).save(str(path))
    return made


@pytest.fixture(scope="module")
def packages(
    unslimmed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("slim")
    made = {name: folder / path.name for name, path in unslimmed.items()}
    for name, path in made.items():
        shutil.copytree(unslimmed[name], path)
        slim(path)
    return made


@pytest.fixture(scope="module")
def given(build_of: BuildOf) -> Given:
    return Given.of(folded_weights(checkpoints.read(build_of(MODEL).weights).network()))


def compressed(package: Path) -> dict[str, ConstantRef]:
    """Constants that are compressed, by the op that reads them."""
    return {
        node.name: source
        for node in read_graph(package).nodes
        for sources in node.reads.values()
        for source in sources
        if isinstance(source, ConstantRef) and source.compression
    }


@pytest.mark.parametrize("name", COMPRESS)
def test_every_weight_is_the_networks_own_on_its_grid(
    name: str, packages: dict[str, Path], given: Given, build_of: BuildOf
) -> None:
    assert compare_given(packages[name], given) == ()
    full = build_of(MODEL).folder / f"{MODEL}_float32.mlpackage"
    assert compare_weights(packages[name], full) == ()


@pytest.mark.parametrize("name", COMPRESS)
def test_it_needs_no_newer_system_than_the_float16_package(
    name: str, packages: dict[str, Path], plain: Path
) -> None:
    versions = {read_specification(str(p)).specificationVersion for p in (packages[name], plain)}
    assert len(versions) == 1


def test_what_reads_the_input_and_what_gains_nothing_stays(packages: dict[str, Path]) -> None:
    weights = {
        node.name: source
        for node in read_graph(packages["palette8"]).nodes
        if node.kind in ("conv", "linear")
        for source in node.reads["weight"]
        if isinstance(source, ConstantRef)
    }
    sizes = {name: source.value.array.size for name, source in weights.items()}
    kept = {name for name, source in weights.items() if not source.compression}
    first = next(iter(weights))
    assert first in kept
    # The last layer has 12 weights, a palette of 8 bits 256 entries.
    assert {name for name in kept if name != first} == {n for n, size in sizes.items() if size < 99}


def blob_of(package: Path, part: str) -> tuple[int, int]:
    """Start and bytes of a part of the largest compressed weight."""
    ops = [
        op for op in mil_block(read_specification(str(package))).operations if part in op.attributes
    ]
    values = [op.attributes[part].blobFileValue.offset for op in ops]
    content = (package / WEIGHT_FILE).read_bytes()
    size, start = struct.unpack_from("<QQ", content, values[0] + 8)
    return start, size


def edited(package: Path, folder: Path, part: str, change: Callable[..., None]) -> Path:
    """A copy with another part of one compressed weight: its palette, scales or indices."""
    copy = folder / package.name
    shutil.copytree(package, copy)
    start, size = blob_of(package, part)
    content = bytearray((copy / WEIGHT_FILE).read_bytes())
    dtype = np.uint8 if part in ("indices", "quantized_data") else np.float16
    change(np.frombuffer(memoryview(content)[start : start + size], dtype))
    (copy / WEIGHT_FILE).write_bytes(bytes(content))
    return copy


def stretch(values: np.ndarray) -> None:
    values *= np.float16(1.02)


def swap_two(values: np.ndarray) -> None:
    middle = len(values) // 2
    values[[middle, middle + 1]] = values[[middle + 1, middle]]


def move_one(values: np.ndarray) -> None:
    middle = len(values) // 2
    values[middle] = values[middle + 1]


def flip_a_bit(values: np.ndarray) -> None:
    values[len(values) // 2] ^= 1 << 5


def next_entry(values: np.ndarray) -> None:
    values[len(values) // 2] ^= 1


@pytest.mark.parametrize(
    ("name", "part", "change", "kind"),
    [
        ("int8", "scale", stretch, "step"),
        ("int8", "scale", swap_two, "step"),
        ("int8", "quantized_data", flip_a_bit, "step"),
        ("palette8", "lut", stretch, "palette"),
        ("palette8", "lut", swap_two, "palette"),
        ("palette8", "lut", move_one, "palette"),
        ("palette4", "lut", stretch, "palette"),
        ("palette4", "lut", move_one, "palette"),
        ("palette4", "indices", flip_a_bit, "palette"),
    ],
)
def test_a_planted_fault_is_found_without_another_package(
    name: str,
    part: str,
    change: Callable[..., None],
    kind: str,
    packages: dict[str, Path],
    given: Given,
    tmp_path: Path,
) -> None:
    harmed = edited(packages[name], tmp_path, part, change)
    faults = compare_given(harmed, given)
    assert faults[0].kind == kind
    assert faults[0].parameter == "weight"
    # The parameter that it should be is also missing.
    assert faults[-1].reason.endswith("is missing")


@pytest.mark.parametrize(
    ("greatest", "moved", "found"),
    [
        (1.0, 0, []),
        (1.0, 1, ["step"]),
        # float16 has too few numbers near a scale of 8e-7 to hold it exactly.
        (1e-4, 0, []),
        (1e-4, 32, ["step"]),
    ],
)
def test_steps_of_a_tiny_channel_are_judged_as_float16_can_hold_them(
    greatest: float, moved: int, found: list[str]
) -> None:
    wanted = np.linspace(-greatest, greatest, 256, dtype=np.float16)[None]
    scale = np.float16(greatest / 127)
    codes = np.clip(np.round(wanted.astype(np.float64) / float(scale)), -127, 127)
    codes[0, 100] += moved
    stored: Any = SimpleNamespace(
        value=SimpleNamespace(array=(codes * float(scale)).astype(np.float16)),
        parts={
            "scale": SimpleNamespace(array=np.array([scale])),
            "axis": SimpleNamespace(array=np.array(0)),
        },
    )
    assert [kind for kind, *_ in _affine(stored, wanted)] == found


def test_a_package_of_other_weights_is_found(packages: dict[str, Path], given: Given) -> None:
    name = "trunk.2.conv.weight"
    other = {**given.values, name: given.values[name] * np.float32(1.01)}
    kinds = {fault.kind for fault in compare_given(packages["palette8"], Given.of(other))}
    assert kinds == {"palette", "given"}


@pytest.mark.parametrize("name", COMPRESS)
def test_slim_packages_compute_the_same_and_are_smaller(
    name: str, packages: dict[str, Path], unslimmed: dict[str, Path]
) -> None:
    from agecompact.runtimes.mil import MIL

    whole, small = unslimmed[name], packages[name]
    assert compare_weights(small, whole) == ()
    answers = []
    for package in (whole, small):
        session = MIL.open_session(str(package), 1)
        face = np.linspace(0, 1, 3 * 64 * 64, dtype=np.float32).reshape(1, 3, 64, 64)
        answers.append(session.infer({"face": face}))
    assert answers[0].keys() == answers[1].keys()
    for output, value in answers[0].items():
        np.testing.assert_array_equal(value, answers[1][output])
    assert size_of(small) < 0.95 * size_of(whole)


def test_slim_packages_have_each_constant_once_and_the_names_of_their_ops(
    packages: dict[str, Path], unslimmed: dict[str, Path]
) -> None:
    whole, small = (
        mil_block(read_specification(str(each["palette8"]))).operations
        for each in (unslimmed, packages)
    )
    values = Counter(
        op.attributes["val"].SerializeToString(deterministic=True)
        for op in small
        if op.type == "const"
    )
    assert set(values.values()) == {1}
    names = [
        [op.outputs[0].name for op in ops if not op.type.startswith("const")]
        for ops in (whole, small)
    ]
    assert names[0] == names[1]


@pytest.mark.slow
def test_a_build_of_one_precision_is_proven_on_its_own(build_of: BuildOf, tmp_path: Path) -> None:
    arguments = ("--format", "coreml", "--precision", "palette8", "--out", tmp_path)
    done = run("export", "--weights", build_of(MODEL).weights, *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    folder = tmp_path / MODEL
    assert run("verify", folder).exit_code == 0
    results = [r for r in verdicts_on(read_builds(folder)[0]) if r.status != "skipped"]
    assert {r.status for r in results} == {"passed"}, [r.reason for r in results]
    # One weight at the next entry: no output shows it.
    package = folder / f"{MODEL}_palette8.mlpackage"
    harmed = edited(package, tmp_path, "indices", next_entry)
    shutil.rmtree(package)
    shutil.move(harmed, package)
    results = [r for r in verdicts_on(read_builds(folder)[0]) if r.status != "skipped"]
    assert {r.kind for r in results} == {"weights"}
    assert all("1 of 9216 are not at the nearest entry" in r.reason for r in results)
