"""A conversion is used again for the same input only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agecompact.formats import FORMATS, Format
from export import pipeline
from export.job import Conversion, Job
from tests import reused_conversions

Convert = Callable[[Job], str]


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convert:
    """Converts, and returns what was made: how many conversions there were before it."""
    made: list[Job] = []

    def counted(format_: Format, job: Job, scratch: Path) -> Conversion:
        assert scratch.is_dir()
        (job.folder / "file").write_text(str(len(made)))
        assert job.shared is not None
        (job.shared / "for others").write_text("something")
        made.append(job)
        return Conversion(format_.name, {})

    monkeypatch.setattr(reused_conversions, "_real", counted)
    runs: list[Path] = []

    def run(job: Job) -> str:
        scratch = tmp_path / f"run {len(runs)}"
        runs.append(scratch)
        for name in ("made", "shared"):
            (scratch / name).mkdir(parents=True)
        here = replace(job, folder=scratch / "made", shared=scratch / "shared")
        with reused_conversions.reused(tmp_path / "kept"):
            assert pipeline._convert(FORMATS["onnx"], here, scratch).converter == "onnx"
        assert (scratch / "shared" / "for others").is_file()
        return (scratch / "made" / "file").read_text()

    return run


@pytest.fixture
def job(tmp_path: Path) -> Job:
    weights = tmp_path / "ssrnet.safetensors"
    weights.write_text("weights")
    return Job(weights, ("float32",), tmp_path)


def test_the_same_job_is_a_copy(convert: Convert, job: Job) -> None:
    assert convert(job) == convert(job) == "0"


def test_another_network_is_converted(convert: Convert, job: Job) -> None:
    convert(job)
    job.weights.write_text("others")
    assert convert(job) == "1"
    job.weights.with_suffix(".json").write_text("a card")
    assert convert(job) == "2"


def test_other_wishes_and_another_environment_are_heeded(
    convert: Convert, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faces").write_text("faces")
    wishes = (
        replace(job, precisions=("float32", "float16")),
        replace(job, dynamic_batch=True),
        replace(job, input_kind="image"),
        replace(job, without=("a pass",)),
        replace(job, calibration=tmp_path / "faces"),
        replace(job, source=tmp_path / "faces"),
    )
    assert [convert(each) for each in (job, *wishes)] == list("0123456")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert convert(job) == "7"


def test_a_network_of_other_code_is_converted_each_time(convert: Convert, job: Job) -> None:
    mine = replace(job, weights=job.weights.rename(job.weights.with_name("mine.safetensors")))
    assert (convert(mine), convert(mine)) == ("0", "1")
