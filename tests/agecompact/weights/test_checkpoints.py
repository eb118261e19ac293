import copy
import dataclasses
import json
import pickle
import resource
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.serialization import unstructure
from agecompact.weights import checkpoints

HEADER = {
    "schema_version": 1,
    "model": "ssrnet",
    "config": {},
    "contract": unstructure(registry.get("ssrnet").contract),
}


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = registry.build("ssrnet").eval()
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                # As in the public weights: beyond float16's 65,504.
                buffer.uniform_(60_000, 90_000)
    return network


@pytest.fixture
def path(network, tmp_path):
    place = tmp_path / "w.safetensors"
    checkpoints.write(place, network, model_id="ssrnet", card={"data": "none"})
    return place


def save(place, state, metadata):
    """A safetensors file that `checkpoints.write` would not write."""
    checkpoints.card_path(place).unlink(missing_ok=True)
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    save_file(state, place, {"agecompact": text})
    return place


def state_of(path):
    return dict(checkpoints.read(path).state)


def test_round_trip(network, path):
    weights = checkpoints.read(path)
    assert weights.model_id == "ssrnet"
    assert weights.config == {}
    assert weights.contract == registry.get("ssrnet").contract
    assert weights.card["data"] == "none"
    assert weights.card["sha256"] == weights.sha256
    face = torch.rand(2, 3, 64, 64) * 255
    with torch.no_grad():
        assert torch.equal(weights.network()(face), network(face))


def test_configuration_and_contract_are_in_the_file(tmp_path):
    place = tmp_path / "w.safetensors"
    config = {"features": None, "bins": 12, "se_after": [1, 2, 3, 4, 5], "se_bias": True}
    contract = dataclasses.replace(registry.get("c3ae").contract, interpolation="linear")
    network = registry.build("c3ae", config)
    checkpoints.write(place, network, model_id="c3ae", config=config, contract=contract)
    checkpoints.card_path(place).unlink()
    weights = checkpoints.read(place)
    assert weights.config == config
    assert weights.contract == contract
    assert weights.card == {}
    assert sum(tensor.numel() for tensor in weights.state.values()) == 53_993
    weights.network()


def test_writing_twice_gives_the_same_bytes(network, path, tmp_path):
    again = tmp_path / "again.safetensors"
    assert checkpoints.write(again, network, model_id="ssrnet") == checkpoints.read(path).sha256
    assert again.read_bytes() == path.read_bytes()


def test_batch_counters_are_not_stored(path):
    assert not any("num_batches" in name for name in checkpoints.read(path).state)


def test_float16_storage_keeps_bn_statistics(network, tmp_path):
    place = tmp_path / "half.safetensors"
    checkpoints.write(place, network, model_id="ssrnet", half=True)
    with safe_open(place, framework="pt") as stream:
        types = {name: stream.get_tensor(name).dtype for name in stream.keys()}  # noqa: SIM118
    for name, dtype in types.items():
        assert dtype == (torch.float32 if "running_" in name else torch.float16), name
    original = network.state_dict()
    for name, tensor in checkpoints.read(place).state.items():
        assert tensor.dtype == torch.float32
        assert torch.allclose(tensor, original[name], rtol=1e-3, atol=1e-7)
    checkpoints.read(place).network()


def test_a_weight_too_large_for_float16_is_not_written(network, tmp_path):
    with torch.no_grad():
        network.stages[0].delta.bias.fill_(70_000)
    place = tmp_path / "half.safetensors"
    checkpoints.write(place, network, model_id="ssrnet")
    with pytest.raises(UsageError, match=r"delta.bias' contains NaN or Inf as torch.float16"):
        checkpoints.write(place, network, model_id="ssrnet", half=True)
    checkpoints.read(place)


class _Ema(nn.Module):
    """As common packages average: a copy beside the network in training."""

    def __init__(self, network):
        super().__init__()
        self.online_model = copy.deepcopy(network)
        self.ema_model = network
        self.register_buffer("step", torch.zeros(()))
        with torch.no_grad():
            for value in self.online_model.parameters():
                value.add_(1)


