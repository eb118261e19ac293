"""Every layout and every error, on files written without Keras."""

import json

import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.models import builtin, registry
from agecompact.weights.importers import FAMILIES, from_keras, keras_hdf5
from tests.agecompact.weights.importers.counting import keras_count


@pytest.mark.parametrize(("squeeze_excite", "parameters"), [(False, 48_633), (True, 53_993)])
def test_c3ae_layouts(squeeze_excite, parameters, c3ae_shapes, write_h5):
    imported = from_keras(write_h5(c3ae_shapes(squeeze_excite)), "c3ae")
    assert imported.layout.model_id == "c3ae"
    assert keras_count(imported) == parameters
    assert imported.layout.contract.interpolation == "linear"
    assert imported.layout.contract.crops == builtin.C3AE_CROPS


@pytest.mark.parametrize(
    ("prefix", "model_id"), [("pred_age_stage", "ssrnet"), ("pred_stage", "ssrnet-gender")]
)
@pytest.mark.parametrize("root", ["/", "model_weights"])
def test_ssrnet_layouts(prefix, model_id, root, ssrnet_shapes, write_h5):
    imported = from_keras(write_h5(ssrnet_shapes(prefix), root), "ssrnet")
    assert imported.layout.model_id == model_id
    assert keras_count(imported) == 40_915
    assert imported.layout.contract.outputs == registry.get(model_id).contract.outputs


def test_a_1x1_convolution_is_a_dense_layer(c3ae_shapes, write_h5):
    kernel = np.random.default_rng(0).normal(size=(1536, 12)).astype(np.float32)
    dense = from_keras(write_h5(c3ae_shapes(), **{"W1/W1/kernel:0": kernel}), "c3ae")

    shapes = {k: v for k, v in c3ae_shapes().items() if not k.startswith("W1/")}
    shapes |= {"conv2d_7/conv2d_7/kernel:0": (1, 1, 1536, 12), "conv2d_7/conv2d_7/bias:0": (12,)}
    arrays = {"conv2d_7/conv2d_7/kernel:0": kernel[None, None]}
    conv = from_keras(write_h5(shapes, **arrays), "c3ae")

    np.testing.assert_array_equal(dense.network.w1.weight.detach(), kernel.T)
    np.testing.assert_array_equal(conv.network.w1.weight.detach(), kernel.T)


