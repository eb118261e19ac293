"""Public files import the same with other names or another order, or are refused with a reason."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from agecompact.errors import UsageError
from agecompact.weights.importers import from_keras
from tests.agecompact.weights.importers.rewriting import (
    Rename,
    copied,
    later,
    same,
    shuffled,
    unnamed,
)

pytest.importorskip("h5py", reason="needs the 'train' extra")

SSRNET = ("ssrnet/age_imdb.h5", "ssrnet/age_megaage_asian.h5", "ssrnet/age_wiki.h5")
GENDER = ("ssrnet/gender_imdb.h5",)
C3AE = ("c3ae/C3AE_Mega.h5", "c3ae/imdb_focal_loss_c3ae_v84.h5")
FAMILIES = {
    **dict.fromkeys(SSRNET, "ssrnet"),
    **dict.fromkeys(GENDER, "ssrnet-gender"),
    **dict.fromkeys(C3AE, "c3ae"),
}


class Change(NamedTuple):
    """A change of a file, and the sentence that it is refused with: empty if it imports."""

    rename: Rename
    permuted: bool
    listed: bool
    architecture: str
    refusal: str = ""


SWAPPED = "could be swapped"
# Files of save_weights, which have no architecture.
WITHOUT_WIRING = [
    Change(same, False, True, "dropped"),
    Change(later, False, True, "dropped"),
    Change(unnamed, False, True, "dropped"),
    Change(shuffled, False, True, "dropped"),
    Change(same, True, True, "dropped"),
    Change(later, True, True, "dropped"),
    Change(later, True, False, "dropped"),
    Change(unnamed, True, True, "dropped", SWAPPED),
    Change(unnamed, False, False, "dropped", SWAPPED),
]
# Files of save.
WITH_WIRING = [
    Change(unnamed, False, True, "renamed"),
    Change(unnamed, True, True, "renamed"),
    Change(unnamed, True, False, "renamed"),
    Change(shuffled, True, True, "renamed"),
    Change(shuffled, False, True, "kept"),
    Change(unnamed, False, True, "kept"),
    Change(same, True, True, "kept"),
]


def outputs(network: torch.nn.Module) -> np.ndarray:
    generator = torch.Generator().manual_seed(0)
    crops = 3 if hasattr(network, "trunk") else 1
    with torch.no_grad():
        batch = (torch.rand((8, 3, 64, 64), generator=generator) * 255 for _ in range(crops))
        return network(*batch).numpy()


def _imports_the_same(path, family, change, tmp_path):
    arguments = {key: value for key, value in change._asdict().items() if key != "refusal"}
    copy = copied(path, tmp_path / "copy.h5", **arguments)
    if change.refusal:
        with pytest.raises(UsageError, match=change.refusal):
            from_keras(copy, family)
        return
    original, renamed = from_keras(path, family), from_keras(copy, family)
    assert renamed.layout == original.layout
    state = renamed.network.state_dict()
    for name, tensor in original.network.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)
    assert np.abs(outputs(renamed.network) - outputs(original.network)).max() < 1e-4


def names_of(change):
    parts = [change.rename.__name__, "permuted" * change.permuted, "unlisted" * (not change.listed)]
    return "-".join(filter(None, [*parts, change.architecture]))


@pytest.mark.slow
@pytest.mark.parametrize("change", WITHOUT_WIRING, ids=names_of)
@pytest.mark.parametrize("name", ["ssrnet/age_imdb.h5", *GENDER, *C3AE])
def test_public_files_without_architecture(name, change, public_weights, tmp_path):
    _imports_the_same(public_weights(name), FAMILIES[name], change, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("change", WITH_WIRING, ids=names_of)
@pytest.mark.parametrize("name", C3AE)
def test_public_files_with_architecture(name, change, public_weights, tmp_path):
    _imports_the_same(public_weights(name), FAMILIES[name], change, tmp_path)


@pytest.mark.parametrize("change", WITH_WIRING, ids=names_of)
def test_ssrnet_with_architecture(change, ssrnet_in_keras, randomise, tmp_path):
    """The public files have none, so this one is made here; its heads are in another order."""
    path = tmp_path / "made.h5"
    randomise(ssrnet_in_keras()).save(path)
    _imports_the_same(path, "ssrnet", change, tmp_path)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_every_public_file_imports_renamed(name, public_weights, tmp_path):
    change = Change(unnamed, False, True, "renamed")
    _imports_the_same(public_weights(name), FAMILIES[name], change, tmp_path)
