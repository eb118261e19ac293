import json

import pytest

from agecompact import manifest, report
from agecompact.errors import UsageError
from agecompact.manifest import Entry, Manifest
from agecompact.models import registry


@pytest.fixture
def build(tmp_path):
    """A build folder by hand: three artefacts, one passed, one failed, one not of this machine."""
    entries = tuple(
        Entry(f"ssrnet_float32.{kind}", kind, "float32", kind, 1500, "a tool", {}, None, 1.0)
        for kind in ("onnx", "tflite", "mlpackage")
    )
    contract = registry.get("ssrnet").contract
    manifest.write(
        tmp_path / "ssrnet",
        Manifest("ssrnet", "ssrnet.safetensors", "0", contract, 1, 1, 1, entries),
    )
    verdicts = [("passed", None, 1e-5), ("failed", "mismatch", 4.2), ("skipped", "missing", None)]
    results = [
        {
            "artifact": entry.file,
            "sha256": entry.sha256,
            "status": status,
            "kind": kind,
            "max_years": error,
            "p99_years": error,
        }
        for entry, (status, kind, error) in zip(entries, verdicts, strict=True)
    ]
    record = {
        "artifact": "ssrnet_float32.onnx",
        "sha256": "onnx",
        "ratio_to_reference": 0.95,
    }
    for name, content in {
        "parity.json": {"results": results},
        "latency.json": {"records": [record]},
    }.items():
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def test_one_row_an_artefact_with_what_each_stop_said(build):
    assert [row.cells()[2:] for row in report.rows(build)] == [
        ("1.5 kB", "1.0e-05 y", "1.0e-05 y", "0.95x", "passed"),
        ("1.5 kB", "4.2e+00 y", "4.2e+00 y", "-", "failed: mismatch"),
        ("1.5 kB", "-", "-", "-", "not run here"),
    ]


def test_a_verdict_on_another_file_is_not_reported(build):
    content = json.loads((build / "parity.json").read_text())
    content["results"][0]["sha256"] = "an older file's"
    (build / "parity.json").write_text(json.dumps(content))
    assert report.rows(build)[0].status == "not checked"


def test_a_build_that_nothing_was_run_on_yet(build):
    (build / "parity.json").unlink()
    (build / "latency.json").unlink()
    assert {row.status for row in report.rows(build)} == {"not checked"}


def test_markdown_has_a_line_a_row(build):
    lines = report.to_markdown(report.rows(build)).splitlines()
    assert len(lines) == 2 + 3
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_no_build(tmp_path):
    with pytest.raises(UsageError, match="no build"):
        report.rows(tmp_path)
