import dataclasses
import json
import string

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.contract import Contract, Crop, Output, Quantization, Reading
from agecompact.errors import UsageError
from agecompact.models.builtin import C3AE_CROPS, MODELS
from agecompact.serialization import structure, unstructure

EDGES = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=2, unique=True).map(sorted)
NUMBERS = st.floats(-1e6, 1e6)
POSITIVE = st.floats(1e-6, 1e6)
NAMES = st.text(string.ascii_letters + "_ é年", min_size=1, max_size=12)


@st.composite
def outputs(draw):
    kind = draw(st.sampled_from(["value", "sigmoid", "expectation", "argmax"]))
    size = draw(st.integers(2 if kind in ("expectation", "argmax") else 1, 5))
    bounds = st.none() | NUMBERS
    return Output(
        draw(NAMES),
        draw(st.sampled_from(["years", "score", "degrees", "furlongs"])),
        draw(bounds),
        draw(bounds),
        size=size,
        labels=draw(st.just(()) | st.tuples(*[NAMES] * size)),
        reading=Reading(kind, draw(POSITIVE), draw(NUMBERS)),
    )


@st.composite
def contracts(draw):
    crops = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        (left, right), (top, bottom) = draw(EDGES), draw(EDGES)
        crops.append(Crop(name, left, top, right, bottom))
    color_order = draw(st.sampled_from(["BGR", "RGB", "GREY"]))
    channels = 1 if color_order == "GREY" else 3
    dtype = draw(st.sampled_from(["float32", "float16", "uint8", "int8"]))
    quantised = dtype == "int8" or (dtype == "uint8" and draw(st.booleans()))
    quantization = Quantization(draw(POSITIVE), draw(st.integers(-128, 255)))
    return Contract(
        crops=tuple(crops),
        height=draw(st.integers(1, 1024)),
        width=draw(st.integers(1, 1024)),
        color_order=color_order,
        outputs=tuple(
            draw(st.lists(outputs(), min_size=1, max_size=3, unique_by=lambda o: o.name))
        ),
        value_range=draw(st.tuples(NUMBERS, NUMBERS)),
        mean=draw(st.tuples(*[NUMBERS] * channels)),
        std=draw(st.tuples(*[POSITIVE] * channels)),
        layout=draw(st.sampled_from(["NCHW", "NHWC"])),
        dtype=dtype,
        interpolation=draw(st.sampled_from(["area", "linear"])),
        quantization=quantization if quantised else None,
    )


@given(contracts())
def test_json_round_trip(contract):
    content = json.loads(json.dumps(unstructure(contract)))
    assert structure(content, Contract, where="the contract") == contract


CONTRACT = MODELS["c3ae"].contract


@pytest.mark.parametrize("model_id", MODELS)
def test_a_contract_that_version_1_holds_is_written_as_version_1(model_id):
    content = unstructure(MODELS[model_id].contract)
    assert content["schema_version"] == 1
    assert set(content["output"]) == {"name", "unit", "minimum", "maximum"}
    assert not {"outputs", "quantization"} & content.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": (Output("age", "years"), Output("gender", "score"))},
        {"outputs": (Output("pose", "degrees", size=3),)},
        {"outputs": (Output("age", "years", reading=Reading(scale=100.0)),)},
        {"outputs": (Output("age", "furlongs"),)},
        {"color_order": "GREY", "mean": (), "std": ()},
        {"dtype": "float16"},
        {"dtype": "int8", "quantization": Quantization(0.5, 3)},
    ],
)
def test_other_contracts_are_written_as_version_2(changes):
    assert unstructure(dataclasses.replace(CONTRACT, **changes))["schema_version"] == 2


