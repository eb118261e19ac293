"""`agecompact lemur export`: a module, its weights and their card."""

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agecompact.commands import lemur
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from agecompact.weights import checkpoints


def run(*arguments: object) -> Result:
    return CliRunner().invoke(lemur.command, ["export", *(str(a) for a in arguments)])


def test_it_writes_module_weights_and_card(tmp_path: Path) -> None:
    released = checkpoints.read(checkpoints.released_path("c3ae"))
    result = run("c3ae", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "C3AEFull.json",
        "C3AEFull.py",
        "C3AEFull.safetensors",
    ]
    written = checkpoints.read(tmp_path / "C3AEFull.safetensors")
    assert written.sha256 == released.sha256
    assert written.terms == released.terms != ""
    assert written.card == {**released.card, "file": "C3AEFull.safetensors"}
    # The released weights do not have the default configuration, and the module has theirs.
    interval = released.config["interval"]
    assert f"super().__init__(interval={interval}," in (tmp_path / "C3AEFull.py").read_text()
    assert "python -m ab.nn.train -c age-regression_utkface_mae_C3AEFull" in result.output
    assert 'net.load_state_dict(safetensors.torch.load_file("C3AEFull.safetensors"))' in (
        result.output
    )


def test_json_on_standard_output_stands_alone(tmp_path: Path) -> None:
    record = json.loads(run("ssrnet", "--out", tmp_path, "--json", "-").stdout)
    assert record["configuration"] == "age-regression_utkface_mae_SSRNet"
    assert record["module"] == str(tmp_path / "SSRNet.py")
    assert record["sha256"] == sha256_of(tmp_path / "SSRNet.safetensors")
    assert set(record["hyperparameters"]) == {"lr", "momentum", "dropout", "batch"}


def test_given_weights_keep_their_contract(tmp_path: Path) -> None:
    released = checkpoints.read(checkpoints.released_path("ssrnet"))
    contract = dataclasses.replace(released.contract, interpolation="linear")
    path = tmp_path / "own.safetensors"
    checkpoints.write(path, released.network(), model_id="ssrnet", contract=contract)
    checkpoints.card_path(path).unlink()
    result = run("ssrnet", "--weights", path, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "area=False" in (tmp_path / "out" / "SSRNet.py").read_text()
    assert not (tmp_path / "out" / "SSRNet.json").exists()
    assert "terms   unknown" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mobilagenet",), "did you mean 'mobileagenet'"),
        (
            ("c3ae", "--weights", checkpoints.released_path("ssrnet")),
            "holds weights of 'ssrnet', not of 'c3ae'",
        ),
        (("c3ae", "--weights", "absent.safetensors"), "no weights at absent.safetensors"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    arguments: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    result = run(*arguments, "--out", tmp_path / "out")
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()
