"""A contract takes the layout, dtype, quantisation and names of a file, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agecompact.contract import Contract, Crop, Output, Quantization, Reading
from agecompact.runtimes.base import Interface, Port
from parity_tests.fitting import check_comparable, fitted, paired
from parity_tests.results import Failure

AGE, GENDER = Output("age", "years"), Output("gender", "score", size=2)
CONTRACT = Contract((Crop("face"),), 64, 48, "RGB", (AGE, GENDER))
GREY = replace(CONTRACT, color_order="GREY", mean=(), std=())
IMAGE = Port((1, 3, 64, 48), "float32")
OUTPUTS = {"age": Port((1, 1), "float32"), "gender": Port((1, 2), "float32")}
STEPS = Quantization(0.5, 3)


def with_image(*shape: int | None, dtype: str = "float32", steps: Quantization | None = None):
    return Interface({"x": Port(shape, dtype, steps)}, OUTPUTS)


def with_outputs(**sizes: int | None) -> Interface:
    return Interface({"x": IMAGE}, {n: Port((1, size), "float32") for n, size in sizes.items()})


@pytest.mark.parametrize(
    ("contract", "shape", "layout"),
    [
        (CONTRACT, (1, 3, 64, 48), "NCHW"),
        (CONTRACT, (1, 64, 48, 3), "NHWC"),
        (GREY, (1, 1, 64, 48), "NCHW"),
        (GREY, (1, 64, 48, 1), "NHWC"),
        # Three rows of three channels.
        (replace(CONTRACT, height=3), (1, 3, 48, 3), "NHWC"),
        (CONTRACT, (None, None, None, 3), "NHWC"),
        (CONTRACT, (None, 3, None, None), "NCHW"),
        # The file leaves all open.
        (CONTRACT, (None, None, None, None), "NCHW"),
        (replace(CONTRACT, layout="NHWC"), (None, None, None, None), "NHWC"),
        # Of another size, the channels tell.
        (CONTRACT, (1, 32, 32, 3), "NHWC"),
        (CONTRACT, (1, 3, 32, 32), "NCHW"),
    ],
)
def test_the_layout_is_that_of_the_shape(contract: Contract, shape, layout: str) -> None:
    made = fitted(contract, with_image(*shape)).contract
    assert made.layout == layout
    assert made.input_names == ("x",)


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int8"])
def test_the_dtype_and_the_quantisation_are_the_files(dtype: str) -> None:
    steps = None if dtype == "float16" else STEPS
    made = fitted(CONTRACT, with_image(1, 3, 64, 48, dtype=dtype, steps=steps))
    assert (made.contract.dtype, made.contract.quantization) == (dtype, steps)
    assert f"input 'x' is {dtype}" in made.notes[0]


def test_a_contract_of_levels_gives_levels_to_a_quantised_input() -> None:
    levels = replace(CONTRACT, dtype="uint8")
    made = fitted(levels, with_image(1, 3, 64, 48, dtype="uint8", steps=STEPS))
    assert made.contract.takes_levels
    assert made.notes == ()


def test_levels_that_the_contract_does_not_ask_for_are_stated() -> None:
    made = fitted(CONTRACT, with_image(1, 3, 64, 48, dtype="uint8"))
    assert made.contract.takes_levels
    assert made.notes == ("input 'x' is uint8 without a quantisation: it gets levels, 0 to 255",)


def test_the_quantisation_of_the_file_counts() -> None:
    interface = with_image(1, 3, 64, 48, dtype="int8", steps=STEPS)
    near = replace(CONTRACT, dtype="int8", quantization=Quantization(0.50001, 3))
    assert fitted(near, interface).notes == ()
    wrong = replace(CONTRACT, dtype="int8", quantization=Quantization(0.5, 4))
    made = fitted(wrong, interface)
    assert made.contract.quantization == STEPS
    (note,) = made.notes
    assert "scale 0.5 and zero point 3, which counts" in note


@pytest.mark.parametrize(
    ("interface", "kind", "reason"),
    [
        (Interface({}, OUTPUTS), "names", "no inputs"),
        (with_image(1, 3, 64, 48, dtype="int64"), "dtypes", "int64"),
        (with_image(1, 3, 64, 48, dtype="int8"), "dtypes", "does not say what its integers mean"),
        (
            Interface({"a": IMAGE, "b": replace(IMAGE, dtype="float16")}, OUTPUTS),
            "dtypes",
            "'a' is float32 and 'b' is float16",
        ),
        (with_outputs(a=1, b=1), "names", "'age', and not exactly one of 1 value"),
        (with_outputs(age=1), "names", "it has no others"),
        (with_outputs(age=1, other=3), "names", r"other \(1, 3\)"),
    ],
)
def test_what_no_contract_fits_is_a_failure(interface: Interface, kind: str, reason: str) -> None:
    with pytest.raises(Failure, match=reason) as failure:
        fitted(CONTRACT, interface)
    assert failure.value.kind == kind


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ({"gender": 2, "age": 1}, ("age", "gender")),
        ({"b": 2, "a": 1}, ("a", "b")),
        ({"age": 1, "b": 2}, ("age", "b")),
        # A feature vector besides.
        ({"features": 512, "b": 2, "a": 1}, ("a", "b")),
    ],
)
def test_outputs_are_found_by_name_or_by_size(sizes, names) -> None:
    made = fitted(CONTRACT, with_outputs(**sizes))
    assert made.contract.output_names == names
    assert [output.unit for output in made.contract.outputs] == ["years", "score"]
    changed = sum(name not in ("age", "gender") for name in names)
    assert len(made.notes) == changed


@pytest.mark.parametrize("size", [10, None])
def test_the_only_output_has_the_size_of_the_file(size: int | None) -> None:
    single = replace(CONTRACT, outputs=(AGE,))
    (output,) = fitted(single, with_outputs(age=size)).contract.outputs
    assert output.size == (size or 1)


def test_a_size_that_the_contract_states_is_kept() -> None:
    bins = Output("age", "years", size=101, reading=Reading("expectation"))
    single = replace(CONTRACT, outputs=(bins,))
    assert fitted(single, with_outputs(age=100)).contract.outputs == (bins,)


def test_outputs_are_paired_by_name_or_by_place() -> None:
    turned = replace(CONTRACT, outputs=(GENDER, AGE))
    others = replace(CONTRACT, outputs=(replace(AGE, name="a"), replace(GENDER, name="b")))
    more = replace(CONTRACT, outputs=(Output("pose", "degrees", size=3), AGE, GENDER))
    assert paired(CONTRACT, turned) == (1, 0)
    assert paired(CONTRACT, others) == (0, 1)
    assert paired(CONTRACT, more) == (1, 2)
    with pytest.raises(Failure, match="age, gender") as failure:
        paired(more, CONTRACT)
    assert failure.value.kind == "names"


def test_answers_are_compared_however_many_values_they_are_read_from() -> None:
    single = replace(CONTRACT, outputs=(AGE,))
    bins = Output("bins", "years", size=101, reading=Reading("softmax-expectation"))
    check_comparable(single, replace(CONTRACT, outputs=(bins,)))
    classes = replace(bins, reading=Reading("argmax"))
    with pytest.raises(Failure, match="'bins' has 101 values, 'age' of the reference has 1 value"):
        check_comparable(single, replace(CONTRACT, outputs=(classes,)))