@pytest.mark.parametrize("version", [0, 3, "1", True, None])
def test_other_versions_are_refused(version):
    content = {**unstructure(CONTRACT), "schema_version": version}
    with pytest.raises(UsageError, match="schema version"):
        structure(content, Contract, where="the contract")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("color_order", "GBR", "'GBR' is none of BGR, RGB, GREY at color_order"),
        ("height", 64.5, "64.5 is not an integer at height"),
        ("height", 0, "from 1 to 1024 pixels"),
        ("width", 50_000, "from 1 to 1024 pixels"),
        ("std", [1, 1], "needs 3 numbers in its std"),
        ("std", [1, 0, 1], "std must be positive"),
        ("crops", [], "1 to 16 crops"),
        ("crops", [{"name": str(i)} for i in range(17)], "1 to 16 crops"),
        ("crops", [{"name": "a"}, {"name": "a"}], "each crop its own name"),
        ("crops", [{"name": "a", "left": 0.5, "right": 0.5}], "box"),
    ],
)
def test_an_invalid_field_is_named(field, value, message):
    with pytest.raises(UsageError, match=message):
        structure({**unstructure(CONTRACT), field: value}, Contract, where="the contract")


def contract_for(side=4, **changes):
    base = Contract((Crop("face"),), side, side, "BGR", (Output("age", "years"),))
    return dataclasses.replace(base, **changes)


def image(height=8, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_raw_bgr_is_unchanged():
    chip = image(4, 4)
    tensor = contract_for().tensor(chip)
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, chip.transpose(2, 0, 1)[None])


def test_rgb_reverses_the_channels():
    chip = image(4, 4)
    bgr, rgb = contract_for().tensor(chip), contract_for(color_order="RGB").tensor(chip)
    np.testing.assert_array_equal(rgb, bgr[:, ::-1])


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_nhwc_holds_the_same_numbers(dtype):
    settings = {"mean": (1, 2, 3), "std": (4, 5, 6), "dtype": dtype, "color_order": "RGB"}
    nchw, nhwc = contract_for(**settings), contract_for(**settings, layout="NHWC")
    chip = image()
    assert nchw.tensor(chip).shape == nchw.input_shape == (1, 3, 4, 4)
    assert nhwc.tensor(chip).shape == nhwc.input_shape == (1, 4, 4, 3)
    np.testing.assert_array_equal(nhwc.tensor(chip), nchw.tensor(chip).transpose(0, 2, 3, 1))
    assert nhwc.tensor(chip).dtype == dtype


def test_mean_and_std_apply_in_the_colour_order_and_value_range():
    chip = np.full((4, 4, 3), (0, 127.5, 255), np.float64).round().astype(np.uint8)
    tensor = contract_for(
        color_order="RGB", value_range=(-1.0, 1.0), mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0)
    ).tensor(chip)
    expected = [(1 - 0.1) / 0.5, (128 / 127.5 - 1 - 0.2) / 1.0, (-1 - 0.3) / 2.0]
    np.testing.assert_allclose(tensor[0, :, 0, 0], expected, rtol=1e-6)


