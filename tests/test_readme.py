"""The figures in the README and the docs are those of the cards and of the tool."""

import re

import pytest

from agecompact.models.registry import MODELS
from agecompact.weights import checkpoints
from tests.support import REPOSITORY

PAGES = ("README.md", "docs/training.md")
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    *(path.relative_to(REPOSITORY).as_posix() for path in sorted(REPOSITORY.glob("docs/*.md"))),
)


def text(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("model", MODELS)
def test_the_error_of_a_model_is_the_one_on_its_card(model: str, page: str) -> None:
    evaluation = checkpoints.read(checkpoints.released_path(model)).card["evaluation"]
    row = re.search(rf"^\| `{model}` \|.*?\b(MAE|accuracy) ([\d.]+)", text(page), re.MULTILINE)
    assert row, f"no row for {model}"
    if row[1] == "MAE":
        assert row[2] == f"{evaluation['mae_years']:.2f}"
    else:
        assert row[2] == f"{100 * evaluation['accuracy']:.1f}"


@pytest.mark.parametrize("model", MODELS)
def test_the_parameters_of_a_model_are_those_that_list_shows(model: str) -> None:
    counts = MODELS[model].counts
    assert counts is not None
    assert f"\n| `{model}` | {counts.parameters:,} |" in text("docs/training.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_median_baseline_is_the_one_on_the_card(page: str) -> None:
    evaluation = checkpoints.read(checkpoints.released_path("ssrnet")).card["evaluation"]
    assert f"scores {evaluation['median_mae_years']:.2f}" in text(page)


@pytest.mark.parametrize("page", DOCUMENTS)
def test_every_link_to_a_file_of_the_repository_leads_somewhere(page: str) -> None:
    folder = (REPOSITORY / page).parent
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text(page)):
        assert (folder / link).exists(), link


@pytest.mark.parametrize("page", DOCUMENTS)
def test_every_path_in_backquotes_exists(page: str) -> None:
    """Documents name files of the repository as `folder/file.suffix`."""
    stages = "agecompact|export|parity_tests|android_bench|ios_bench|tests|docs"
    for name in re.findall(rf"`((?:{stages})/[\w./-]+)`", text(page)):
        assert (REPOSITORY / name).exists(), name
