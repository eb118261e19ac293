"""Errors of answers that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agecompact.bench.figures import OutputAccuracy
from agecompact.errors import UsageError
from agecompact.evaluation.pictures import Picture, unlabelled
from agecompact.faces.framing import WHOLE
from agecompact.models import registry
from agecompact.outputs import Output, Reading
from parity_tests.optimise import judging
from parity_tests.optimise.judging import Judge
from tests.parity_tests.optimise.made import sha256

_AGE = Output("age", "years", reading=Reading(scale=100.0))
_WEIGHTS, _MADE = Path("weights"), Path("made")


def _pictures(*truths: float | None) -> list[Picture]:
    return [Picture(Path(f"{i}.png"), WHOLE, sha256(str(i)), t) for i, t in enumerate(truths)]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[Path, np.ndarray]:
    found: dict[Path, np.ndarray] = {}
    monkeypatch.setattr(judging, "_values", lambda path, *_: found[path])
    return found


def test_errors_are_in_the_unit_of_the_answer(answers: dict[Path, np.ndarray]) -> None:
    answers[_WEIGHTS] = np.array([[0.20], [0.30], [0.40]])
    answers[_MADE] = np.array([[0.21], [0.30], [0.36]])
    found = Judge(_WEIGHTS, _AGE, _pictures(20, 31, 44)).errors(_MADE)
    errors = np.array([1.0, 0.0, 4.0])
    assert found.faces == 3
    assert found.mean == pytest.approx(errors.mean())
    assert found.greatest == pytest.approx(4.0)
    assert found.p99 == pytest.approx(np.percentile(errors, 99))
    # Off by 0, 1 and 4 years before, and by 1, 1 and 8 after.
    assert found.mae_cost == pytest.approx(10 / 3 - 5 / 3)


def test_without_labels_the_mae_is_not_known(answers: dict[Path, np.ndarray]) -> None:
    answers[_WEIGHTS] = answers[_MADE] = np.array([[0.2]])
    assert Judge(_WEIGHTS, _AGE, _pictures(None)).errors(_MADE).mae_cost is None


def test_of_several_values_the_worst_counts(answers: dict[Path, np.ndarray]) -> None:
    pose = Output("pose", "degrees", size=3)
    answers[_WEIGHTS], answers[_MADE] = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 2.5, 2.9]])
    assert Judge(_WEIGHTS, pose, _pictures(None)).errors(_MADE).greatest == pytest.approx(0.5)


def test_the_hash_of_faces_changes_with_a_picture_a_label_or_the_output() -> None:
    def of(output: Output, *truths: float | None) -> str:
        return Judge(_WEIGHTS, output, _pictures(*truths)).faces_sha256

    hashes = {of(_AGE, 1, 2), of(_AGE, 1, 3), of(_AGE, 1), of(Output("other", "years"), 1, 2)}
    assert len(hashes) == 4
    assert of(_AGE, 1, 2) in hashes


def test_errors_of_another_processor_bound_the_growth_of_the_mae() -> None:
    weights = registry.get("ssrnet").contract.outputs[0]
    path = judging.Path(__file__).parents[3] / "agecompact/weights/ssrnet.safetensors"
    accuracy = OutputAccuracy(
        unit="years",
        samples=5,
        not_finite=0,
        weights_sha256=sha256("w"),
        max_error=0.5,
        mean_error=0.1,
    )
    there = Judge(path, weights, _pictures(30)).errors_there(accuracy)
    assert there is not None
    assert (there.p99, there.mean, there.mae_cost, there.faces) == (0.5, 0.1, 0.1, 5)
    assert Judge(path, weights, _pictures(None)).errors_there(None) is None


def test_a_folder_without_a_readable_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("no picture")
    with pytest.raises(UsageError, match="none of the images can be read"):
        unlabelled([path])
