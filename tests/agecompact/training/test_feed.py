"""Batches depend on the seed, the epoch and the face alone, not on the process."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agecompact.contract import Contract
from agecompact.data import batches
from agecompact.models import registry
from agecompact.training.augment import Augmentation
from agecompact.training.feed import Batch, BatchPlan, Views, loader, sized

_RANDOM = np.random.default_rng(0)
_CHIPS = [_RANDOM.integers(0, 256, (50, 50, 3), np.uint8) for _ in range(11)]
_AMOUNTS = Augmentation(zoom=0.1, shift=0.1, rotate=5.0, flip=True, light=0.2, erase=0.5)


def _contract(model_id: str = "c3ae") -> Contract:
    return sized(registry.get(model_id).contract, 32)


def _views(seed: int = 3, amounts: Augmentation = _AMOUNTS) -> Views:
    return Views(_CHIPS, _contract(), amounts, seed)


def _plan(
    batch: int = 4, parts: int = 1, rank: int = 0, processes: int = 1, views: int = 0
) -> BatchPlan:
    return BatchPlan(batch, parts, rank, processes, seed=3, views=views)


def _fed(plan: BatchPlan, epoch: int = 0, workers: int = 0) -> list[Batch]:
    return list(loader(_views(), plan, len(_CHIPS), epoch, workers))


def test_a_view_depends_only_on_seed_view_and_face() -> None:
    views, again = _views(), _views()
    for index in reversed(range(len(_CHIPS))):
        again.image(1, index)
    assert np.array_equal(views.image(2, 5), again.image(2, 5))
    assert not np.array_equal(views.image(2, 5), views.image(3, 5))
    assert not np.array_equal(views.image(2, 5), _views(seed=4).image(2, 5))
    # Two equal faces are changed differently.
    twins = Views([_CHIPS[0], _CHIPS[0]], _contract(), _AMOUNTS, 3)
    assert not np.array_equal(twins.image(2, 0), twins.image(2, 1))


def test_a_batch_is_the_views_through_the_contract() -> None:
    views = _views()
    batch = views.__getitems__([(7, 4), (7, 9)])
    expected = batches.inputs(_contract(), [views.image(7, 4), views.image(7, 9)])
    assert batch.indices.tolist() == [4, 9]
    assert len(batch.inputs) == 3
    for ours, theirs in zip(batch.inputs, expected, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.shape == (2, 3, 32, 32)
        assert ours.is_contiguous(memory_format=torch.channels_last)


@given(
    count=st.integers(1, 40),
    batch=st.integers(2, 12),
    parts=st.integers(1, 4),
    epoch=st.integers(0, 5),
)
def test_no_face_repeats_in_an_epoch_and_all_come_eventually(
    count: int, batch: int, parts: int, epoch: int
) -> None:
    plan = _plan(batch, parts)
    faces = [i for keys in plan.keys(count, epoch) for _, i in keys]
    assert len(faces) == len(set(faces)) == min(plan.steps(count) * batch, count)
    assert set(faces) <= set(range(count))
    # Later epochs show what one leaves out.
    later = {i for e in range(60) for keys in plan.keys(count, e) for _, i in keys}
    assert later == set(range(count))


def test_every_epoch_has_its_own_order_and_view() -> None:
    first, second = (list(_plan().keys(11, epoch)) for epoch in (0, 1))
    assert [i for keys in first for _, i in keys] != [i for keys in second for _, i in keys]
    assert {view for keys in first for view, _ in keys} == {0}
    assert {view for keys in second for view, _ in keys} == {1}


def test_stored_views_take_turns() -> None:
    plan = _plan(views=3)
    shown = [{view for keys in plan.keys(11, epoch) for view, _ in keys} for epoch in range(5)]
    assert shown == [{0}, {1}, {2}, {0}, {1}]


@pytest.mark.parametrize(("parts", "processes"), [(2, 2), (3, 3), (4, 2), (6, 3), (6, 2)])
def test_several_processes_together_see_what_one_does(parts: int, processes: int) -> None:
    one = list(_plan(batch=9, parts=parts).keys(40, epoch=2))
    shared = [
        list(_plan(batch=9, parts=parts, rank=rank, processes=processes).keys(40, epoch=2))
        for rank in range(processes)
    ]
    own = parts // processes
    for step in range(40 // 9):
        together = [
            keys for feed in shared for keys in feed[step * own : (step + 1) * own]
        ]  # fmt: skip
        assert sorted(together) == sorted(one[step * parts : (step + 1) * parts])
    assert sum(map(len, shared)) == len(one)


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_do_not_change_the_batches(workers: int) -> None:
    plan = _plan(parts=2)
    alone, helped = _fed(plan, epoch=1), _fed(plan, epoch=1, workers=workers)
    assert len(alone) == len(helped) == 4
    for ours, theirs in zip(alone, helped, strict=True):
        assert np.array_equal(ours.indices, theirs.indices)
        assert all(torch.equal(a, b) for a, b in zip(ours.inputs, theirs.inputs, strict=True))


def test_spawned_workers_can_unpickle_what_they_need() -> None:
    feed = loader(_views(), _plan(), len(_CHIPS), 0, 0)
    views, collate = pickle.loads(pickle.dumps((feed.dataset, feed.collate_fn)))
    batch = collate(views.__getitems__([(0, 1)]))
    assert torch.equal(batch.inputs[0], _views().__getitems__([(0, 1)]).inputs[0])


def test_feeding_does_not_disturb_the_dropout() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _fed(_plan())
    assert torch.equal(torch.rand(3), expected)


def test_another_side_changes_nothing_else_in_a_contract() -> None:
    contract = registry.get("mobileagenet").contract
    assert sized(contract, 0) is contract
    small = sized(contract, 96)
    assert (small.height, small.width) == (96, 96)
    assert sized(small, 224) == contract


def test_a_student_sees_other_pixels_than_its_teacher_only_if_they_are_drawn() -> None:
    clean, drawn = _views(), _views(amounts=replace(_AMOUNTS, resample=1.0, jpeg=1.0))
    for index in range(3):
        assert np.array_equal(clean.image(2, index), drawn.image(2, index))
        cut = _contract().crop(clean.image(2, index))
        assert all(np.array_equal(crop, cut[name]) for name, crop in clean.crops(2, index).items())
        assert all(crop.shape == (32, 32, 3) for crop in drawn.crops(2, index).values())
    assert np.array_equal(drawn.crops(2, 0)["inner"], drawn.crops(2, 0)["inner"])
