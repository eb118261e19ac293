"""Pairing by numbers and by order, and its refusals, on layers made from the networks."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights.importers import layouts, ssrnet
from agecompact.weights.importers.departures import nearest
from agecompact.weights.importers.topology import (
    Found,
    Habits,
    Known,
    Layer,
    match_layers,
    stem,
)

BUILT, SAVED = ssrnet.HABITS.orders


def known(model_id: str = "ssrnet") -> Known:
    habits = ssrnet.HABITS if "ssrnet" in model_id else Habits()
    return layouts.known(registry.build(model_id), f"'{model_id}'", habits, wired=False)


def layer(name: str, network: Known, module: str) -> Layer:
    shapes = network.modules[module]
    return Layer(name, {variable: np.zeros(shape, np.float32) for variable, shape in shapes})


def in_order(network: Known, order: Sequence[str], name: Callable[[int, str], str]) -> list[Layer]:
    return [layer(name(i, module), network, module) for i, module in enumerate(order)]


def anonymous(index: int, module: str) -> str:  # noqa: ARG001
    return f"{'qwertyuiop'[index % 10]}{'asdfghjkl'[index // 10]}x"


def numbered(index: int, module: str) -> str:  # noqa: ARG001
    return f"layer_{index}"


@pytest.mark.parametrize("order", [BUILT, SAVED, tuple(known().modules)])
@pytest.mark.parametrize("name", [anonymous, numbered])
def test_each_known_order_pairs_layers_of_any_names(order, name):
    network = known()
    layers = in_order(network, order, name)
    pairs = match_layers(Found("file", tuple(layers), ordered=True), network).pairs
    assert [pairs[module] for module in order] == layers


def test_position_counts_only_if_the_file_lists_its_layers():
    network = known()
    layers = in_order(network, BUILT, anonymous)
    with pytest.raises(UsageError, match="cannot tell the layers of file apart"):
        match_layers(Found("file", tuple(layers), ordered=False), network)


@pytest.mark.parametrize("order", [BUILT, SAVED, tuple(known().modules)])
@pytest.mark.parametrize("ordered", [True, False])
def test_numbers_pair_layers_in_any_order(order, ordered):
    network = known()
    layers = in_order(network, order, numbered)
    mixed = random.Random(0).sample(layers, len(layers))
    pairs = match_layers(Found("file", tuple(mixed), ordered), network).pairs
    assert [pairs[module] for module in order] == layers


def test_numbers_of_another_order_do_not_pair():
    """Stage by stage, each with x before s for the projections, but not for the convolutions."""
    order = list(BUILT)
    for k in range(3):
        s, x = (order.index(f"stages.{k}.{branch}.project.1") for branch in "sx")
        order[s], order[x] = order[x], order[s]
    network = known()
    renamed = {module: i for i, module in enumerate(order)}
    # The swap is invisible in the shapes: the file looks like one of the repository.
    layers = in_order(network, order, anonymous)
    pairs = match_layers(Found("file", tuple(layers), ordered=True), network).pairs
    assert pairs["stages.0.s.project.1"] is layers[renamed["stages.0.x.project.1"]]
    # If the convolutions are swapped too, it does not, and is refused.
    for k in range(3):
        s, x = (order.index(f"stages.{k}.{branch}.reduce") for branch in "sx")
        order[s], order[x] = order[x], order[s]
    order = [m for m in order if m != "stages.0.delta"] + ["stages.0.delta"]
    layers = in_order(network, order, numbered)
    with pytest.raises(UsageError, match="cannot tell the layers of file apart"):
        match_layers(Found("file", tuple(layers), ordered=True), network)


def test_a_refusal_names_two_layers_and_what_they_could_be():
    network = known()
    layers = in_order(network, tuple(reversed(BUILT)), anonymous)
    with pytest.raises(UsageError) as caught:
        match_layers(Found("file", tuple(layers), ordered=True), network)
    swappable = [x for x in layers if x.signature == network.modules["stages.0.p"]]
    why = caught.value.why
    assert sum(f"'{x.name}'" in why for x in swappable) == 2
    assert "stages.0.p" in why
    assert "stages.2.eta" in why
    assert "could be swapped" in why


def test_names_against_the_order_are_refused():
    network = known("c3ae-plain")
    order = tuple(network.modules)
    layers = in_order(
        network, order, lambda _, module: module.replace("trunk.", "").replace(".", "")
    )
    layers = [Layer("".join(reversed(x.name)), x.arrays) for x in layers]
    names = [x.name for x in layers]
    one, other = names.index("vnoc1"), names.index("vnoc2")
    # `conv1` and `conv2` in the other order.
    names[one], names[other] = names[other], names[one]
    renamed = [
        Layer(stem_and_number(name), x.arrays) for name, x in zip(names, layers, strict=True)
    ]
    with pytest.raises(UsageError, match="file contradicts itself") as caught:
        match_layers(Found("file", tuple(renamed), ordered=True), network)
    assert "'conv_1' is trunk.1.conv" in caught.value.why
    assert "it is 'conv_2'" in caught.value.why


def stem_and_number(reversed_name: str) -> str:
    text = "".join(reversed(reversed_name))
    digits = "".join(c for c in text if c.isdigit())
    return f"{text.strip('0123456789')}_{digits}" if digits else text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv2d", "conv2d"),
        ("conv2d_7", "conv2d"),
        ("W1", "W"),
        ("x.0", "x"),
        ("7", ""),
        ("a1" + "0" * 5000, "a1" + "0" * 4991),
    ],
)
def test_stems(name, expected):
    assert stem(name) == expected


def refusal(layers: Sequence[Layer], *networks: Known, ordered: bool = True) -> str:
    return nearest(Found("file", tuple(layers), ordered), networks).why


@pytest.mark.parametrize("ordered", [True, False])
def test_the_nearest_network_and_where_it_parts(ordered):
    plain, full = known("c3ae-plain"), known("c3ae")
    layers = in_order(plain, tuple(plain.modules), anonymous)
    wide = Layer("wide", {"weight": np.zeros((13, 512)), "bias": np.zeros(13)})
    why = refusal([*layers[:-2], wide, layers[-1]], full, plain, ordered=ordered)
    assert "the nearest is 'c3ae-plain': 10 of its 11 layers match in order" in why
    if ordered:
        assert "'wide' (bias 13, weight 13x512)" in why
        assert "'features' (bias 12, weight 12x512) was expected" in why


def test_a_file_that_ends_early_and_one_that_goes_on():
    network = known("c3ae-plain")
    layers = in_order(network, tuple(network.modules), anonymous)
    assert "is its end, where 'age' (bias 1, weight 1x12) was expected" in refusal(
        layers[:-1], network
    )
    more = Layer("more", {"weight": np.zeros((2, 12))})
    assert "is 'more' (weight 2x12), where no further layer was expected" in refusal(
        [*layers, more], network
    )
