"""How an output changes with each pixel of an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agecompact.contract import Contract
from agecompact.formats import RUNTIMES
from agecompact.models import registry
from parity_tests.inputs import Sample, standard
from parity_tests.runner import ModelRunner, runtime_process
from parity_tests.settings import CheckSettings
from tests.support import BuildOf

C3AE = registry.get("c3ae").contract


@pytest.mark.parametrize(
    "contract",
    [C3AE, replace(C3AE, color_order="RGB"), replace(C3AE, value_range=(255.0, 0.0))],
    ids=["BGR", "RGB", "negative"],
)
def test_a_step_along_the_slopes_of_the_pixels_raises_the_output(
    contract: Contract, build_of: BuildOf
) -> None:
    random = np.random.default_rng(0)
    noise = {n: random.integers(64, 192, (64, 64, 3), np.uint8) for n in contract.input_names}
    path = build_of("c3ae").weights
    with runtime_process(path, RUNTIMES["pytorch"], CheckSettings()) as process:
        runner = ModelRunner(process, contract)
        before, (slope,) = runner.slopes([Sample("noise", noise)], 0)
        for name, pixels in noise.items():
            # One level, in the one channel of each pixel that matters most.
            strongest = np.abs(slope[name]) == np.abs(slope[name]).max(axis=2, keepdims=True)
            step = (np.sign(slope[name]) * strongest).astype(np.int16)
            moved = Sample("moved", {**noise, name: (pixels + step).astype(np.uint8)})
            after = runner.outputs([moved])
            gain = np.abs(slope[name][strongest]).sum() / 255
            assert after[0, 0] - before[0, 0] == pytest.approx(gain, rel=0.2)


@pytest.mark.parametrize(("slow", "most"), [(False, 32), (True, 1)])
def test_a_slow_runtime_is_asked_for_one_image_at_a_time(
    slow: bool, most: int, build_of: BuildOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reply has to come within the time limit, and some take seconds for one image."""
    build = build_of("ssrnet")
    runtime = replace(RUNTIMES["pytorch"], slow=slow)
    samples = standard(build.manifest.contract)
    with runtime_process(build.weights, runtime, CheckSettings()) as process:
        asked = []
        infer = process.infer
        monkeypatch.setattr(process, "infer", lambda i: asked.append(len(i["face"])) or infer(i))
        runner = ModelRunner(process, build.manifest.contract)
        outputs = runner.outputs(samples)
    assert len(outputs) == len(samples) == sum(asked)
    assert max(asked) == min(most, len(samples))