def test_uint8_inputs_are_not_normalised():
    chip = image(4, 4)
    tensor = contract_for(dtype="uint8", mean=(9, 9, 9), std=(2, 2, 2)).tensor(chip)
    np.testing.assert_array_equal(tensor[0], chip.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("interpolation", "flag"), [("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR)]
)
def test_resizing_matches_opencv(interpolation, flag):
    chip = image(31, 47)
    expected = cv2.resize(chip, (5, 4), interpolation=flag)
    tensor = contract_for(width=5, interpolation=interpolation, layout="NHWC").tensor(chip)
    np.testing.assert_array_equal(tensor[0], expected)


def test_pictures_of_a_grey_network_are_grey():
    grey = dataclasses.replace(CONTRACT, color_order="GREY", mean=(), std=()).of_images()
    assert grey.color_order == "GREY"
    assert grey.input_shape == (1, 64, 64, 1)


@pytest.mark.parametrize("model_id", MODELS)
def test_pictures_are_the_image_in_rgb(model_id):
    contract = MODELS[model_id].contract
    pictures = contract.of_images()
    assert pictures.takes_levels
    assert (pictures.crops, pictures.outputs) == (contract.crops, contract.outputs)
    shape = (contract.height, contract.width, 3)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(pictures.tensor(image)[0], image[..., ::-1])


def test_crops_are_cut_before_resizing_in_their_order():
    chip = image(200, 200)
    crops = CONTRACT.crop(chip)
    assert list(crops) == ["outer", "middle", "inner"] == list(CONTRACT.input_names)
    assert crops["outer"] is not chip
    np.testing.assert_array_equal(crops["outer"], chip)
    np.testing.assert_array_equal(crops["middle"], chip[24:176, 24:176])
    np.testing.assert_array_equal(crops["inner"], chip[48:152, 48:152])
    tensors = CONTRACT.apply(chip)
    for name, crop in crops.items():
        np.testing.assert_array_equal(tensors[name], CONTRACT.tensor(crop))


def test_a_crop_is_cut_at_its_edges():
    contract = contract_for(crops=(Crop("part", left=0.1, top=0.2, right=0.5, bottom=0.9),))
    chip = image(100, 100)
    np.testing.assert_array_equal(contract.crop(chip)["part"], chip[20:90, 10:50])


@given(st.integers(1, 40), st.integers(1, 40))
def test_c3ae_crops_exist_for_the_smallest_chip(height, width):
    contract = contract_for(crops=C3AE_CROPS)
    for tensor in contract.apply(image(height, width)).values():
        assert tensor.shape == (1, 3, 4, 4)


@pytest.mark.parametrize("edges", [(0, 0, 0, 1), (0.5, 0, 0.4, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.1)])
def test_a_crop_must_be_a_box_inside_the_chip(edges):
    with pytest.raises(UsageError, match="not a box"):
        Crop("face", *edges)


@pytest.mark.parametrize(
    "chip",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_other_arrays_than_images_are_rejected(chip):
    with pytest.raises(UsageError, match="uint8 HWC with three channels"):
        contract_for().tensor(chip)


def test_an_image_may_be_a_view():
    chip = image()
    flipped = contract_for(8).tensor(chip[:, ::-1])
    np.testing.assert_array_equal(flipped, contract_for(8).tensor(chip)[..., ::-1])


def test_a_grey_input_is_the_luma_of_the_image():
    chip = image(4, 4)
    tensor = contract_for(color_order="GREY", mean=(), std=()).tensor(chip)
    assert tensor.shape == (1, 1, 4, 4)
    luma = cv2.resize(chip, (4, 4)) @ np.array([0.114, 0.587, 0.299])
    np.testing.assert_allclose(tensor[0, 0], luma, atol=1)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_quantised_input_restores_to_the_real_one(dtype):
    settings = {"value_range": (-1.0, 1.0), "color_order": "RGB"}
    chip, real = image(4, 4), contract_for(**settings)
    zero_point = 3 if dtype == "int8" else 128
    quantization = Quantization(2 / 255, zero_point)
    tensor = contract_for(**settings, dtype=dtype, quantization=quantization).tensor(chip)
    assert tensor.dtype == dtype
    restored = (tensor.astype(np.float64) - zero_point) * quantization.scale
    limits = (np.array([np.iinfo(dtype).min, np.iinfo(dtype).max]) - zero_point) * 2 / 255
    np.testing.assert_allclose(
        restored, np.clip(real.tensor(chip), *limits), atol=quantization.scale / 2 + 1e-6
    )


def test_a_half_precision_input_is_the_rounded_one():
    chip, settings = image(4, 4), {"value_range": (0.0, 1.0)}
    half = contract_for(**settings, dtype="float16").tensor(chip)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, contract_for(**settings).tensor(chip).astype(np.float16))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "int8"}, "needs its quantization"),
        ({"dtype": "float32", "quantization": Quantization(1.0, 0)}, "not quantised"),
        ({"outputs": ()}, "1 to 16 outputs"),
        ({"outputs": (Output("a", "years"), Output("a", "years"))}, "each output its own name"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        contract_for(**changes)
