"""Which files agecompact's own runner runs, without a phone."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from agecompact.contract import Contract, Quantization
from agecompact.models import registry
from android_bench.adb.options import Options
from android_bench.adb.runner_engine import _command
from android_bench.failure import MeasurementFailure
from tests.records import EMULATED

CONTRACT = replace(registry.get("ssrnet").contract, layout="NHWC")


def command_for(contract: Contract) -> list[str]:
    runtime = replace(EMULATED.runtime, threads=1, core_mask=None)
    return shlex.split(_command(Path("m.tflite"), contract, "golden/ssrnet", runtime, Options()))


@pytest.mark.parametrize("contract", [CONTRACT, CONTRACT.of_images()])
def test_it_runs_tensors_and_pictures(contract: Contract) -> None:
    words = command_for(contract)
    assert words[words.index("--layout") + 1] == "NHWC"
    assert words[words.index("--model") + 1] == "m.tflite"


def test_it_refuses_integers_of_another_meaning() -> None:
    quantised = replace(CONTRACT, dtype="uint8", quantization=Quantization(0.5, 3))
    with pytest.raises(MeasurementFailure, match="uint8 of another meaning") as failure:
        command_for(quantised)
    assert failure.value.kind == "mismatch"
