"""CHANGELOG, CONTRIBUTING and CITATION are those of this version."""

import re

import yaml

from agecompact import __version__
from tests.support import REPOSITORY

CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text()
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == __version__
    assert citation["license"] == "Apache-2.0"
    assert all(author["name"] for author in citation["authors"])


def test_the_changelog_begins_with_what_is_unreleased_and_has_this_version() -> None:
    versions = re.findall(r"^## \[(.*?)\]", CHANGELOG, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions[1] == __version__


def test_the_changelog_has_the_kinds_of_keep_a_changelog_in_their_order() -> None:
    for section in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds], section[:40]
        assert kinds


def test_the_commands_of_the_pages_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    contributing = (REPOSITORY / "CONTRIBUTING.md").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", contributing + CHANGELOG):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
