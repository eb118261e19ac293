"""Results as JUnit XML, which every CI system can show."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from agecompact.text import one_line
from parity_tests import float64
from parity_tests.results import Result
from parity_tests.table import artifact_of, task_text


def to_junit(results: Sequence[Result], reference: str = "PyTorch") -> str:
    """One test suite with one test case per artefact, runtime and output.

    XML cannot hold control characters, such as those of a crashed runtime's coloured log.

    Args:
        results: The results.
        reference: What the artefacts were checked against.
    """
    statuses = [result.status for result in results]
    suite = ET.Element(
        "testsuite",
        name="agecompact parity",
        tests=str(len(results)),
        failures=str(statuses.count("failed")),
        errors="0",
        skipped=str(statuses.count("skipped")),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=one_line(result.model),
            name=one_line(f"{artifact_of(result)} [{result.label}]"),
            time=f"{result.seconds:.3f}",
        )
        if result.status == "failed":
            failure = ET.SubElement(
                case, "failure", type=result.kind or "", message=one_line(result.reason)
            )
            if result.localisation:
                failure.text = "\n".join(map(one_line, result.localisation["lines"]))
        elif result.status == "skipped":
            ET.SubElement(case, "skipped", message=one_line(result.reason))
        if said := [line for line in (float64.text(result), task_text(result, reference)) if line]:
            ET.SubElement(case, "system-out").text = "\n".join(map(one_line, said))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
