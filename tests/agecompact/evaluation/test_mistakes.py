"""Each mistake changes what it is about, in inputs of the right form."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

from agecompact.contract import Contract, Crop, Image, Output, Quantization
from agecompact.evaluation import distortions, mistakes
from agecompact.evaluation.mistakes import MISTAKES, Mistake
from tests.agecompact.data.synthetic import picture

AGE = (Output("age", "years"),)
LEVELS = Contract((Crop("face"),), 64, 64, "BGR", AGE)
IMAGENET = replace(
    LEVELS,
    height=80,
    color_order="RGB",
    value_range=(0.0, 1.0),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
CONTRACTS = {
    "levels": LEVELS,
    "imagenet": IMAGENET,
    "nhwc": replace(LEVELS, layout="NHWC"),
    "crops": replace(LEVELS, crops=(Crop("outer"), Crop("inner", 0.2, 0.2, 0.8, 0.8))),
    "bilinear": replace(LEVELS, interpolation="linear"),
    "signed": replace(LEVELS, value_range=(-1.0, 1.0)),
    "pictures": LEVELS.of_images(),
    "grey": replace(LEVELS, color_order="GREY", mean=(), std=()),
    "int8": replace(LEVELS, dtype="int8", quantization=Quantization(1.0, -128)),
    "half": replace(LEVELS, dtype="float16"),
}
CHIPS = [picture(seed) for seed in (1, 2)]


def names(contract: Contract) -> set[str]:
    return {each.name for each in mistakes.of(contract)}


def of(name: str) -> Mistake:
    (found,) = (each for each in MISTAKES if each.name == name)
    return found


def given(name: str, contract: Contract = LEVELS) -> np.ndarray:
    mistake = of(name)
    assert mistake.applies(contract)
    return mistake.inputs(CHIPS, contract)[contract.input_names[0]]


def test_names_are_unique() -> None:
    assert len({each.name for each in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_inputs_have_the_form_of_the_contract_and_are_wrong(contract: Contract) -> None:
    right = contract.batch(CHIPS)
    found = mistakes.of(contract)
    assert len(found) >= 10
    before = [chip.copy() for chip in CHIPS]
    texts = set()
    for mistake in found:
        wrong = mistake.inputs(CHIPS, contract)
        assert list(wrong) == list(right), mistake.name
        for name, values in wrong.items():
            assert values.shape == right[name].shape, mistake.name
            assert values.dtype == right[name].dtype, mistake.name
        assert any((wrong[n] != right[n]).any() for n in right), mistake.name
        again = mistake.inputs(CHIPS, contract)
        assert all((again[n] == wrong[n]).all() for n in right), mistake.name
        texts.add(mistake.text(contract))
    assert len(texts) == len(found)
    assert all((chip == old).all() for chip, old in zip(CHIPS, before, strict=True))


def test_only_what_an_app_with_the_contract_can_do_is_a_mistake() -> None:
    grey, pictures = names(CONTRACTS["grey"]), names(CONTRACTS["pictures"])
    assert not grey & {"colour-order", "grey", "layout", "imagenet"}
    assert not {name for name in pictures if name.startswith("range")}
    assert "video-range" in pictures
    assert {"range-0-1", "range-signed", "imagenet"} <= names(LEVELS)
    assert not {"range-0-255", "no-mean-std", "raw-levels", "crops-whole"} & names(LEVELS)
    assert {"range-0-255", "no-mean-std", "raw-levels"} <= names(IMAGENET)
    assert not {"range-0-1", "range-signed", "imagenet"} & names(IMAGENET)
    assert {"range-0-1", "range-0-255"} <= names(CONTRACTS["signed"])
    assert "range-signed" not in names(CONTRACTS["signed"])
    assert "resize-area" in names(CONTRACTS["bilinear"])
    assert "resize-linear" not in names(CONTRACTS["bilinear"])
    assert {"crops-whole", "crops-reversed"} <= names(CONTRACTS["crops"])


def test_colours_are_in_the_other_order() -> None:
    right = LEVELS.batch(CHIPS)["face"]
    np.testing.assert_array_equal(given("colour-order"), right[:, ::-1])
    assert of("colour-order").text(LEVELS) == "gives RGB for BGR"
    # Mean and deviation stay where the channels of the tensor are.
    raw = (cv2.resize(CHIPS[0], (64, 80), interpolation=cv2.INTER_AREA)) / 255.0
    wanted = (raw - IMAGENET.mean) / IMAGENET.std
    found = given("colour-order", IMAGENET)[0]
    np.testing.assert_allclose(found, wanted.transpose(2, 0, 1), atol=1e-5)


def test_ranges_are_those_that_the_text_says() -> None:
    right = LEVELS.batch(CHIPS)["face"]
    np.testing.assert_allclose(given("range-0-1"), right / 255, atol=1e-6)
    np.testing.assert_allclose(given("range-signed"), right / 127.5 - 1, atol=1e-6)
    assert of("range-0-1").text(LEVELS) == "gives 0..1 for 0..255"
    mean, std = (np.reshape(each, (3, 1, 1)) for each in (IMAGENET.mean, IMAGENET.std))
    unit = IMAGENET.batch(CHIPS)["face"] * std + mean
    for name, wanted in {
        "range-0-255": (255 * unit - mean) / std,
        "no-mean-std": unit,
        "raw-levels": 255 * unit,
        "range-signed-for-normalised": 2 * unit - 1,
    }.items():
        np.testing.assert_allclose(given(name, IMAGENET), wanted, atol=2e-3, err_msg=name)
    assert of("range-0-255").text(IMAGENET) == "gives 0..255 for 0..1"


def test_a_quantised_tensor_gets_what_it_can_hold() -> None:
    found = given("range-0-1", CONTRACTS["int8"])
    assert set(np.unique(found)) == {-128, -127}


def test_the_layout_is_read_in_the_other_order() -> None:
    chips_last = replace(LEVELS, layout="NHWC").batch(CHIPS)["face"]
    np.testing.assert_array_equal(given("layout").ravel(), chips_last.ravel())
    nhwc = CONTRACTS["nhwc"]
    chips_first = LEVELS.batch(CHIPS)["face"]
    np.testing.assert_array_equal(given("layout", nhwc).ravel(), chips_first.ravel())


def test_crops_are_the_whole_face_or_in_reverse() -> None:
    contract = CONTRACTS["crops"]
    right = contract.batch(CHIPS)
    whole = of("crops-whole").inputs(CHIPS, contract)
    for values in whole.values():
        np.testing.assert_array_equal(values, right["outer"])
    reverse = of("crops-reversed").inputs(CHIPS, contract)
    np.testing.assert_array_equal(reverse["outer"], right["inner"])
    np.testing.assert_array_equal(reverse["inner"], right["outer"])


def test_antialiasing_is_that_of_torch() -> None:
    tensor = torch.from_numpy(CHIPS[0]).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(tensor, (64, 64), mode="bilinear", antialias=True)
    np.testing.assert_allclose(given("resize-linear-antialiased")[0], wanted[0], atol=1.01)
    without = torch.nn.functional.interpolate(tensor, (64, 64), mode="bilinear")
    np.testing.assert_allclose(given("resize-linear")[0], without[0], atol=1.01)
    # The nearest pixel is one of the picture's.
    assert np.isin(given("resize-nearest")[0], CHIPS[0]).all()


def ramp() -> Image:
    """200 x 200; the first channel is the column, the second the row."""
    rows, columns = np.mgrid[:200, :200]
    return np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)


def test_frames_show_another_part_of_the_picture() -> None:
    tight = distortions.tighter(ramp(), 0.1)
    assert tight.shape == (180, 180, 3)
    assert (tight[0, 0, 0], tight[0, 0, 1], tight[-1, -1, 0]) == (10, 10, 189)
    wide = distortions.wider(ramp(), 0.1)
    assert wide.shape == (220, 220, 3)
    assert (wide[10, 10, 0], wide[0, 0, 0], wide[-1, -1, 1]) == (0, 0, 199)
    right = distortions.moved(ramp(), right=0.1)
    assert (right[0, 0, 0], right[0, -1, 0], right[7, 0, 1]) == (20, 199, 7)
    low = distortions.moved(ramp(), down=0.1)
    assert (low[0, 0, 1], low[-1, 0, 1], low[0, 7, 0]) == (20, 199, 7)


def test_turns_are_around_the_centre() -> None:
    # A quarter, whose result is known.
    np.testing.assert_allclose(distortions.turned(ramp(), 90.0), distortions.lying(ramp()), atol=1)
    np.testing.assert_array_equal(distortions.lying(ramp())[:, 0, 0], np.arange(199, -1, -1))
    turned = distortions.turned(ramp(), 10.0).astype(int)
    # Right of the centre, a picture that turned anticlockwise shows what was below.
    assert turned[100, 160, 1] == pytest.approx(99.5 + 60 * np.sin(np.radians(10)), abs=1.5)


def test_pictures_are_compressed_grey_or_squeezed() -> None:
    content = BytesIO()
    PIL.Image.fromarray(CHIPS[0][..., ::-1]).save(content, "JPEG", quality=50)
    wanted = np.asarray(PIL.Image.open(content))[..., ::-1].astype(int)
    assert np.abs(distortions.as_jpeg(CHIPS[0], 50) - wanted).mean() < 1.5
    grey = distortions.grey(CHIPS[0]).astype(float)
    luma = CHIPS[0] @ [0.114, 0.587, 0.299]
    np.testing.assert_allclose(grey, np.repeat(luma[..., np.newaxis], 3, axis=2), atol=1)
    ends = np.array([[[0, 255, 128]]], np.uint8)
    np.testing.assert_array_equal(distortions.in_video_range(ends), [[[16, 235, 126]]])
