import hashlib
import json
from dataclasses import replace

import pytest

from agecompact import report
from agecompact.artifacts import manifest
from agecompact.artifacts.manifest import Entry, Manifest
from agecompact.artifacts.parity import ParityReport, Result, Tolerance
from agecompact.bench import store
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.serialization import write_versioned
from tests import records
from tests.agecompact.bench.test_tables import assert_rows_are_whole

_CONTENT = {kind: kind.encode().ljust(1500) for kind in ("onnx", "tflite", "mlpackage")}
_TOLERANCE = Tolerance(1e-4, 1e-3, 1e-4, 1e-4, 1e-3, "")
_SHA256 = {kind: hashlib.sha256(content).hexdigest() for kind, content in _CONTENT.items()}


def _record(kind, like):
    """A record of one of the artefacts below."""
    file = f"ssrnet_float32.{kind}"
    return replace(like, artifact=replace(like.artifact, file=file, sha256=_SHA256[kind]))


@pytest.fixture
def build(tmp_path):
    """A build folder with three artefacts: one passed, one failed, one not run here."""
    entries = tuple(
        Entry(
            file=f"ssrnet_float32.{kind}",
            format="coreml" if kind == "mlpackage" else kind,
            precision="float32",
            sha256=_SHA256[kind],
            bytes=1500,
            converter="a tool",
            versions={},
            opset=None,
            batch=1,
            conversion_s=1.0,
        )
        for kind in _CONTENT
    )
    for entry in entries:
        path = tmp_path / "ssrnet" / entry.file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_CONTENT[path.suffix[1:]])
    contract = registry.get("ssrnet").contract
    manifest.write(
        tmp_path / "ssrnet",
        Manifest("ssrnet", "ssrnet.safetensors", "0" * 64, "", "", contract, 1, 1, 1, entries),
    )
    verdicts = [("passed", None, 1e-5), ("failed", "mismatch", 4.2), ("skipped", "missing", None)]
    results = tuple(
        Result(
            model="ssrnet",
            artifact=entry.file,
            precision="float32",
            sha256=entry.sha256,
            runtime=entry.format,
            label="a runtime",
            status=status,
            kind=kind,
            reason="",
            unit="years",
            tolerance=_TOLERANCE,
            max_error=error,
            p99_error=error,
        )
        for entry, (status, kind, error) in zip(entries, verdicts, strict=True)
    )
    write_versioned(tmp_path / "parity.json", ParityReport(passed=False, results=results))
    latency = store.to_json([_record("onnx", records.HOST)])
    (tmp_path / "latency.json").write_text(json.dumps(latency))
    return tmp_path


def test_each_artefact_has_the_results_of_every_stage(build):
    assert [summary.cells()[2:] for summary in report.summaries(build)] == [
        ("1.5 kB", "1.0e-05 y", "1.0e-05 y", "0.80x", "-", "-", "passed"),
        ("1.5 kB", "4.2e+00 y", "4.2e+00 y", "-", "-", "-", "failed: mismatch"),
        ("1.5 kB", "-", "-", "-", "-", "-", "not run here"),
    ]


@pytest.mark.parametrize("change", ["other", "missing"])
def test_a_file_that_changed_after_its_check_is_not_checked(build, change):
    path = build / "ssrnet" / "ssrnet_float32.onnx"
    path.unlink() if change == "missing" else path.write_text("other content")
    assert report.summaries(build)[0].cells()[3:] == ("-", "-", "-", "-", "-", "not checked")


def test_a_link_is_not_checked_though_its_content_passed(build, tmp_path_factory):
    path = build / "ssrnet" / "ssrnet_float32.onnx"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.onnx"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    first, second, _ = report.summaries(build)
    assert first.status == "not checked"
    assert second.status == "failed: mismatch"


def test_a_result_without_a_hash_is_of_no_file(build):
    (build / "ssrnet" / "ssrnet_float32.onnx").unlink()
    summaries = _edit_parity(build, lambda results: results[0].update(sha256=None))
    assert summaries[0].status == "not checked"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda results: results[0].pop("status"), "a field is missing"),
        (lambda results: results[0].update(status="fine"), "'fine' is none of"),
        (lambda results: results[0].update(max_error="1e-5"), "'1e-5' is not a number"),
        (lambda results: results.append(None), "is not an object"),
    ],
)
def test_a_parity_report_of_other_types_is_refused(build, edit, reason):
    with pytest.raises(UsageError, match="cannot read parity report") as caught:
        _edit_parity(build, edit)
    assert reason in caught.value.why


