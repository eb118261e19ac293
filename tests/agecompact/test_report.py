import json
from dataclasses import replace

import pytest

from agecompact import report
from agecompact.artifacts import manifest
from agecompact.artifacts.manifest import Entry, Manifest
from agecompact.bench import store
from agecompact.errors import UsageError
from agecompact.models import registry
from tests import records

_SHA256 = {kind: str(i) * 64 for i, kind in enumerate(("onnx", "tflite", "mlpackage"))}


def _record(kind, like):
    """What was measured of one of the artefacts below."""
    file = f"ssrnet_float32.{kind}"
    return replace(like, artifact=replace(like.artifact, file=file, sha256=_SHA256[kind]))


@pytest.fixture
def build(tmp_path):
    """A build folder by hand: three artefacts, one passed, one failed, one not of this machine."""
    entries = tuple(
        Entry(
            f"ssrnet_float32.{kind}", kind, "float32", _SHA256[kind], 1500, "a tool", {}, None, 1.0
        )
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
            "runtime": "coreml" if entry.format == "mlpackage" else entry.format,
            "label": "a runtime",
            "status": status,
            "kind": kind,
            "max_years": error,
            "p99_years": error,
        }
        for entry, (status, kind, error) in zip(entries, verdicts, strict=True)
    ]
    for name, content in {
        "parity.json": {"results": results},
        "latency.json": store.to_json([_record("onnx", records.HOST)]),
    }.items():
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def test_one_row_an_artefact_with_what_each_stop_said(build):
    assert [row.cells()[2:] for row in report.rows(build)] == [
        ("1.5 kB", "1.0e-05 y", "1.0e-05 y", "0.80x", "-", "-", "passed"),
        ("1.5 kB", "4.2e+00 y", "4.2e+00 y", "-", "-", "-", "failed: mismatch"),
        ("1.5 kB", "-", "-", "-", "-", "-", "not run here"),
    ]


def test_what_stood_in_for_core_ml_counts_and_is_named(build):
    content = json.loads((build / "parity.json").read_text())
    skipped = content["results"][2]
    passed = {
        **skipped,
        "runtime": "mil",
        "label": "reference runtime",
        "status": "passed",
        "kind": None,
        "max_years": 2e-4,
    }
    failed = {**passed, "runtime": "mil-float32", "status": "failed", "kind": "mismatch"}
    content["results"] += [passed]
    (build / "parity.json").write_text(json.dumps(content))
    told = report.rows(build)[2]
    assert (told.max_years, told.status) == (2e-4, "passed (reference runtime)")
    content["results"] += [failed]
    (build / "parity.json").write_text(json.dumps(content))
    assert report.rows(build)[2].status == "failed: mismatch (reference runtime)"


def _measured(build, *held):
    (build / "latency.json").write_text(json.dumps(store.to_json(held)))
    return report.rows(build)


def _told(build, *held):
    row = _measured(build, *(_record("onnx", like) for like in held))[0]
    return dict(zip(report.HEADINGS, row.cells(), strict=True))


def test_all_that_was_measured_of_an_artefact_stands_in_its_row(build):
    older = replace(records.EMULATED, machine=replace(records.EMULATED.machine, cpu="cortex-a53"))
    told = _told(build, *records.ALL, older)
    assert told["latency"] == "0.80x"
    assert told["instructions"] == "4.41M cortex-a76, 4.41M cortex-a53"
    assert told["on device"] == "1.05 ms a phone"


def test_the_latency_is_that_of_the_reference_s_threads_and_one_face(build):
    more = {
        n: replace(records.HOST, runtime=replace(records.RUNTIME, **{n: 4}))
        for n in ("threads", "batch")
    }
    assert _told(build, *more.values())["latency"] == "-"
    assert _told(build, *more.values(), records.HOST)["latency"] == "0.80x"
    threads = replace(records.RUNTIME, threads=4)
    told = _told(build, replace(records.DEVICE, runtime=threads))
    assert told["on device"] == "1.05 ms a phone 4 threads"


def test_an_invalid_measurement_is_marked_with_its_reason(build):
    uncertain = replace(records.HOST, ratio=replace(records.RATIO, low=0.5, high=1.2))
    wrong = replace(records.EMULATED, output_error=replace(records.OUTPUT_ERROR, max_error=9.0))
    failed = replace(records.DEVICE, latency=None, failure="unplugged")
    told = _told(build, uncertain, wrong, failed)
    assert told["latency"] == "0.80x (invalid: spread-too-wide)"
    assert told["instructions"] == "4.41M cortex-a76 (invalid: wrong-output)"
    assert told["on device"] == "- a phone"


def test_a_measurement_of_another_file_is_not_reported(build):
    (row, *_) = _measured(build, replace(_record("onnx", records.HOST), artifact=records.ARTIFACT))
    assert row.ratio is None


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
