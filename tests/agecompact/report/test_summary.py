import hashlib
import json
from dataclasses import replace

import pytest

from agecompact.artifacts import manifest
from agecompact.artifacts.manifest import Entry, Manifest
from agecompact.artifacts.parity import ParityReport, Result, Tolerance
from agecompact.bench import store
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.report import evidence, summary
from agecompact.report.compose import compose
from agecompact.report.to_markdown import to_markdown
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


def summaries(root):
    return summary.summaries(evidence.read(root).artifacts)


def texts(row):
    return tuple(cell.text for cell in row.cells())


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
    assert [texts(row)[2:] for row in summaries(build)] == [
        ("1.5 kB", "1.0e-05 y", "1.0e-05 y", "-", "0.80x", "-", "-", "passed"),
        ("1.5 kB", "4.2e+00 y", "4.2e+00 y", "-", "-", "-", "-", "failed: mismatch"),
        ("1.5 kB", "-", "-", "-", "-", "-", "-", "not run here"),
    ]


def test_a_cell_sorts_by_its_figure(build):
    passed = summaries(build)[0]
    values = dict(zip(summary.HEADINGS, (cell.value for cell in passed.cells()), strict=True))
    assert (values["size"], values["parity max"], values["latency"]) == (1500, 1e-5, 0.8)
    assert values["instructions"] is None


def test_the_change_of_the_mae_has_its_sign(build):
    def younger(results):
        results[0].update(artifact_mae_years=5.5, reference_mae_years=5.75, mae_years=0.25)

    cells = dict(zip(summary.HEADINGS, texts(_edit_parity(build, younger)[0]), strict=True))
    assert cells["MAE change"] == "-0.250"


@pytest.mark.parametrize("change", ["other", "missing"])
def test_a_file_that_changed_after_its_check_is_not_checked(build, change):
    path = build / "ssrnet" / "ssrnet_float32.onnx"
    path.unlink() if change == "missing" else path.write_text("other content")
    assert texts(summaries(build)[0])[3:] == ("-",) * 6 + ("not checked",)


def test_a_link_is_not_checked_though_its_content_passed(build, tmp_path_factory):
    path = build / "ssrnet" / "ssrnet_float32.onnx"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.onnx"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    first, second, _ = summaries(build)
    assert first.status == "not checked"
    assert second.status == "failed: mismatch"


def test_a_result_without_a_hash_is_of_no_file(build):
    (build / "ssrnet" / "ssrnet_float32.onnx").unlink()
    rows = _edit_parity(build, lambda results: results[0].update(sha256=None))
    assert rows[0].status == "not checked"


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
    return summaries(build)


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
    row = _edit_parity(build, lambda results: results.append(passed))[2]
    assert (row.max_error, row.status) == (2e-4, "passed (reference runtime)")
    row = _edit_parity(build, lambda results: results.append(failed))[2]
    assert row.status == "failed: mismatch (reference runtime)"


def _measured(build, *measured):
    (build / "latency.json").write_text(json.dumps(store.to_json(measured)))
    return summaries(build)


def _cells(build, *measured):
    row = _measured(build, *(_record("onnx", like) for like in measured))[0]
    return dict(zip(summary.HEADINGS, texts(row), strict=True))


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
    rows = _edit_parity(build, lambda results: results[0].update(sha256="an older file's"))
    assert rows[0].status == "not checked"


def test_a_new_build_is_not_checked(build):
    (build / "parity.json").unlink()
    (build / "latency.json").unlink()
    assert {row.status for row in summaries(build)} == {"not checked"}


def test_markdown_has_a_line_per_artefact(build):
    written = to_markdown(compose(evidence.read(build)))
    table = written.partition("All artefacts:\n\n")[2].partition("\n\n")[0].splitlines()
    assert len(table) == 2 + 3
    assert all(line.count("|") == table[0].count("|") for line in table)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_has_a_line_per_artefact_at_any_width(build, width):
    table = summary.to_table(_measured(build, *(_record("onnx", like) for like in records.ALL)))
    assert_rows_are_whole(table, width)
    headings = [column.heading for column in table.columns]
    # The name begins with the model, and no faces had labels.
    unknown = ("model", "MAE change")
    assert headings == [heading for heading in summary.HEADINGS if heading not in unknown]
    # A column in which nothing is known is left out.
    assert "on device" not in [c.heading for c in summary.to_table(_measured(build)).columns]


def test_no_build(tmp_path):
    with pytest.raises(UsageError, match="no build"):
        summaries(tmp_path)


def test_a_run_that_fails_leaves_no_earlier_table(build, agecompact):
    table = build / "table.md"
    table.write_text("| passed |")
    (build / "parity.json").write_text("{}")
    done = agecompact("report", build, "--markdown", table)
    assert done.returncode == 2
    assert not table.exists()
