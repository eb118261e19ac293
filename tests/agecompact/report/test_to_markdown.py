"""The report for pull requests and model cards."""

from __future__ import annotations

import re
from pathlib import Path

from agecompact.report import evidence
from agecompact.report.compose import SECTIONS, compose
from agecompact.report.to_markdown import to_markdown
from tests import report_builds

NAME = report_builds.HOSTILE_NAME


def written(root: Path) -> str:
    report_builds.write(root, NAME, failing=[f"{NAME}_int8.tflite"])
    return to_markdown(compose(evidence.read(root)))


def test_the_verdict_comes_first_and_failures_are_not_folded_away(tmp_path: Path) -> None:
    lines = written(tmp_path).splitlines()
    assert lines[0].endswith(": failed")
    assert "6 artefacts: 5 passed, 1 failed." in lines[2]
    folded = [line for line in lines if line.startswith("<details>")]
    assert len(folded) == len(SECTIONS) - 2 == lines.count("</details>")
    assert "#### Failures" in lines
    assert not any("Failures" in line or "Artefacts" in line for line in folded)


def test_rows_are_whole_and_nothing_foreign_is_markup(tmp_path: Path) -> None:
    text = written(tmp_path)
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(blocks) > 5
    for block in blocks:
        # Bars with a backslash are text.
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1
    outside = re.sub(r"^```\n.*?^```\n", "", text, flags=re.MULTILINE | re.DOTALL)
    tags = re.findall(r"(?<!\\)<[^>]*>", outside)
    assert {re.sub(r"[</>]", "", tag) for tag in tags} == {"details", "summary"}
    assert report_builds.HOSTILE in text


def test_blank_lines_let_tables_be_tables_inside_what_unfolds(tmp_path: Path) -> None:
    lines = written(tmp_path).splitlines()
    for place, line in enumerate(lines):
        if line.startswith("<details>"):
            assert lines[place + 1] == ""
        if line.startswith("| ---"):
            assert lines[place - 2] == ""
