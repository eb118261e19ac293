"""Projects for Android compile, and their own JVM test sees each mistake in the preprocessing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from agecompact.contract import Contract
from agecompact.errors import BackendMissingError
from agecompact.integrate.platforms import PLATFORMS
from agecompact.integrate.project import write_project
from tests.agecompact.integrate import contracts, kotlin_tools

pytestmark = pytest.mark.slow

# What the app uses of Android, ML Kit and JUnit, as declarations.
_STUBS = Path(__file__).with_name("kotlin")
_REQUIRED = os.environ.get("AGECOMPACT_REQUIRE_KOTLIN") == "1"


@pytest.fixture(autouse=True)
def _compiler() -> None:
    try:
        kotlin_tools.jars()
    except BackendMissingError as error:
        if _REQUIRED:
            raise
        pytest.skip(str(error))


def written(contract: Contract, folder: Path) -> Path:
    model = folder / "face.tflite"
    model.write_bytes(b"no model runs here")
    write_project(model, contracts.golden(contract), PLATFORMS["android"], folder / "project")
    return folder / "project"


def outcome(project: Path, classes: Path) -> str:
    """What the compiler complains of, or else what the project's JVM tests say."""
    complaints = kotlin_tools.compile_to(
        classes, [*sorted(project.rglob("*.kt")), *sorted(_STUBS.glob("*.kt"))]
    )
    return complaints or kotlin_tools.run(classes, "MainKt", project / "face")


@pytest.mark.parametrize("name", ["AREA_BGR", "LINEAR_RGB", "GREY", "INT8", "LEVELS"])
def test_it_compiles_and_its_input_is_the_contracts(name: str, tmp_path: Path) -> None:
    contract = getattr(contracts, name)
    project = written(contract, tmp_path)
    test = project / "face/src/test/kotlin/com/example/facemodel/PreprocessingTest.kt"
    # To the bit where no face is turned.
    text = test.read_text()
    assert "mostLevels = 1" in text
    test.write_text(text.replace("mostLevels = 1", "mostLevels = 0"))
    said = outcome(project, tmp_path / "classes").splitlines()
    assert said[:2] == ["passed chips", "passed photo"], said
    (exact,) = (i.pixels for i in contracts.golden(contract).images if i.name == "exact")
    right = contract.apply(exact)[contract.input_names[0]].ravel()
    made = np.array(said[2].split(), np.float32)
    # Kotlin's bytes have a sign.
    made = made % 256 if contract.dtype == "uint8" else made
    np.testing.assert_allclose(made, right.astype(np.float32), rtol=0, atol=1e-5)


_FAULTS = {
    "swapped": ("Preprocessing.kt", "rgb[i + 2 - 2 * (i % 3)]", "rgb[i]"),
    "uncropped": ("Preprocessing.kt", "crop.left * chip.width", "0.0"),
    "bilinear": ("Resize.kt", "if (box.width >= width", "if (box.width < 0"),
    "misframed": ("Framing.kt", "Point(0.305", "Point(0.355"),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_mistake_fails_its_test(fault: str, tmp_path: Path) -> None:
    file, right, wrong = _FAULTS[fault]
    project = written(contracts.AREA_BGR, tmp_path)
    # Only what the JVM test needs compiles sooner.
    shutil.rmtree(project / "app/src/main/kotlin")
    shutil.rmtree(project / "app/src/androidTest/kotlin")
    code = project / "face/src/main/kotlin/com/example/facemodel" / file
    text = code.read_text()
    assert right in text
    code.write_text(text.replace(right, wrong))
    said = outcome(project, tmp_path / "classes")
    assert "failed photo" in said
    assert ("failed chips" in said) == (fault != "misframed")
