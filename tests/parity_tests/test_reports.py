"""JUnit and Markdown with text of foreign files, and of a runtime that crashed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.text import one_line
from parity_tests.junit import to_junit
from parity_tests.markdown import to_markdown
from tests.parity_tests.records import GOOD

_STDERR = "signal SIGABRT: \x1b[1;31mF0000 check failed\x1b[0m | a\nb \ufffe \udcff"
FAILED = replace(
    GOOD,
    artifact="a|b [c](http://d)\n<img src=e>.onnx",
    status="failed",
    kind="crash",
    reason=_STDERR,
    localisation={"summary": "", "lines": ["```", "\x1b[2J | x", "</failure>"]},
)
SKIPPED = replace(GOOD, status="skipped", kind="missing", label="Core ML <x> |", reason=_STDERR)


@given(st.text(st.characters()) | st.just(_STDERR))
def test_junit_is_xml_whatever_a_runtime_printed(text: str) -> None:
    results = [replace(FAILED, artifact=text, reason=text), replace(SKIPPED, reason=text)]
    content = to_junit(results).encode()
    suite = ET.fromstring(content)
    failure, skipped = suite.find(".//failure"), suite.find(".//skipped")
    assert failure is not None
    assert skipped is not None
    assert failure.get("message") == skipped.get("message") == one_line(text)


def test_junit_has_the_lines_of_the_localisation() -> None:
    failure = ET.fromstring(to_junit([FAILED])).find(".//failure")
    assert failure is not None
    assert failure.text == "```\n\\x1b[2J | x\n</failure>"


def test_markdown_has_one_row_a_result_and_no_foreign_markup() -> None:
    lines = to_markdown([FAILED, GOOD, SKIPPED]).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 4
    # Bars with a backslash are text.
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("```") for line in lines) == 2
    outside = "\n".join(lines[: lines.index("```")])
    assert not re.search(r"(?<!\\)[<\[]", outside)


@pytest.mark.parametrize("results", [[GOOD], [SKIPPED], [FAILED]])
def test_reports_can_be_written_as_utf8(results: list) -> None:
    assert to_markdown(results).encode()
    assert to_junit(results).encode()