def _edit_parity(build, edit):
    path = build / "parity.json"
    content = json.loads(path.read_text())
    edit(content["results"])
    path.write_text(json.dumps(content))
    return report.summaries(build)


def test_a_stand_in_for_core_ml_counts_and_is_named(build):
    skipped = json.loads((build / "parity.json").read_text())["results"][2]
    passed = {
        **skipped,
        "runtime": "mil",
        "label": "reference runtime",
        "status": "passed",
        "kind": None,
        "max_error": 2e-4,
    }
    failed = {**passed, "runtime": "mil-float32", "status": "failed", "kind": "mismatch"}
    summary = _edit_parity(build, lambda results: results.append(passed))[2]
    assert (summary.max_error, summary.status) == (2e-4, "passed (reference runtime)")
    summary = _edit_parity(build, lambda results: results.append(failed))[2]
    assert summary.status == "failed: mismatch (reference runtime)"


def _measured(build, *measured):
    (build / "latency.json").write_text(json.dumps(store.to_json(measured)))
    return report.summaries(build)


def _cells(build, *measured):
    summary = _measured(build, *(_record("onnx", like) for like in measured))[0]
    return dict(zip(report.HEADINGS, summary.cells(), strict=True))


def test_every_measurement_of_an_artefact_is_in_its_row(build):
    older = replace(records.EMULATED, machine=replace(records.EMULATED.machine, cpu="cortex-a53"))
    cells = _cells(build, *records.ALL, older)
    assert cells["latency"] == "0.80x"
    assert cells["instructions"] == "4.41M cortex-a76, 4.41M cortex-a53"
    assert cells["on device"] == "1.05 ms a phone"


def test_the_latency_is_measured_with_the_threads_of_the_reference_and_one_face(build):
    more = {
        n: replace(records.HOST, runtime=replace(records.RUNTIME, **{n: 4}))
        for n in ("threads", "batch")
    }
    assert _cells(build, *more.values())["latency"] == "-"
    assert _cells(build, *more.values(), records.HOST)["latency"] == "0.80x"
    threads = replace(records.RUNTIME, threads=4)
    cells = _cells(build, replace(records.DEVICE, runtime=threads))
    assert cells["on device"] == "1.05 ms a phone 4 threads"


def test_an_invalid_measurement_is_marked_with_its_reason(build):
    uncertain = replace(records.HOST, ratio=replace(records.RATIO, low=0.5, high=1.2))
    wrong = replace(records.EMULATED, output_error=replace(records.OUTPUT_ERROR, max_error=9.0))
    failed = replace(records.DEVICE, latency=None, failure="unplugged")
    cells = _cells(build, uncertain, wrong, failed)
    assert cells["latency"] == "0.80x (invalid: spread-too-wide)"
    assert cells["instructions"] == "4.41M cortex-a76 (invalid: wrong-output)"
    assert cells["on device"] == "- a phone"


def test_a_measurement_of_another_file_is_not_reported(build):
    another = replace(_record("onnx", records.HOST), artifact=records.ARTIFACT)
    assert _measured(build, another)[0].ratio is None


def test_a_parity_result_of_another_file_is_not_reported(build):
    summaries = _edit_parity(build, lambda results: results[0].update(sha256="an older file's"))
    assert summaries[0].status == "not checked"


def test_a_new_build_is_not_checked(build):
    (build / "parity.json").unlink()
    (build / "latency.json").unlink()
    assert {summary.status for summary in report.summaries(build)} == {"not checked"}


def test_markdown_has_a_line_per_artefact(build):
    lines = report.to_markdown(report.summaries(build)).splitlines()
    assert len(lines) == 2 + 3
    assert all(line.count("|") == lines[0].count("|") for line in lines)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_has_a_line_per_artefact_at_any_width(build, width):
    table = report.to_table(_measured(build, *(_record("onnx", like) for like in records.ALL)))
    assert_rows_are_whole(table, width)
    headings = [column.heading for column in table.columns]
    assert headings == [heading for heading in report.HEADINGS if heading != "model"]
    # A column in which nothing is known is left out.
    assert "on device" not in [c.heading for c in report.to_table(_measured(build)).columns]


def test_no_build(tmp_path):
    with pytest.raises(UsageError, match="no build"):
        report.summaries(tmp_path)


def test_a_run_that_fails_leaves_no_earlier_table(build, agecompact):
    table = build / "table.md"
    table.write_text("| passed |")
    (build / "parity.json").write_text("{}")
    done = agecompact("report", build, "--markdown", table)
    assert done.returncode == 2
    assert not table.exists()
