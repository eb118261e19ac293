"""A stored architecture decides, and another one is refused, on files written without Keras."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights.importers import from_keras, wiring
from agecompact.weights.importers.c3ae import layouts as c3ae_layouts
from agecompact.weights.importers.ssrnet import layouts as ssrnet_layouts
from agecompact.weights.importers.wiring import Node, fingerprints


def layer(kind: str, name: str, *inputs: str, **config: Any) -> dict[str, Any]:
    nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
    config["name"] = name
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": nodes}


def conv(name: str, source: str, **config: Any) -> dict[str, Any]:
    usual = {"strides": [1, 1], "padding": "valid", "dilation_rate": [1, 1], "activation": "linear"}
    return layer("Conv2D", name, source, **{**usual, **config})


def c3ae_architecture() -> dict[str, Any]:
    """The public layout without squeeze-and-excitation, as Keras 2 stores it."""
    trunk, last = [layer("InputLayer", "input_1")], "input_1"
    for i in (1, 2, 3, 4):
        trunk += [
            conv(f"conv{i}", last),
            layer("BatchNormalization", f"batch_normalization_{i}", f"conv{i}", epsilon=1e-3),
            layer("ReLU", f"re_lu_{i}", f"batch_normalization_{i}"),
        ]
        last = f"re_lu_{i}"
        if i < 4:
            pool = {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}
            trunk.append(layer("AveragePooling2D", f"pool_{i}", last, **pool))
            last = f"pool_{i}"
    trunk += [conv("conv5", last), layer("Reshape", "reshape_1", "conv5")]
    inner = {"layers": trunk, "output_layers": [["reshape_1", 0, 0]]}
    crops = ["input_2", "input_3", "input_4"]
    model = layer("Model", "model_1", **inner)
    model["inbound_nodes"] = [[[crop, 0, 0, {}]] for crop in crops]
    join = layer("Concatenate", "concatenate_1")
    join["inbound_nodes"] = [[["model_1", i, 0, {}] for i in (1, 2, 3)]]
    outer = [
        *(layer("InputLayer", crop) for crop in crops),
        *(model, join),
        layer("Flatten", "flatten_1", "concatenate_1"),
        layer("Dense", "W1", "flatten_1", activation="softmax"),
        layer("Dense", "age", "W1", activation="linear"),
    ]
    return layer("Model", "model_2", layers=outer, output_layers=[["age", 0, 0], ["W1", 0, 0]])


def by_name(architecture: dict[str, Any], name: str) -> dict[str, Any]:
    layers = architecture["config"]["layers"]
    trunk = next(x for x in layers if x["name"] == "model_1")["config"]["layers"]
    return next(found for found in (*layers, *trunk) if found["name"] == name)


@pytest.fixture
def write(c3ae_shapes, write_h5):
    """Writes a C3AE file with random weights and an architecture."""
    import h5py

    rng = np.random.default_rng(0)
    shapes = c3ae_shapes()
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    def written(architecture: dict[str, Any], swap: tuple[str, str] = ("", "")):
        names = {swap[0]: swap[1], swap[1]: swap[0]}
        moved = {}
        for path, array in arrays.items():
            *groups, scope, variable = path.split("/")
            moved["/".join((*groups, names.get(scope, scope), variable))] = array
        path = write_h5({name: array.shape for name, array in moved.items()}, **moved)
        with h5py.File(path, "a") as file:
            file.attrs["model_config"] = json.dumps(architecture)
        return path

    return written


def test_the_wiring_tells_layers_of_equal_shapes_apart(write):
    """Two convolutions exchange names, in the weights and in the architecture."""
    plain = from_keras(write(c3ae_architecture()), "c3ae").network
    text = json.dumps(c3ae_architecture())
    text = text.replace('"conv2"', '"x"').replace('"conv3"', '"conv2"').replace('"x"', '"conv3"')
    swapped = from_keras(write(json.loads(text), ("conv2", "conv3")), "c3ae").network
    for one, other in zip(plain.state_dict().values(), swapped.state_dict().values(), strict=True):
        np.testing.assert_array_equal(one, other)
    # The same weights with the first architecture are another network.
    exchanged = from_keras(write(c3ae_architecture(), ("conv2", "conv3")), "c3ae").network
    kernels = exchanged.trunk[1].conv.weight.detach(), plain.trunk[2].conv.weight.detach()
    np.testing.assert_array_equal(*kernels)


@pytest.mark.parametrize(
    ("name", "setting", "reasons"),
    [
        ("conv2", {"strides": [2, 2]}, ["'conv2' is stride 2, linear", "expected trunk.1.conv"]),
        ("conv3", {"padding": "same"}, ["'conv3' is padding same"]),
        ("conv4", {"activation": "tanh"}, ["'conv4' is tanh", "trunk.3.conv, linear"]),
        ("batch_normalization_2", {"epsilon": 1e-5}, ["epsilon 1e-05", "epsilon 0.001"]),
        ("re_lu_1", {"negative_slope": 0.1}, ["'batch_normalization_1' is", "another relu"]),
        ("pool_1", {"pool_size": [3, 3]}, ["'conv2' is linear, after average pool 3 stride 2"]),
        ("W1", {"activation": "sigmoid"}, ["'W1' is sigmoid", "expected w1, softmax"]),
    ],
)
def test_another_architecture_is_refused(name, setting, reasons, write):
    architecture = c3ae_architecture()
    by_name(architecture, name)["config"].update(setting)
    with pytest.raises(UsageError, match=r"the architecture in .* differs from 'c3ae'") as caught:
        from_keras(write(architecture), "c3ae")
    for reason in reasons:
        assert reason in caught.value.why


def test_another_connection_is_refused(write):
    """The fourth convolution reads the second block, not the third."""
    architecture = c3ae_architecture()
    by_name(architecture, "conv4")["inbound_nodes"] = [[["pool_2", 0, 0, {}]]]
    with pytest.raises(UsageError) as caught:
        from_keras(write(architecture), "c3ae")
    assert "reads 'model_1/batch_normalization_2'" in caught.value.why
    assert "reads 'trunk.2.bn'" in caught.value.why


def test_an_architecture_without_a_layer_of_the_weights_is_refused(write):
    architecture = c3ae_architecture()
    architecture["config"]["layers"].remove(by_name(architecture, "age"))
    with pytest.raises(UsageError, match="differs") as caught:
        from_keras(write(architecture), "c3ae")
    assert "10 layers with weights, the file stores weights of 11" in caught.value.why


def loop(architecture: dict[str, Any]) -> None:
    by_name(architecture, "conv1")["inbound_nodes"] = [[["conv5", 0, 0, {}]]]


def unknown_source(architecture: dict[str, Any]) -> None:
    by_name(architecture, "conv1")["inbound_nodes"] = [[["nothing", 0, 0, {}]]]


def everything_reads_everything(architecture: dict[str, Any]) -> None:
    """A small file that would make a million connections."""
    layers = architecture["config"]["layers"]
    names = [f"c{i}" for i in range(1000)]
    layers += [layer("Dense", name, "input_2") for name in names]
    layers.append(layer("Concatenate", "all", *names))
    layers += [layer("Dense", f"d{i}", "all") for i in range(1000)]


def no_number(architecture: dict[str, Any]) -> None:
    by_name(architecture, "batch_normalization_1")["config"]["epsilon"] = "small"


@pytest.mark.parametrize("damage", [loop, unknown_source, no_number, everything_reads_everything])
def test_a_damaged_architecture_is_refused(damage: Callable[[dict[str, Any]], None], write):
    architecture = c3ae_architecture()
    damage(architecture)
    with pytest.raises(UsageError, match="as a Keras HDF5 file"):
        from_keras(write(architecture), "c3ae")


def test_settings_that_are_not_stored_have_keras_defaults(write):
    architecture = c3ae_architecture()
    for name in ("conv1", "conv5", "batch_normalization_3", "pool_2"):
        config = by_name(architecture, name)["config"]
        for setting in ("strides", "padding", "dilation_rate", "epsilon", "pool_size"):
            config.pop(setting, None)
    from_keras(write(architecture), "c3ae")


@pytest.mark.parametrize("layout", [*c3ae_layouts(), *ssrnet_layouts()], ids=lambda x: x.title)
def test_the_wiring_tells_every_module_apart(layout):
    network = registry.build(layout.model_id, layout.config)
    nodes = wiring.of_network(network).nodes
    weights = {name.rpartition(".")[0] for name, _ in network.named_parameters()}
    assert {node.name for node in nodes} == weights
    shapes = {name: tuple(network.get_submodule(name).weight.shape) for name in weights}
    assert len(set(fingerprints(nodes, shapes).values())) == len(nodes)


@given(st.data())
def test_fingerprints_depend_on_neither_names_nor_order(data):
    count = data.draw(st.integers(1, 8))
    traits = data.draw(st.lists(st.sampled_from(["relu", "tanh"]), min_size=count, max_size=count))
    nodes = []
    for i in range(count):
        inputs = data.draw(st.sets(st.integers(0, i - 1))) if i else set()
        nodes.append(Node(f"a{i}", (traits[i],), tuple(f"a{j}" for j in sorted(inputs))))
    new = data.draw(st.permutations([f"b{i}" for i in range(count)]))
    names = {node.name: name for node, name in zip(nodes, new, strict=True)}
    others = [Node(names[n.name], n.traits, tuple(names[i] for i in n.inputs)) for n in nodes]
    others = data.draw(st.permutations(others))
    shapes = {node.name: (3, 3) for node in (*nodes, *others)}
    mine, theirs = fingerprints(nodes, shapes), fingerprints(others, shapes)
    assert mine == {name: theirs[names[name]] for name in mine}
