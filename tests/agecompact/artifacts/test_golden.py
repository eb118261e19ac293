import json

import numpy as np
import pytest

from agecompact.artifacts import golden
from agecompact.contract import Output
from agecompact.errors import UsageError
from agecompact.models import registry
from tests.golden_pack import write_pack

_SHA256 = "7" * 64


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    images = {"face": random.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)}
    table = random.normal(size=(3, 256)).astype(np.float32)
    outputs = {"age": np.array([30.5, 41.0], np.float32)}
    write_pack(tmp_path, _SHA256, images, table, outputs, {"a": 0.1})
    return tmp_path


def test_a_pack_reads_back(folder):
    pack = golden.read(folder)
    assert (pack.model, pack.samples) == ("ssrnet", ("0", "1"))
    assert pack.outputs["age"].tolist() == [[30.5], [41.0]]
    assert pack.specs == {"age": Output("age", "years")}
    assert pack.tolerances == {"a": {"age": 0.1}}


def test_the_table_maps_the_pixels_of_each_channel(folder):
    pack = golden.read(folder)
    nhwc, nchw = pack.tensors("NHWC")["face"], pack.tensors("NCHW")["face"]
    assert nhwc.shape == (2, 1, 4, 5, 3)
    assert nchw.shape == (2, 1, 3, 4, 5)
    assert nhwc.dtype == nchw.dtype == np.float32
    for channel in range(3):
        expected = pack.table[channel][pack.images["face"][1, :, :, channel]]
        np.testing.assert_array_equal(nhwc[1, 0, :, :, channel], expected)
        np.testing.assert_array_equal(nchw[1, 0, channel], expected)


def _pack_of(folder, contract, chip, colours):
    """A pack of one chip, in the contract's colours."""
    ordered = chip[..., ::-1] if contract.color_order == "RGB" else chip
    outputs = {"age": np.zeros(1, np.float32)}
    images = {contract.input_names[0]: ordered[np.newaxis]}
    write_pack(folder, _SHA256, images, contract.table()[0].T, outputs, colours=colours)
    return golden.read(folder)


@pytest.mark.parametrize("model", ["ssrnet", "mobileagenet"])
def test_pictures_are_the_chips_themselves_in_rgb(model, tmp_path):
    contract = registry.get(model).contract
    shape = (contract.height, contract.width, 3)
    chip = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pack = _pack_of(tmp_path, contract, chip, contract.color_order)
    (picture,) = pack.inputs(contract.of_images()).values()
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[0, 0], chip[..., ::-1])
    (tensor,) = pack.inputs(contract).values()
    np.testing.assert_array_equal(tensor[0], contract.tensor(chip))


def test_a_pack_of_unknown_colours_has_no_pictures(tmp_path):
    contract = registry.get("ssrnet").contract
    pack = _pack_of(tmp_path, contract, np.zeros((64, 64, 3), np.uint8), None)
    assert pack.inputs(contract)
    with pytest.raises(UsageError, match="order of its colours") as error:
        pack.inputs(contract.of_images())
    assert "parity freeze" in error.value.fix


def test_colours_of_another_name_are_refused(folder):
    path = folder / "golden.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "color_order": "YUV"}))
    with pytest.raises(UsageError, match="golden"):
        golden.read(folder)


def test_tensors_match_the_contract(tmp_path):
    contract = registry.get("mobileagenet").contract
    chip = np.random.default_rng(0).integers(
        0, 256, (contract.height, contract.width, 3), dtype=np.uint8
    )
    ordered = chip[..., ::-1] if contract.color_order == "RGB" else chip
    write_pack(
        tmp_path,
        _SHA256,
        {contract.input_names[0]: ordered[np.newaxis]},
        contract.table()[0].T,
        {"age": np.zeros(1, np.float32)},
    )
    tensors = golden.read(tmp_path).tensors(contract.layout)[contract.input_names[0]]
    np.testing.assert_array_equal(tensors[0], contract.tensor(chip))


def test_a_folder_without_a_pack_has_none(tmp_path):
    assert golden.read_if_there(tmp_path) is None
    with pytest.raises(UsageError, match="no golden pack"):
        golden.read(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda index: index.update(schema_version=9), "schema version 9"),
        (lambda index: index["samples"].append("2"), "must be uint8"),
        (lambda index: index["inputs"][0].update(dtype="float32"), "must be uint8"),
        (lambda index: index["inputs"][0].update(shape=[2, 4, 6, 3]), "bytes"),
        (lambda index: index["inputs"][0].update(shape=[2, 4, 3]), "must be uint8 of shape"),
        (lambda index: index["inputs"].append(index["inputs"][0]), "each with its own name"),
        (lambda index: index.update(outputs=[]), "at least one output"),
        (lambda index: index["outputs"][0].update(file="none.f32"), "none.f32"),
        (lambda index: index["table"].update(file="../table.f32"), "'../table.f32'"),
        (lambda index: index["tolerances"].update(b={"max": -1}), "less than 0"),
    ],
)
def test_an_invalid_index_is_rejected(folder, damage, message):
    path = folder / "golden.json"
    index = json.loads(path.read_text())
    damage(index)
    path.write_text(json.dumps(index))
    with pytest.raises(UsageError) as rejected:
        golden.read(folder)
    assert message in str(rejected.value)
    assert "agecompact parity freeze" in rejected.value.fix


def test_lines_that_name_another_file_are_rejected(folder):
    path = folder / "golden.txt"
    path.write_text(path.read_text().replace("table table.f32", "table ../table.f32"))
    with pytest.raises(UsageError, match=r"golden\.txt names other files"):
        golden.read(folder)


def test_a_pack_with_a_link_is_rejected(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "age.f32"
    (folder / "age.f32").rename(elsewhere)
    (folder / "age.f32").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="is a link"):
        golden.read(folder)


def test_nan_is_rejected(folder):
    (folder / "age.f32").write_bytes(np.array([np.nan, 1], "<f4").tobytes())
    with pytest.raises(UsageError, match="contains NaN or Inf"):
        golden.read(folder)
