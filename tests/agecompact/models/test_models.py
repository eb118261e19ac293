"""The networks against published counts, published layouts and their papers' equations."""

import numpy as np
import pytest
import torch
from torch import nn

from agecompact.models import registry
from agecompact.models.complexity import fold_batch_norm, measure, parameters
from agecompact.weights import checkpoints

PUBLIC_C3AE = {"features": None, "bins": 12, "se_bias": True}

# Papers that count as PyTorch does, without BN statistics.
PYTORCH_PAPERS = ("mobileagenet", "efficientnet-lite0", "faceres")
# MACs of SSR-Net and MobileAgeNet were computed by hand, C3AE's are from its Table 1.
MACS = {
    "ssrnet": 17_080_000,
    "ssrnet-gender": 17_080_000,
    "c3ae-plain": 12_562_816 + 512 * 12 + 12,
    # The trunk once per crop, with three squeeze-and-excitation modules.
    "c3ae": 3 * (12_562_816 + 3 * 2 * 32 * 16 + 512 * 12) + 36 * 8 + 8,
    "mobileagenet": 214_340_000,
}


def build(model_id, **config):
    torch.manual_seed(0)
    return registry.build(model_id, config).eval()


def settle(network):
    """Moves BN statistics away from 0 and 1, where errors would not show."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network


def noise(model_id, batch=4, scale=1.0):
    """Inputs of 64x64 for every model: MobileAgeNet takes any size, and 224 would take seconds."""
    generator = torch.Generator().manual_seed(1)
    crops = registry.get(model_id).contract.crops
    return tuple(torch.rand((batch, 3, 64, 64), generator=generator) * scale for _ in crops)


@pytest.mark.parametrize("model_id", [*registry.MODELS, *registry.TEACHERS])
def test_counts_are_the_listed_and_the_published_ones(model_id):
    spec = registry.get(model_id)
    cost = measure(build(model_id), spec.contract)
    listed = (spec.counts.parameters, spec.counts.bn_statistics, spec.counts.folded_parameters)
    assert (cost.parameters, cost.bn_statistics, cost.folded_parameters) == listed
    in_keras = cost.parameters + cost.bn_statistics
    assert spec.counts.published == (cost.parameters if model_id in PYTORCH_PAPERS else in_keras)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        ({**PUBLIC_C3AE, "se_after": []}, 48_633),
        ({**PUBLIC_C3AE, "se_after": [1, 2, 3, 4, 5]}, 53_993),
    ],
)
def test_counts_of_the_public_c3ae_layouts(config, parameters):
    cost = measure(build("c3ae", **config), registry.get("c3ae").contract)
    assert cost.parameters + cost.bn_statistics == parameters


@pytest.mark.parametrize(("model_id", "macs"), MACS.items())
def test_macs(model_id, macs):
    counted = measure(build(model_id), registry.get(model_id).contract).macs
    assert counted == pytest.approx(macs, rel=0 if model_id.startswith("c3ae") else 5e-4)


def test_measuring_does_not_change_the_network():
    network = build("ssrnet").train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure(network, registry.get("ssrnet").contract)
    assert network.training
    assert all(torch.equal(before[n], t) for n, t in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("model_id", registry.MODELS)
def test_folding_bn_does_not_change_the_output(model_id):
    network = settle(build(model_id))
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        expected = network(*noise(model_id))
        torch.testing.assert_close(folded(*noise(model_id)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_id", registry.MODELS)
def test_a_sample_has_one_output_alone_and_in_a_batch(model_id):
    network = settle(build(model_id))
    batch = noise(model_id)
    with torch.no_grad():
        together = network(*batch)
        assert together.shape == (4, 1)
        assert together.dtype == torch.float32
        for i in range(4):
            alone = network(*(crop[i : i + 1] for crop in batch))
            torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-4)


def equation_7(network, face):
    """Age by equation (7) of the SSR-Net paper, in numpy and float64, from the stages' Linears."""
    heads = {}
    handles = [
        getattr(stage, head).register_forward_hook(
            lambda _, __, output, key=(k, head): heads.__setitem__(key, output.double().numpy())
        )
        for k, stage in enumerate(network.stages)
        for head in ("p", "eta", "delta")
    ]
    with torch.no_grad():
        network(face)
    for handle in handles:
        handle.remove()
    total = np.zeros(len(face))
    for k in range(3):
        p = np.maximum(heads[k, "p"], 0)
        shifted = np.arange(p.shape[1]) + network.lambda_local * np.tanh(heads[k, "eta"])
        width = 1.0
        for j in range(k + 1):
            stretch = 1 + network.lambda_d * np.tanh(heads[j, "delta"][:, 0])
            width = width * heads[j, "p"].shape[1] * stretch
        total += (p * shifted).sum(axis=1) / width
    return network.v * total


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"v": 1.0},
        {"stages": (2, 5, 4)},
        {"stages": [3, 3, 3], "lambda_local": 0.25, "lambda_d": 0.5, "v": 60.0},
    ],
)
def test_ssrnet_computes_equation_7(config):
    network = settle(build("ssrnet", **config))
    face = noise("ssrnet", scale=8.0)[0]
    expected = equation_7(network, face)
    assert expected.std() > 0
    with torch.no_grad():
        np.testing.assert_allclose(network(face)[:, 0].numpy(), expected, rtol=1e-5)


def test_gender_is_ssrnet_with_a_range_of_1():
    age, gender = build("ssrnet"), build("ssrnet-gender")
    gender.load_state_dict(age.state_dict())
    face = noise("ssrnet")[0]
    with torch.no_grad():
        torch.testing.assert_close(gender(face) * 101, age(face))