class _Lightning(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.model = network
        self.loss = nn.PReLU()


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "torch.compile": torch.compile,
    "compiled, then DataParallel": lambda network: nn.DataParallel(torch.compile(network)),
    "AveragedModel": AveragedModel,
    "compiled, then averaged": lambda network: AveragedModel(torch.compile(network)),
    "EMA": _Ema,
    "LightningModule": _Lightning,
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_is_around_a_network_is_unwrapped(name, network, path, tmp_path):
    place = tmp_path / "wrapped.safetensors"
    assert checkpoints.write(place, WRAPPERS[name](network), model_id="ssrnet") == (
        checkpoints.read(path).sha256
    )


@pytest.mark.parametrize(
    ("model_id", "config", "parts"),
    [
        ("c3ae", None, ("37 of its 37 tensors missing", "96 of the file's left over")),
        ("ssrnets", None, ("did you mean 'ssrnet'",)),
    ],
)
def test_another_network_than_the_model_is_not_written(network, tmp_path, model_id, config, parts):
    place = tmp_path / "w.safetensors"
    with pytest.raises(UsageError) as caught:
        checkpoints.write(place, network, model_id=model_id, config=config)
    for part in parts:
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_another_configuration_than_the_networks_is_not_written(tmp_path):
    network = registry.build("c3ae", {"bins": 12})
    place = tmp_path / "w.safetensors"
    with pytest.raises(UsageError, match=r"the network is not 'c3ae'") as caught:
        checkpoints.write(place, network, model_id="c3ae")
    assert "'w1.weight' has shape (12, 36), in the network (8, 36)" in caught.value.why
    assert "config" in caught.value.fix
    checkpoints.write(place, network, model_id="c3ae", config={"bins": 12})


def test_two_networks_that_fit_are_not_written(network, tmp_path):
    both = nn.ModuleDict({"student": registry.build("ssrnet"), "teacher": network})
    with pytest.raises(UsageError, match="several networks in this one") as caught:
        checkpoints.write(tmp_path / "w.safetensors", both, model_id="ssrnet")
    assert "'student', 'teacher'" in caught.value.why


def test_writing_draws_no_random_numbers(network, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    checkpoints.write(tmp_path / "w.safetensors", network, model_id="ssrnet")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_network_is_not_written(network, tmp_path, value):
    with torch.no_grad():
        network.stages[1].p.weight[0, 0] = value
    with pytest.raises(UsageError, match=r"'stages.1.p.weight' contains NaN or Inf"):
        checkpoints.write(tmp_path / "w.safetensors", network, model_id="ssrnet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["w.json", "w.h5", "w"])
def test_the_suffix_must_differ_from_the_cards(network, tmp_path, name):
    with pytest.raises(UsageError, match=r"suffix \.safetensors"):
        checkpoints.write(tmp_path / name, network, model_id="ssrnet")
    assert list(tmp_path.iterdir()) == []


def test_missing_file(tmp_path):
    with pytest.raises(UsageError, match="no weights at"):
        checkpoints.read(tmp_path / "none.safetensors")


def refused(path):
    with pytest.raises(UsageError, match=f"cannot read {path} as a safetensors file") as caught:
        checkpoints.read(path)
    return caught.value


@pytest.mark.parametrize(("kept", "fix"), [(0, "again"), (4, "wrote"), (1000, "cut"), (-1, "cut")])
def test_truncated_file(path, kept, fix):
    path.write_bytes(path.read_bytes()[:kept])
    assert fix in refused(path).fix


def test_a_pickle_is_not_unpickled(tmp_path):
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self):
            return canary.touch, ()

    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(Bomb()) + b" " * 100)
    assert refused(path).why == "it is a Python pickle, which can run code"
    torch.save(registry.build("ssrnet").state_dict(), path)
    assert refused(path).why == "it is a PyTorch file"
    assert not canary.exists()


def test_safetensors_of_another_program(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match="does not name its model"):
        checkpoints.read(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "header of .* is not JSON"),
        ("[]", "cannot read the header"),
        ({k: v for k, v in HEADER.items() if k != "model"}, "a field is missing at model"),
        ({**HEADER, "schema_version": 2}, "schema version 2"),
        ({**HEADER, "model": "ssrnets"}, "did you mean 'ssrnet'"),
        ({**HEADER, "contract": {"schema_version": 1}}, "a field is missing at contract.crops"),
    ],
)
def test_bad_headers(path, header, message):
    with pytest.raises(UsageError, match=message):
        checkpoints.read(save(path, state_of(path), header))