def test_layers_are_in_the_order_that_the_file_lists(tmp_path):
    """HDF5 itself lists `dense_10` before `dense_9`."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "listed.h5"
    with h5py.File(path, "w") as file:
        for number in (10, 8, 9):
            group = file.create_group(f"dense_{number}")
            group[f"dense_{number}_1/kernel:0"] = np.full((1, 1), number, np.float32)
            group.attrs["weight_names"] = [f"dense_{number}_1/kernel:0".encode()]
    assert not keras_hdf5.read(path).found.ordered
    for listing in ([b"dense_9", b"dense_10", b"dense_8"], [b"dense_9"], [b"dense_9", b"none"]):
        with h5py.File(path, "a") as file:
            file.attrs["layer_names"] = listing
        found = keras_hdf5.read(path).found
        assert found.ordered == (len(listing) == 3)
        names = [layer.name for layer in found.layers]
        assert names == (
            ["dense_9", "dense_10", "dense_8"]
            if found.ordered
            else ["dense_10", "dense_8", "dense_9"]
        )


def test_kernels_are_transposed_to_torchs_order(c3ae_shapes, write_h5):
    name = "model_1/conv2/kernel:0"
    kernel = np.arange(3 * 3 * 32 * 32, dtype=np.float32).reshape(3, 3, 32, 32)
    network = from_keras(write_h5(c3ae_shapes(), **{name: kernel}), "c3ae").network
    ours = network.trunk[1].conv.weight.detach().numpy()
    assert ours[5, 7, 0, 2] == kernel[0, 2, 7, 5]


def refused(path, family="c3ae"):
    with pytest.raises(UsageError) as caught:
        from_keras(path, family)
    return str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path):
    assert "no weights at" in refused(tmp_path / "none.h5")
    assert "no weights at" in refused(tmp_path)


def test_text_file(tmp_path):
    path = tmp_path / "pointer.h5"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    message = refused(path)
    assert "as a Keras HDF5 file" in message
    assert "it is a Git LFS pointer" in message


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file(kept, c3ae_shapes, write_h5):
    path = write_h5(c3ae_shapes())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert "as a Keras HDF5 file" in refused(path)


@pytest.mark.parametrize("config", ["{", "[]", '{"config": {"layers": [{}]}}'])
def test_damaged_architecture(config, c3ae_shapes, write_h5):
    import h5py

    path = write_h5(c3ae_shapes())
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = config
    assert "as a Keras HDF5 file" in refused(path)


@pytest.mark.parametrize("shapes", [{}, {"numbers": (3,)}])
def test_hdf5_of_something_else(shapes, write_h5):
    assert "contains no Keras layers" in refused(write_h5(shapes, root="/"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_inf(value, c3ae_shapes, write_h5):
    bias = np.zeros(12, np.float32)
    bias[3] = value
    message = refused(write_h5(c3ae_shapes(), **{"W1/W1/bias:0": bias}))
    assert "'W1/W1/bias:0' contains NaN or Inf" in message


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_the_other_family(family, c3ae_shapes, ssrnet_shapes, write_h5):
    other = "ssrnet" if family == "c3ae" else "c3ae"
    message = refused(write_h5(ssrnet_shapes() if family == "c3ae" else c3ae_shapes()), family)
    assert f"it has the layers of '{other}'" in message
    assert f"use --model {other}" in message


NEAREST = "the nearest is 'c3ae' with 12 bins"


def test_a_surplus_layer(c3ae_shapes, write_h5):
    shapes = c3ae_shapes() | {"gender/gender/kernel:0": (1536, 2), "gender/gender/bias:0": (2,)}
    message = refused(write_h5(shapes))
    assert f"{NEAREST}: 11 of its 11 layers match in order" in message
    assert "'gender' (bias 2, weight 2x1536), where no further layer was expected" in message


def test_squeeze_excite_after_three_blocks_only(c3ae_shapes, write_h5):
    drop = tuple(f"model_1/dense_{i}/" for i in (7, 8, 9, 10))
    shapes = {k: v for k, v in c3ae_shapes(True).items() if not k.startswith(drop)}
    message = refused(write_h5(shapes))
    assert f"{NEAREST} and squeeze-and-excitation: 17 of its 21 layers" in message
    assert "where 'trunk.3.se.squeeze' (bias 16, weight 16x32) was expected" in message


def test_missing_and_unknown_variables(c3ae_shapes, write_h5):
    shapes = c3ae_shapes() | {"model_1/conv1/exponent:0": (1,)}
    del shapes["age/age/bias:0"]
    message = refused(write_h5(shapes))
    assert f"{NEAREST}: 9 of its 11 layers" in message
    assert "'trunk.0.conv' (weight 32x3x3x3) was expected" in message


def test_another_number_of_bins(c3ae_shapes, write_h5):
    shapes = c3ae_shapes() | {"W1/W1/kernel:0": (1536, 22), "W1/W1/bias:0": (22,)}
    message = refused(write_h5(shapes | {"age/age/kernel:0": (22, 1)}))
    assert f"{NEAREST}: 9 of its 11 layers" in message
    assert "'w1' (bias 12, weight 12x1536) was expected" in message


@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_a_classifier_of_another_name(squeeze_excite, c3ae_shapes, write_h5):
    """`dense_11` for `W1`, as a Keras session numbers it that names no layer."""
    shapes = c3ae_shapes(squeeze_excite)
    name = "dense_11" if squeeze_excite else "dense_1"
    renamed = {path.replace("W1/W1", f"{name}/{name}"): shape for path, shape in shapes.items()}
    kernel = np.random.default_rng(0).normal(size=(1536, 12)).astype(np.float32)
    imported = from_keras(write_h5(renamed, **{f"{name}/{name}/kernel:0": kernel}), "c3ae")
    assert bool(imported.layout.config["se_after"]) == squeeze_excite
    np.testing.assert_array_equal(imported.network.w1.weight.detach(), kernel.T)


@pytest.mark.parametrize(
    ("family", "prefix", "model_id", "told"),
    [
        ("ssrnet", "stage", "ssrnet", False),
        ("ssrnet-gender", "stage", "ssrnet-gender", False),
        ("ssrnet", "pred_stage", "ssrnet-gender", True),
        ("ssrnet-gender", "pred_age_stage", "ssrnet", True),
    ],
)
def test_names_tell_age_from_gender_or_the_user_does(
    family, prefix, model_id, told, ssrnet_shapes, write_h5
):
    shapes = ssrnet_shapes("pred_stage")
    if told:
        shapes = ssrnet_shapes(prefix)
        imported = from_keras(write_h5(shapes), family)
    else:
        # Numbers alone: every Dense is numbered as the repository's code makes it.
        imported = from_keras(write_h5(numbered(shapes)), family)
    assert imported.layout.model_id == model_id
    assert ("do not tell age from gender" in imported.card["assumed"]) == (not told)


def numbered(shapes):
    """SSR-Net whose heads have Keras' own names too."""
    names = {}
    for k in range(3):
        stage = (f"dense_{3 * k + 1}", f"dense_{3 * k + 2}", f"delta_s{k + 1}")
        stage += (f"dense_{3 * k + 3}", f"pred_stage{k + 1}", f"local_delta_stage{k + 1}")
        names |= {name: f"dense_{6 * k + i}" for i, name in enumerate(stage, 1)}
    groups = {path: path.split("/") for path in shapes}
    return {
        "/".join([names.get(group, group), names.get(group, group), variable]): shapes[path]
        for path, (group, _, variable) in groups.items()
    }


def test_only_lambdas_of_the_layout_are_accepted(ssrnet_shapes, write_h5):
    import h5py

    path = write_h5(ssrnet_shapes())
    for name, known in (("pred_a", True), ("lambda_1", False)):
        inner = {"class_name": "Lambda", "config": {"name": name}}
        model = {"class_name": "Model", "config": {"name": "model_1", "layers": [inner]}}
        outer = {"class_name": "Model", "config": {"name": "model_2", "layers": [model]}}
        with h5py.File(path, "a") as file:
            file.attrs["model_config"] = json.dumps(outer)
        if known:
            from_keras(path, "ssrnet")
        else:
            assert "it has Lambda 'lambda_1'" in refused(path, "ssrnet")


def test_unknown_family(tmp_path):
    assert "did you mean 'c3ae'?" in refused(tmp_path / "x.h5", "c3a")
