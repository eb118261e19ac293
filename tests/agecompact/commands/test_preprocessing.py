"""`agecompact preprocessing`: its table, its record, its card, and its errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agecompact.artifacts import manifest, preprocessing
from agecompact.evaluation import mistakes
from agecompact.evaluation.preprocessing import contract_hash
from agecompact.files import sha256_of
from agecompact.report import evidence
from agecompact.runtimes.reading import Reader
from agecompact.weights import checkpoints
from export.verify import check
from tests.agecompact.data import synthetic
from tests.invoking import done, refused
from tests.support import CopyBuild, random_network

RELEASED = checkpoints.released_path("c3ae-plain")


@pytest.fixture(autouse=True)
def _no_data_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AGECOMPACT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 coloured chips named as UTKFace names them."""
    files = {f"{5 + 15 * (i % 6)}_{i // 6 % 2}_0_{i:02}.jpg": i for i in range(60)}
    return synthetic.utkface(tmp_path_factory.mktemp("coloured"), files)


@pytest.fixture(scope="module")
def split_sha256(data: Path) -> str:
    result = done("evaluate", "c3ae-plain", "--data", data, "--json", "-")
    sha256: str = json.loads(result.stdout)["evaluation"]["split_sha256"]
    return sha256


def weights(folder: Path, split_sha256: str | None) -> Path:
    card: dict[str, Any] = {"data": {"name": "faces"}}
    if split_sha256:
        card["split"] = {"sha256": split_sha256}
    path = folder / "mine.safetensors"
    network = random_network("c3ae-plain")
    checkpoints.write(path, network, model_id="c3ae-plain", card=card)
    return path


def test_the_table_and_the_record_have_every_mistake_and_their_origin(
    data: Path, tmp_path: Path
) -> None:
    target = tmp_path / "found.json"
    arguments = ("preprocessing", "c3ae-plain", "--data", data, "--split", "all", "--limit", 12)
    result = done(*arguments, "--json", target)
    (record,) = preprocessing.read(tmp_path / "build" / "c3ae-plain", "c3ae-plain").records
    assert json.loads(target.read_text())["faces_sha256"] == record.faces_sha256
    contract = checkpoints.read(RELEASED).contract
    wanted = [each.name for each in mistakes.of(contract)]
    assert [each.mistake for each in record.costs] == wanted
    assert record.sha256 == record.weights_sha256 == sha256_of(RELEASED)
    assert record.contract_sha256 == contract_hash(contract)
    assert (record.file, record.faces, record.part) == (RELEASED.name, 12, "all")
    assert (record.figure, record.unit, record.dataset) == ("mae", "years", "utkface")
    text = re.sub(r" +", " ", result.stdout)
    for cost in record.costs:
        assert cost.mean is not None
        assert f" {cost.text} {cost.mean:.2f} {cost.p99:.2f} {cost.greatest:.2f}" in text
    worst = record.worst_first[0]
    assert f"if an app {worst.text}, 'age' is off by {worst.mean:.2f} years on average" in text
    assert "warning: " in text
    # A record may be published: it has file names, but no folders.
    assert str(tmp_path) not in target.read_text()
    assert str(data) not in target.read_text()
    # Again, it is the same to the last bit.
    done(*arguments)
    assert preprocessing.read(tmp_path / "build" / "c3ae-plain", "c3ae-plain").records == (record,)


def test_faces_without_labels_have_no_error(data: Path, tmp_path: Path) -> None:
    result = done(
        "preprocessing", "c3ae-plain", "--images", data, "--limit", 3, "--out", tmp_path / "o"
    )
    (record,) = preprocessing.read(tmp_path / "o" / "c3ae-plain", "c3ae-plain").records
    assert (record.figure, record.right, record.dataset, record.part) == (None,) * 4
    assert (record.faces, record.costs[0].change) == (3, None)
    assert "MAE" not in result.stdout
    assert "warning" not in result.stdout


def test_images_take_precedence_over_the_environment_only(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verb = ("preprocessing", "c3ae-plain")
    assert "no faces are named" in str(refused(*verb))
    both = refused(*verb, "--images", data, "--data", data)
    assert "leave out one of the two" in str(both)
    assert "leave out one of the two" in str(refused(*verb, "--data", data, "--images", data))
    monkeypatch.setenv("AGECOMPACT_DATA", str(tmp_path / "absent"))
    done(*verb, "--images", data, "--limit", 1)


def test_an_artefact_of_a_build_has_its_record_there_and_in_the_report(
    copy_build: CopyBuild, data: Path, tmp_path: Path
) -> None:
    build = copy_build("c3ae-plain", "float32.onnx")
    (entry,) = build.manifest.artifacts
    for path in build.folder.iterdir():
        if path.name not in (entry.file, manifest.FILE_NAME, build.manifest.weights):
            path.unlink() if path.is_file() else None
    before = check_faults(build.folder)
    artefact = build.path(entry)
    done("preprocessing", "--artifact", artefact, "--images", data, "--limit", 2)
    assert not (tmp_path / "build" / "c3ae-plain" / "absent").exists()
    (record,) = preprocessing.read(build.folder, "c3ae-plain").records
    assert (record.sha256, record.weights_sha256) == (entry.sha256, build.manifest.weights_sha256)
    # To verify, it belongs to the build.
    assert check_faults(build.folder) == before
    (found,) = evidence.read(build.folder).preprocessed
    assert (found.name, found.record) == (entry.file, record)
    # A file that was made again has no record.
    artefact.write_bytes(artefact.read_bytes() + b"\0")
    assert evidence.read(build.folder).preprocessed == ()


def check_faults(folder: Path) -> list[str]:
    with Reader() as reader:
        return check(folder, reader)


def test_the_card_of_weights_gets_the_record(data: Path, split_sha256: str, tmp_path: Path) -> None:
    path = weights(tmp_path, split_sha256)
    done("preprocessing", "--weights", path, "--data", data, "--update-card")
    card = checkpoints.read(path).card
    (record,) = preprocessing.read(tmp_path / "build" / "c3ae-plain", "c3ae-plain").records
    assert preprocessing.of_card(card) == record
    assert card["split"] == {"sha256": split_sha256}


@pytest.mark.parametrize("trained_on", [None, "0" * 64])
def test_the_card_is_not_updated_with_faces_that_may_have_been_trained_on(
    trained_on: str | None, data: Path, tmp_path: Path
) -> None:
    path = weights(tmp_path, trained_on)
    before = checkpoints.card_path(path).read_bytes()
    error = refused("preprocessing", "--weights", path, "--data", data, "--update-card")
    assert "cannot update the card" in str(error)
    assert checkpoints.card_path(path).read_bytes() == before


def test_only_cards_of_weights_are_updated_and_with_the_test_part(
    data: Path, tmp_path: Path
) -> None:
    path = weights(tmp_path, None)
    onnx = RELEASED.with_suffix(".onnx")
    card = "--update-card"
    part = refused("preprocessing", "--weights", path, "--data", data, "--split", "val", card)
    assert "the test part" in str(part)
    images = refused("preprocessing", "--weights", path, "--images", data, card)
    assert "the test part" in str(images)
    artefact = refused("preprocessing", "--artifact", onnx, "--data", data, card)
    assert "has no card to update" in str(artefact)


def test_an_unknown_output_is_refused(data: Path) -> None:
    error = refused("preprocessing", "c3ae-plain", "--images", data, "--output", "agee")
    assert "did you mean 'age'" in str(error)
