"""What the sections show, and what they say where figures are missing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agecompact.artifacts import manifest, preprocessing, trials
from agecompact.artifacts.trials import Count, Errors, Made, Origin, Record, Records
from agecompact.errors import UsageError
from agecompact.report import evidence
from agecompact.report.compose import SECTIONS, compose
from agecompact.report.document import Chart, Grid, Listing, Section
from tests import records, report_builds


def section(root: Path, anchor: str, *evaluations: Path) -> Section:
    report = compose(evidence.read(root, evaluations, with_sizes=False))
    return next(each for each in report.sections if each.anchor == anchor)


def rows(found: Section, caption: str = "") -> dict[str, dict[str, str]]:
    """The last grid whose caption has this text: by row, the text of each column."""
    grid = [p for p in found.parts if isinstance(p, Grid) and caption in p.caption][-1]
    return {
        row[0].text: dict(
            zip((c.heading for c in grid.columns), (cell.text for cell in row), strict=True)
        )
        for row in grid.rows
    }


def charts(found: Section) -> list[Chart]:
    return [part for part in found.parts if isinstance(part, Chart)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return report_builds.write(tmp_path)


def test_the_distribution_of_the_errors_is_in_the_grid_and_in_the_chart(root: Path) -> None:
    found = section(root, "agreement")
    row = rows(found)["ssrnet_int8.tflite"]
    figures = (row["median"], row["mean"], row["p99"], row["max"], row["allowed"], row["share"])
    assert figures == ("0.01", "0.012", "0.03", "0.06", "0.1", "60%")
    (chart,) = charts(found)
    drawn = next(d for d in chart.spec["data"]["values"] if d["name"] == "int8.tflite")
    assert drawn["low"] < drawn["q1"] < drawn["median"] < drawn["q3"] < drawn["high"] == 0.06
    assert drawn["limit"] == 0.1


def test_an_error_far_beyond_its_gate_is_a_multiple_of_it(tmp_path: Path) -> None:
    root = report_builds.write(tmp_path, failing=["ssrnet_int8.tflite"])
    row = rows(section(root, "agreement"))["ssrnet_int8.tflite"]
    assert (row["verdict"], row["share"]) == ("failed: mismatch", "42x")


def test_an_error_of_nothing_is_drawn_at_the_end_of_the_logarithmic_axis(root: Path) -> None:
    def exact(results: Any) -> None:
        zeros = dict.fromkeys(results[0]["quantiles"], 0.0)
        results[0].update(max_error=0.0, p99_error=0.0, mean_error=0.0, quantiles=zeros)

    report_builds.edit_results(root, exact)
    (chart,) = charts(section(root, "agreement"))
    assert all(row[name] > 0 for row in chart.spec["data"]["values"] for name in ("low", "high"))


def test_a_report_without_quantiles_is_shown_too(root: Path) -> None:
    path = root / "parity.json"
    content = json.loads(path.read_text())
    content["schema_version"] = 4
    for result in content["results"]:
        del result["quantiles"]
    path.write_text(json.dumps(content))
    found = section(root, "agreement")
    assert "median" not in rows(found)["ssrnet_int8.tflite"]
    assert charts(found)


def test_the_maes_of_both_are_shown_with_the_difference(root: Path) -> None:
    row = rows(section(root, "accuracy"), "MAE on labelled faces")["ssrnet_int8.tflite"]
    assert (row["MAE"], row["PyTorch's"], row["difference"]) == ("5.7510", "5.7500", "+1.0e-03")
    # The only output needs no name.
    assert "output" not in row


def test_an_evaluation_is_shown_by_decade_with_its_intervals(root: Path, tmp_path: Path) -> None:
    path = report_builds.write_evaluation(tmp_path / "e.json", root, "ssrnet_int8.tflite")
    found = section(root, "accuracy", path)
    by_age = rows(found, "By decade: ssrnet_int8.tflite")
    assert by_age["all"]["95 % interval"] == "5.500 to 6.000"
    assert by_age["10-19"]["MAE, years"] == "8.000"
    # A single face has no interval.
    assert by_age["90-99"]["95 % interval"] == "-"
    (chart,) = charts(found)
    assert "from 2.00 for 0-9 to 15.00 for 90-99" in chart.description
    assert any("ssrnet_int8.tflite: " in line for line in found.text)


def test_an_evaluation_of_another_file_is_refused(root: Path, tmp_path: Path) -> None:
    path = report_builds.write_evaluation(tmp_path / "e.json", root, "ssrnet_int8.tflite")
    (root / "build" / "ssrnet_int8.tflite").write_text("made again")
    with pytest.raises(UsageError, match="an evaluation of another file"):
        evidence.read(root, [path])


def test_the_evaluation_of_released_weights_comes_from_their_card(root: Path) -> None:
    from agecompact.weights import cards, checkpoints

    card = json.loads(checkpoints.card_path(checkpoints.released_path("ssrnet")).read_text())
    assert not evidence.read(root).evaluations
    build = manifest.read(root / "build")
    manifest.write(root / "build", replace(build.manifest, weights_sha256=card["sha256"]))
    assert cards.released(card["sha256"], "ssrnet")
    mae = card["evaluation"]["mae_years"]
    assert rows(section(root, "accuracy"), "weights of ssrnet")["all"]["MAE, years"] == f"{mae:.3f}"


def test_the_costs_of_mistakes_are_shown_the_worst_first(root: Path) -> None:
    shown = rows(section(root, "preprocessing"), "weights of ssrnet")
    assert list(shown) == [report_builds.HOSTILE, "resizes bilinearly, without anti-aliasing"]
    assert shown[report_builds.HOSTILE] == {
        "if an app ...": report_builds.HOSTILE,
        "concerns": "range",
        **{"mean": "13.80", "p99": "45.00", "greatest": "50.80"},
        **{"unit": "years", "MAE change": "+9.50"},
    }
    (grid,) = section(root, "preprocessing").parts
    assert isinstance(grid, Grid)
    assert grid.caption.endswith("'age', on 1,000 faces of the test part of utkface")


def test_costs_of_mistakes_are_those_of_the_files_in_the_build(root: Path) -> None:
    build = manifest.read(root / "build")
    entry = build.manifest.artifacts[0]
    of_artifact = replace(records.PREPROCESSED, file=entry.file, sha256=entry.sha256)
    preprocessing.add(root / "build", "ssrnet", of_artifact)
    found = section(root, "preprocessing")
    assert len(found.parts) == 2
    assert rows(found, entry.file)
    manifest.write(root / "build", replace(build.manifest, weights_sha256="b" * 64))
    build.path(entry).write_text("made again")
    found = section(root, "preprocessing")
    assert not found.parts
    assert "agecompact preprocessing MODEL" in " ".join(found.text)


def test_the_costs_of_released_weights_come_from_their_card(root: Path) -> None:
    from agecompact.weights import checkpoints

    path = checkpoints.card_path(checkpoints.released_path("ssrnet"))
    card = json.loads(path.read_text())
    build = manifest.read(root / "build")
    manifest.write(root / "build", replace(build.manifest, weights_sha256=card["sha256"]))
    wanted = {each["text"]: f"{each['mean']:.2f}" for each in card["preprocessing"]["costs"]}
    shown = rows(section(root, "preprocessing"), "weights of ssrnet")
    assert {text: row["mean"] for text, row in shown.items()} == wanted
    # Figures of the build itself take precedence.
    own = replace(records.PREPROCESSED, sha256=card["sha256"])
    preprocessing.add(root / "build", "ssrnet", own)
    assert "gives 0..1 for 0..255" in rows(section(root, "preprocessing"))
    assert len(rows(section(root, "preprocessing"))) == 2


def test_instructions_are_compared_with_their_bound(root: Path) -> None:
    found = section(root, "instructions")
    grid = next(part for part in found.parts if isinstance(part, Grid))
    cells = {(row[0].text, row[1].text): [cell.text for cell in row] for row in grid.rows}
    assert cells["ssrnet_int8.tflite", "cortex-a76"][2:5] == ["1.50", "1.00", "1.5"]
    assert len(cells) == 6


def test_bytes_are_split_by_kind(root: Path) -> None:
    row = rows(section(root, "bytes"))["ssrnet_float32.tflite"]
    assert (row["bytes"], row["weights"], row["graph"], row["metadata"]) == (
        *("4,000", "3,700"),
        *("200", "100"),
    )
    assert row["over bound"] == "+300"


def test_only_what_nothing_beats_in_its_format_is_on_the_front(root: Path) -> None:
    """In ONNX, float16 gets the error of int8 and more bytes, so int8 beats it."""

    def worse(results: Any) -> None:
        results[1].update(p99_error=results[2]["p99_error"])

    report_builds.edit_results(root, worse)
    found = rows(section(root, "front"))
    assert {name: row["front"] for name, row in found.items()} == {
        "ssrnet_float32.onnx": "yes",
        "ssrnet_float16.onnx": "no",
        "ssrnet_int8.onnx": "yes",
        "ssrnet_float32.tflite": "yes",
        "ssrnet_float16.tflite": "yes",
        "ssrnet_int8.tflite": "yes",
    }


def test_a_failed_artefact_is_not_on_the_front_and_keeps_nothing_off_it(tmp_path: Path) -> None:
    root = report_builds.write(tmp_path, failing=["ssrnet_int8.tflite"])

    def tiny(results: Any) -> None:
        results[-1].update(p99_error=0.0)

    report_builds.edit_results(root, tiny)
    found = rows(section(root, "front"))
    assert found["ssrnet_int8.tflite"]["front"] == "failed"
    assert found["ssrnet_float32.tflite"]["front"] == "yes"


def test_what_optimise_tried_has_a_front_of_its_own(root: Path) -> None:
    origin = Origin(weights_sha256="1" * 64, network_sha256="2" * 64, calibration_sha256=None)

    def tried(name: str, size: int, p99: float | None, instructions: int) -> Record:
        made = Made(origin=origin, versions={}, file="a.tflite", sha256="3" * 64, bytes=size)
        errors = None
        if p99 is not None:
            figures = {"p99": p99, "mean": p99 / 2, "greatest": 2 * p99, "mae_cost": -0.01}
            errors = Errors(faces_sha256="4" * 64, faces=9, **figures)
        count = Count(place="emulated:a", machine="a core", instructions=instructions)
        return Record(candidate=name, made=made, errors=errors, count=count)

    tried_ones = (
        tried("best", 10, 0.1, 2_000_000),
        tried("beaten", 11, 0.1, 2_000_000),
        tried("unjudged", 1, None, 1_000_000),
    )
    folder = root / "optimise" / report_builds.MODEL
    folder.mkdir(parents=True)
    trials.write(folder, Records(model=report_builds.MODEL, records=tried_ones))
    found = rows(section(root, "front"), "What optimise tried for ssrnet")
    fronts = {name: row["front"] for name, row in found.items()}
    assert fronts == {"best": "yes", "beaten": "no", "unjudged": "no"}
    best = found["best"]
    assert (best["millions"], best["MAE change"], found["unjudged"]["p99 error"]) == (
        *("2.00", "-0.010"),
        "-",
    )


def test_failures_are_listed_with_what_localisation_found(tmp_path: Path) -> None:
    root = report_builds.write(tmp_path, failing=["ssrnet_int8.tflite"])
    report_builds.add_not_made(root, "ssrnet_int8-weights.tflite", "it crashed")
    unmade, failed = section(root, "failures").parts
    assert isinstance(unmade, Listing)
    assert isinstance(failed, Listing)
    assert (unmade.title, unmade.text) == ("ssrnet_int8-weights.tflite was not made", "it crashed")
    assert failed.title == "ssrnet_int8.tflite in LiteRT"
    assert failed.text.startswith("mismatch: greatest error")
    assert failed.lines == ("the error originates at", report_builds.HOSTILE)


@pytest.mark.parametrize("value", [None, 3, {"lines": "text"}, {"lines": [1, None]}])
def test_a_localisation_of_another_form_does_no_harm(value: Any, tmp_path: Path) -> None:
    root = report_builds.write(tmp_path, failing=["ssrnet_int8.tflite"])
    wrapped = value if isinstance(value, dict) or value is None else {"other": value}
    report_builds.edit_results(root, lambda found: found[-1].update(localisation=wrapped))
    (failed,) = section(root, "failures").parts
    assert isinstance(failed, Listing)
    assert all(isinstance(line, str) for line in failed.lines)


def test_a_file_that_changed_is_named_beside_its_hash(root: Path) -> None:
    (root / "build" / "ssrnet_int8.tflite").write_text("another")
    (root / "build" / "ssrnet_int8.onnx").unlink()
    found = rows(section(root, "origin"), "Files")
    assert found["ssrnet_int8.tflite"]["SHA-256"].endswith("; the file has changed since")
    assert found["ssrnet_int8.onnx"]["SHA-256"].endswith("; the file cannot be read")
    assert re.fullmatch("[0-9a-f]{64}", found["ssrnet_float32.onnx"]["SHA-256"])


def test_each_section_without_figures_names_the_command_that_makes_them(root: Path) -> None:
    for name in ("parity.json", "latency.json"):
        (root / name).unlink()
    (root / "build" / preprocessing.FILE_NAME).unlink()
    wanted = {
        "agreement": "agecompact parity",
        "accuracy": "agecompact evaluate",
        "preprocessing": "agecompact preprocessing",
        "instructions": "agecompact bench",
        "bytes": "agecompact bench size",
        "front": "agecompact parity",
        "failures": "agecompact parity",
    }
    for anchor, command in wanted.items():
        found = section(root, anchor)
        assert command in " ".join(found.text), anchor
        assert not found.parts, anchor


def test_the_names_of_what_alone_was_not_measured_are_given(root: Path) -> None:
    report_builds.edit_results(root, lambda results: results.pop(0))
    assert "Not measured of ssrnet_float32.onnx: " in " ".join(section(root, "agreement").text)


def test_anchors_differ(root: Path) -> None:
    anchors = [each.anchor for each in compose(evidence.read(root)).sections]
    assert len(set(anchors)) == len(anchors) == len(SECTIONS)
