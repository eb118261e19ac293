"""int8 activations calibrated by a moving average, which clips values that min and max keep.

Each quantiser makes two files of one network from the same images. They differ only in the
calibration: the file calibrated by min and max is the control.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agecompact.contract import Tensor
from agecompact.runtimes.reading import read_metadata
from agecompact.serialization import write_versioned
from parity_tests import tolerances
from parity_tests.foreign import Side, check_pair
from parity_tests.reference import Reference
from parity_tests.results import Result
from parity_tests.settings import CheckSettings
from parity_tests.tolerances import Rule
from tests.support import BuildOf

pytestmark = pytest.mark.slow

# Plain 8 bits cost these networks up to 5 years on the fixed inputs, and up to 20 where driven
# to 100 years; clipping costs tens on the fixed inputs as well.
GATES = Rule(max=8.0, p99=8.0, mean=1.5, searched=40.0)


def calibration_images(source: Path) -> list[dict[str, Tensor]]:
    """The inputs of the later check, so that only the calibrator can be to blame for clipping.

    Mosaics are left out: their values would widen every range, and so every step.
    """
    contract = read_metadata(source).contract
    with Reference(source, contract, CheckSettings(float64_s=None)) as reference:
        return [
            contract.tensors(sample.crops)
            for sample in reference.samples
            if not sample.name.startswith("mosaic")
        ]


def by_onnxruntime(source: Path, target: Path, *, moving_average: bool) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._images = iter(calibration_images(source))

        def get_next(self) -> dict[str, Tensor] | None:
            return next(self._images, None)

    quantize_static(
        source,
        target,
        Images(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        extra_options={"CalibMovingAverage": moving_average},
    )


def by_ai_edge_quantizer(source: Path, target: Path, *, moving_average: bool) -> None:
    pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer is not installed")
    from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    kept_float = [
        {"regex": ".*", "operation": end, "algorithm_key": "no_quantize", "op_config": {}}
        for end in ("INPUT", "OUTPUT")
    ]
    recipes = recipe_manager.RecipeManager()
    recipes.load_quantization_recipe([*recipe.static_wi8_ai8(), *kept_float])
    # The moving average is the default.
    chosen = {} if moving_average else {"qsv_update_func": qsv_utils.min_max_update}
    calibration = calibrator.Calibrator(source.read_bytes(), num_threads=1, **chosen)
    calibration.calibrate({"serving_default": calibration_images(source)}, recipes)
    made = quantizer.Quantizer(str(source), recipes.get_quantization_recipe())
    made.quantize(calibration.get_model_qsvs()).export_model(str(target))


QUANTISERS: dict[str, Callable[..., None]] = {
    ".onnx": by_onnxruntime,
    ".tflite": by_ai_edge_quantizer,
}


@pytest.fixture(scope="module", params=QUANTISERS)
def results(
    request: pytest.FixtureRequest, build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """The results for the files calibrated by `min-max` and by `moving average`."""
    source = build_of("ssrnet").folder / f"ssrnet_float32{request.param}"
    folder = tmp_path_factory.mktemp("int8")
    write_versioned(contract := folder / "contract.json", read_metadata(source).contract)
    gates = tolerances.load()
    gates = replace(gates, rules=(*gates.rules, GATES))
    settings = CheckSettings(tolerances=gates, budget=None, float64_s=None)
    found = {}
    for name, moving_average in (("min-max", False), ("moving average", True)):
        path = folder / f"{name}{source.suffix}"
        QUANTISERS[source.suffix](source, path, moving_average=moving_average)
        (found[name],) = check_pair(Side(source, contract), Side(path, contract), settings)
        print(f"{name}{source.suffix}: {found[name].max_error} years, {found[name].reason}")
    return found


def test_a_moving_average_fails_where_min_and_max_pass(results: dict[str, Result]) -> None:
    kept, clipped = results["min-max"], results["moving average"]
    assert (kept.status, kept.kind) == ("passed", None), kept.reason
    assert (clipped.status, clipped.kind) == ("failed", "mismatch")
    assert kept.max_error is not None
    assert clipped.max_error is not None
    assert clipped.max_error > 2 * kept.max_error


def test_the_error_originates_before_any_correct_convolution(results: dict[str, Result]) -> None:
    found = results["moving average"].localisation
    assert found is not None
    origin = found["originates_at"]
    assert origin is not None
    # The average image is less bright than the brightest, so the input itself is clipped: by its
    # quantiser or by the convolution that reads it.
    assert re.match("(de)?quantize|conv", origin["candidate_op"], re.IGNORECASE)
    before = {row["candidate_op"] for row in found["rows"][: origin["row"]]}
    assert not any("conv" in op.lower() for op in before)