def test_an_invalid_configuration(path):
    save(path, state_of(path), {**HEADER, "config": {"colour": "red"}})
    with pytest.raises(UsageError, match="cannot build model"):
        checkpoints.read(path).network()


@pytest.mark.parametrize("bins", [-1, 0.5, 10**7, 10**12, 10**30, [8]])
def test_a_network_of_any_width_takes_no_memory(bins, tmp_path):
    path = tmp_path / "w.safetensors"
    header = {
        **HEADER,
        "model": "c3ae",
        "config": {"bins": bins},
        "contract": unstructure(registry.get("c3ae").contract),
    }
    save(path, dict(checkpoints.read(checkpoints.released_path("c3ae")).state), header)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match=r"cannot build model|does not match its model"):
        checkpoints.read(path).network()
    # The network with 10,000,000 bins takes 1.5 GB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_factory_that_computes_with_tensors_takes_a_configuration(tmp_path, monkeypatch):
    place = tmp_path / "computing_factory.py"
    place.write_text(
        "import torch\n"
        "class Computing(torch.nn.Linear):\n"
        "    def __init__(self, width=4):\n"
        "        super().__init__(int(torch.linspace(1, width, 3)[-1].item()), 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = dataclasses.replace(
        registry.get("ssrnet"), id="computing", factory="computing_factory:Computing", counts=None
    )
    monkeypatch.setitem(registry.MODELS, "computing", spec)
    network = registry.build("computing", {"width": 7})
    path = tmp_path / "w.safetensors"
    checkpoints.write(path, network, model_id="computing", config={"width": 7})
    assert checkpoints.read(path).network().in_features == 7


def test_nan_in_a_file(path):
    state = state_of(path)
    state["stages.2.eta.bias"][1] = float("nan")
    with pytest.raises(UsageError, match=r"'stages.2.eta.bias' contains NaN or Inf"):
        checkpoints.read(save(path, state, HEADER))


def test_wrong_shape(path):
    state = state_of(path)
    state["stages.0.p.bias"] = torch.zeros(5)
    weights = checkpoints.read(save(path, state, HEADER))
    with pytest.raises(UsageError, match=r"stages.0.p.bias' has shape \(5,\), in the model \(3,\)"):
        weights.network()


def test_missing_and_surplus_tensors(path):
    state = state_of(path)
    state["stages.0.q.bias"] = state.pop("stages.0.p.bias")
    weights = checkpoints.read(save(path, state, HEADER))
    with pytest.raises(UsageError) as caught:
        weights.network()
    assert "missing stages.0.p.bias" in str(caught.value)
    assert "not in the model stages.0.q.bias" in str(caught.value)


def test_the_card_of_another_file(network, path, tmp_path):
    other = tmp_path / "other.safetensors"
    with torch.no_grad():
        network.stages[0].delta.bias.add_(1)
    checkpoints.write(other, network, model_id="ssrnet")
    shutil.copy(checkpoints.card_path(other), checkpoints.card_path(path))
    with pytest.raises(UsageError, match="card of another file"):
        checkpoints.read(path)


def test_an_unreadable_card(path):
    checkpoints.card_path(path).write_text("{")
    with pytest.raises(UsageError, match="cannot read card"):
        checkpoints.read(path)


def test_released_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "package_files", lambda _: tmp_path)
    with pytest.raises(UsageError, match="unknown model 'resnet'"):
        checkpoints.released_path("resnet")
    with pytest.raises(UsageError, match="'c3ae-plain' has no released weights"):
        checkpoints.released_path("c3ae-plain")
