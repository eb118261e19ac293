"""Imported networks against the originals in Keras."""

import numpy as np
import pytest
import torch

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights.importers import from_keras
from tests.agecompact.weights.importers.counting import keras_count

TOLERANCE_YEARS = 1e-4

SSRNET_FILES = {
    "ssrnet/age_imdb.h5": "ssrnet",
    "ssrnet/age_megaage_asian.h5": "ssrnet",
    "ssrnet/age_wiki.h5": "ssrnet",
    "ssrnet/gender_imdb.h5": "ssrnet-gender",
}
C3AE_FILES = ["c3ae/C3AE_Mega.h5", "c3ae/imdb_focal_loss_c3ae_v84.h5"]
# Both forms of file, and the number of the first layer in the Keras session.
FORMS = [("save", 1), ("save_weights", 0), ("save", 15)]


def noise(crops, batch=8, scale=255.0):
    return np.random.default_rng(7).uniform(0, scale, (crops, batch, 3, 64, 64)).astype(np.float32)


def inputs(contract, faces):
    """Noise and faces as input tensors: (crops, N, 3, 64, 64)."""
    tensors = [contract.apply(chip) for chip in faces]
    batches = [np.concatenate([t[name] for t in tensors]) for name in contract.input_names]
    return np.concatenate([noise(len(batches)), np.stack(batches)], axis=1)


def in_torch(network, crops):
    with torch.no_grad():
        return network(*(torch.from_numpy(crop) for crop in crops)).numpy()


def in_keras(model, crops):
    outputs = model([crop.transpose(0, 2, 3, 1) for crop in crops], training=False)
    return np.asarray(outputs[0] if isinstance(outputs, list) else outputs)


def largest_error(imported, model, faces):
    """In the unit of the output, which must vary."""
    crops = inputs(imported.layout.contract, faces)
    theirs = in_keras(model, crops)
    assert theirs.std() > 0.01
    return np.abs(in_torch(imported.network, crops) - theirs).max()


@pytest.mark.parametrize("name", SSRNET_FILES)
def test_public_ssrnet(name, public_weights, ssrnet_in_keras, faces):
    path = public_weights(name)
    imported = from_keras(path, "ssrnet")
    assert imported.layout.model_id == SSRNET_FILES[name]
    assert keras_count(imported) == 40_915

    gender = imported.layout.model_id == "ssrnet-gender"
    model = ssrnet_in_keras("pred_stage", 1.0) if gender else ssrnet_in_keras()
    model.load_weights(path, by_name=True)
    assert largest_error(imported, model, faces) < TOLERANCE_YEARS


@pytest.mark.parametrize("name", C3AE_FILES)
def test_public_c3ae(name, public_weights, keras, faces):
    path = public_weights(name)
    imported = from_keras(path, "c3ae")
    assert keras_count(imported) == 48_633
    model = keras.models.load_model(path, compile=False)
    assert largest_error(imported, model, faces) < TOLERANCE_YEARS


def test_the_tolerance_detects_torchs_default_epsilon(public_weights, keras, faces):
    """The smallest known fault: torch's default BN epsilon of 1e-5 instead of Keras' 1e-3."""
    path = public_weights(C3AE_FILES[0])
    imported = from_keras(path, "c3ae")
    for module in imported.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-5
    model = keras.models.load_model(path, compile=False)
    assert largest_error(imported, model, faces) > TOLERANCE_YEARS


@pytest.mark.parametrize(("form", "first"), FORMS)
@pytest.mark.parametrize("prefix", ["pred_age_stage", "pred_stage"])
def test_random_ssrnet(prefix, form, first, ssrnet_in_keras, randomise, tmp_path):
    v = 1.0 if prefix == "pred_stage" else 101.0
    model = randomise(ssrnet_in_keras(prefix, v, first))
    path = tmp_path / "random.h5"
    getattr(model, form)(path)
    imported = from_keras(path, "ssrnet")
    assert keras_count(imported) == registry.get(imported.layout.model_id).counts.published
    crops = noise(1, scale=2.0)
    theirs = in_keras(model, crops) / v
    assert theirs.std() > 1e-4
    np.testing.assert_allclose(in_torch(imported.network, crops) / v, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("form", "first"), FORMS)
@pytest.mark.parametrize("w1", ["dense", "conv"])
@pytest.mark.parametrize(("squeeze_excite", "parameters"), [(False, 48_633), (True, 53_993)])
def test_random_c3ae(
    squeeze_excite, parameters, w1, form, first, c3ae_in_keras, randomise, tmp_path
):
    model = randomise(c3ae_in_keras(squeeze_excite, w1, first))
    path = tmp_path / "random.h5"
    getattr(model, form)(path)
    imported = from_keras(path, "c3ae")
    assert keras_count(imported) == parameters
    assert imported.layout.config["se_after"] == ([1, 2, 3, 4, 5] if squeeze_excite else [])
    crops = noise(3, scale=2.0)
    theirs = in_keras(model, crops)
    assert theirs.std() > 0.01
    assert np.abs(in_torch(imported.network, crops) - theirs).max() < TOLERANCE_YEARS


def test_an_unknown_function_in_the_architecture_is_refused(c3ae_in_keras, tmp_path):
    path = tmp_path / "white.h5"
    c3ae_in_keras(white_norm=True).save(path)
    with pytest.raises(UsageError, match="Lambda 'white_norm'"):
        from_keras(path, "c3ae")
