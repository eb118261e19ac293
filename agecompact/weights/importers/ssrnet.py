"""The layout of github.com/shamangary/SSR-Net, `training_and_testing/SSRNET_model.py`.

Age and gender differ in the range of the output, which is in the code alone. The names of three
layers tell them apart; a file in which they have other names is what the user says that it is.

Keras flattens maps in HWC order, as our network does, so the inputs of Linears need no permutation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from agecompact.models import registry
from agecompact.weights.importers.layouts import Layout
from agecompact.weights.importers.topology import Habits

_STREAMS = ("x_stream", "s_stream")
_STAGES = (0, 1, 2)


def _built() -> Iterator[str]:
    """The order in which the repository's code makes the layers, which Keras' numbers follow."""
    for stream in _STREAMS:
        for i in range(4):
            yield from (f"{stream}.blocks.{i}.0", f"{stream}.blocks.{i}.1")
    for k in _STAGES:
        for branch in ("s", "x"):
            yield from (f"stages.{k}.{branch}.reduce", f"stages.{k}.{branch}.project.1")
        yield from (f"stages.{k}.{head}" for head in ("delta", "mix", "p", "eta"))


def _saved() -> Iterator[str]:
    """The order in which Keras saves the layers: by their distance from the output."""
    for i in range(4):
        for part in (0, 1):
            yield from (f"{stream}.blocks.{i}.{part}" for stream in reversed(_STREAMS))
    # Without a pool, the first stage is one layer nearer.
    for k in (1, 2, 0):
        yield from (f"stages.{k}.s.reduce", f"stages.{k}.x.reduce")
    for k in _STAGES:
        yield from (f"stages.{k}.s.project.1", f"stages.{k}.x.project.1")
    for head in ("mix", "p", "delta", "eta"):
        yield from (f"stages.{k}.{head}" for k in _STAGES)


HABITS = Habits(
    orders=(tuple(_built()), tuple(_saved())),
    roles={"pred_age_stage": "p", "pred_stage": "p", "local_delta_stage": "eta"},
    flattened={160: (1, 10, 16), 90: (1, 10, 9)},
)


def layouts() -> tuple[Layout, ...]:
    """Age, and gender."""
    return _layout("ssrnet", "pred_age_stage"), _layout("ssrnet-gender", "pred_stage")


def gender_layouts() -> tuple[Layout, ...]:
    """Gender first: what a file is whose names do not tell."""
    return tuple(reversed(layouts()))


def _layout(model_id: str, mark: str) -> Layout:
    return Layout(
        model_id=model_id,
        title=f"'{model_id}'",
        config={},
        # The authors resize with cv2.resize's default.
        contract=dataclasses.replace(registry.get(model_id).contract, interpolation="linear"),
        habits=HABITS,
        mark=mark,
        readouts=frozenset({"pred", "pred_a"}),
        repository="https://github.com/shamangary/SSR-Net",
        licence="Apache-2.0",
        assumed="lambda_local = lambda_d = 1, as in the repository's pre-trained models; "
        "images BGR 0..255",
    )
