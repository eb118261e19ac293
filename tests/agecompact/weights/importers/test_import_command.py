"""`agecompact weights import`."""

import json
import sys

import pytest
from click.testing import CliRunner

from agecompact.commands.weights import command
from agecompact.errors import BackendMissingError, OutputError, UsageError
from agecompact.files import sha256_of
from agecompact.weights import checkpoints


@pytest.fixture
def public_file(ssrnet_shapes, write_h5):
    return write_h5(ssrnet_shapes("pred_stage"))


def run(*arguments):
    return CliRunner().invoke(command, ["import", *map(str, arguments)])


def test_a_public_file_becomes_weights_and_card(public_file, tmp_path):
    out = tmp_path / "new" / "gender.safetensors"
    result = run(public_file, "--model", "ssrnet", "--out", out, "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["model"] == "ssrnet-gender"
    assert report["parameters"] == 40_915
    assert report["sha256"] == sha256_of(out)
    for part in ("ssrnet-gender", "40,915", report["sha256"], str(out)):
        assert part in result.output

    weights = checkpoints.read(out)
    weights.network()
    assert weights.model_id == "ssrnet-gender"
    assert weights.contract.color_order == "BGR"
    assert weights.contract.interpolation == "linear"
    assert weights.card["source"] == {"file": public_file.name, "sha256": sha256_of(public_file)}
    assert weights.card["layout"]["licence"] == "Apache-2.0"
    assert weights.card["metrics"] == "not re-measured"


def test_standard_output_holds_only_json(public_file, tmp_path):
    result = run(
        public_file, "--model", "ssrnet", "--out", tmp_path / "w.safetensors", "--json", "-"
    )
    assert json.loads(result.stdout)["parameters"] == 40_915


def test_importing_twice_gives_the_same_bytes(public_file, tmp_path):
    for name in ("a", "b"):
        run(public_file, "--model", "ssrnet", "--out", tmp_path / f"{name}.safetensors")
    assert sha256_of(tmp_path / "a.safetensors") == sha256_of(tmp_path / "b.safetensors")


def test_out_needs_the_suffix_of_weights(public_file, tmp_path):
    result = run(public_file, "--model", "ssrnet", "--out", tmp_path / "w.json")
    assert isinstance(result.exception, UsageError)
    assert "needs the suffix .safetensors" in str(result.exception)
    assert not (tmp_path / "w.json").exists()


def test_an_unwritable_folder(public_file, tmp_path):
    (tmp_path / "file").write_text("")
    result = run(public_file, "--model", "ssrnet", "--out", tmp_path / "file" / "w.safetensors")
    assert isinstance(result.exception, OutputError)


def test_without_h5py(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    result = run(tmp_path / "x.h5", "--model", "c3ae", "--out", tmp_path / "w.safetensors")
    assert isinstance(result.exception, BackendMissingError)
    assert "'.[train]'" in str(result.exception)


def test_an_unknown_family(tmp_path):
    result = run(tmp_path / "x.h5", "--model", "resnet", "--out", tmp_path / "w.safetensors")
    assert result.exit_code == 2
    assert "ssrnet" in result.output
