"""`agecompact weights import`."""

import json
import sys

import pytest
from click.testing import CliRunner

from agecompact.commands.weights import command
from agecompact.errors import BackendMissingError
from agecompact.files import sha256_of
from agecompact.weights import checkpoints


@pytest.fixture
def public_file(ssrnet_shapes, write_h5):
    return write_h5(ssrnet_shapes("pred_stage"))


def run(*arguments):
    return CliRunner().invoke(command, ["import", *map(str, arguments)])


def test_a_public_file_becomes_weights_and_card(public_file, tmp_path):
    out = tmp_path / "new" / "gender.safetensors"
    result = run(public_file, "--model", "ssrnet", "--out", out, "--json", "-")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["model"] == "ssrnet-gender"
    assert (report["parameters"], report["bn_statistics"]) == (40_531, 384)
    assert report["sha256"] == sha256_of(out)
    for part in (
        "ssrnet-gender",
        "40,531 parameters",
        "384 BN statistics",
        report["sha256"],
        str(out),
    ):
        assert part in result.stderr

    weights = checkpoints.read(out)
    weights.network()
    assert weights.model_id == "ssrnet-gender"
    assert weights.contract.color_order == "BGR"
    assert weights.contract.interpolation == "linear"
    assert weights.card["source"] == {"file": public_file.name, "sha256": sha256_of(public_file)}
    assert weights.card["layout"]["licence"] == "Apache-2.0"
    assert weights.card["metrics"] == "not re-measured"


def test_without_h5py(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    result = run(tmp_path / "x.h5", "--model", "c3ae", "--out", tmp_path / "w.safetensors")
    assert isinstance(result.exception, BackendMissingError)
    assert "'.[train]'" in str(result.exception)