@pytest.mark.parametrize(
    ("config", "shapes"),
    [
        ({}, {"features": (12, 512), "w1": (8, 36), "age": (1, 8)}),
        ({"bins": 11, "interval": 10}, {"features": (12, 512), "w1": (11, 36), "age": (1, 11)}),
        ({"bins": 22, "interval": 5.0, "features": None}, {"w1": (22, 1536), "age": (1, 22)}),
    ],
)
def test_c3ae_bins_are_configurable(config, shapes):
    network = build("c3ae", **config)
    assert {n: tuple(getattr(network, n).weight.shape) for n in shapes} == shapes
    assert network.config.interval == config.get("interval", 10)
    with torch.no_grad():
        bins = network.bins(*noise("c3ae"))
    assert bins.shape == (4, shapes["w1"][0])
    torch.testing.assert_close(bins.sum(dim=1), torch.ones(4))


def test_c3ae_distinguishes_its_crops():
    network = settle(build("c3ae"))
    nn.init.normal_(network.age.weight, 0, 1000.0)
    outer, middle, inner = noise("c3ae")
    middle, inner = middle * 4, inner * 16
    with torch.no_grad():
        answers = [network(outer, middle, inner), network(inner, middle, outer)]
        answers += [network(middle, outer, inner), network(outer, outer, outer)]
    for i, answer in enumerate(answers):
        for other in answers[i + 1 :]:
            assert (answer - other).abs().max() > 1e-4


def test_c3ae_stacks_its_crops_without_changing_the_output():
    network = settle(build("c3ae"))
    crops = noise("c3ae")
    with torch.no_grad():
        features = [network._trunk_features(crop) for crop in crops]
        expected = network.age(torch.softmax(network.w1(torch.cat(features, dim=1)), dim=1))
        torch.testing.assert_close(network(*crops), expected)


def test_c3ae_flattens_height_width_channel():
    network = build("c3ae", **PUBLIC_C3AE)
    crop = noise("c3ae")[0]
    with torch.no_grad():
        maps, flat = network.trunk(crop), network._trunk_features(crop)
    assert maps.shape == (4, 32, 4, 4)
    assert torch.equal(flat[:, (2 * 4 + 3) * 32 + 5], maps[:, 5, 2, 3])


def test_the_plain_c3ae_has_no_bins():
    with pytest.raises(TypeError, match="no bins"):
        build("c3ae-plain").bins(noise("c3ae-plain")[0])


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3, 1e6, -1e6])
def test_mobileagenet_is_bounded(scale):
    network = settle(build("mobileagenet"))
    nn.init.normal_(network.head[-1].weight, 0, 10.0)
    with torch.no_grad():
        ages = network(noise("mobileagenet", scale=scale)[0])
    assert ((ages >= 1) & (ages <= 95)).all()


def test_mobileagenets_bounds_are_configurable():
    network = build("mobileagenet", minimum=10.0, maximum=20.0)
    nn.init.zeros_(network.head[-1].weight)
    with torch.no_grad():
        assert network(noise("mobileagenet")[0]).flatten().tolist() == [15.0] * 4


@pytest.mark.parametrize(
    ("model_id", "config", "low", "high"),
    [
        ("efficientnet-lite0", {"minimum": 10.0, "maximum": 20.0}, 10, 20),
        ("faceres", {}, 0, 99),
    ],
)
@pytest.mark.parametrize("side", [32, 64, 96])
def test_teachers_are_bounded_at_any_side_that_32_divides(model_id, config, low, high, side):
    with torch.no_grad():
        ages = build(model_id, **config)(torch.randn(3, 3, side, side) * 3)
    assert ages.shape == (3, 1)
    assert ((ages > low) & (ages < high)).all()


def test_mobileagenets_features_have_torchvisions_names():
    state = build("mobileagenet").state_dict()
    ours = {n: tuple(t.shape) for n, t in state.items() if n.startswith("features.")}
    # Layers of each kind of block.
    assert ours["features.1.block.1.0.weight"] == (16, 16, 1, 1)
    assert ours["features.2.block.1.0.weight"] == (64, 1, 3, 3)
    assert ours["features.4.block.2.fc1.weight"] == (24, 72, 1, 1)
    assert ours["features.16.0.weight"] == (960, 160, 1, 1)
    # torchvision's state dict has 312 entries, 4 of them the classifier's; its documentation gives
    # 5,483,032 parameters for the whole network, 2,511,080 of them in the classifier.
    assert len(ours) == 312 - 4
    trained = {n for n in ours if not n.endswith(("running_mean", "running_var", "tracked"))}
    assert sum(state[n].numel() for n in trained) == 5_483_032 - 2_511_080
    # The released weights have the same names, without BN's counters, and a larger first kernel.
    released = checkpoints.read(checkpoints.released_path("mobileagenet"))
    stored = {n: tuple(t.shape) for n, t in released.state.items() if n.startswith("features.")}
    larger = {"features.0.0.weight": (16, 3, 5, 5)}
    assert stored == {n: s for n, s in {**ours, **larger}.items() if not n.endswith("tracked")}
    assert parameters(released.network()) == 3_234_481 + 16 * 3 * (5**2 - 3**2)


def test_every_bn_has_the_reference_epsilon():
    for model_id in registry.MODELS:
        norms = [m for m in build(model_id).modules() if isinstance(m, nn.BatchNorm2d)]
        assert norms
        assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)}


@pytest.mark.parametrize("model_id", registry.MODELS)
def test_every_parameter_learns(model_id):
    network = settle(build(model_id)).train()
    network(*noise(model_id, batch=8, scale=4.0)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
