"""Writes a project: its code, the artefact, the golden images and their right answers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from agecompact import __version__
from agecompact.artifacts.confined import regular
from agecompact.contract import Contract, Crop, Image
from agecompact.errors import UsageError
from agecompact.faces import blazeface
from agecompact.faces.cutting import TEMPLATE
from agecompact.faces.detection import DETECTORS
from agecompact.files import atomic_path, output_errors, pretty_json, sha256_of
from agecompact.formats import format_of
from agecompact.integrate.answers import Answers, Golden, greatest_difference
from agecompact.integrate.platforms import Platform
from agecompact.integrate.rendering import rendered
from agecompact.integrate.steps import input_steps, output_step

GOLDEN_FILE = "golden.json"
# Says that a folder is one of ours, which the next run may replace.
MARK = ".agecompact-project"
_SCHEMA_VERSION = 1


def check_target(folder: Path) -> None:
    """Refuses a folder that holds anything but an older project.

    Raises:
        UsageError: It is a file, or not empty and not ours.
    """
    if not folder.exists() or (folder.is_dir() and (folder / MARK).is_file()):
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise UsageError(
            f"{folder} exists, and is no project of agecompact",
            why="a project replaces its whole folder",
            fix="name a new folder with --out",
        )


def write_project(path: Path, golden: Golden, platform: Platform, folder: Path) -> None:
    """Writes a project completely, or not at all.

    Args:
        path: The artefact.
        golden: What `golden_of` found for it.
        platform: What the project is for.
        folder: Where to write it; replaced if it is an older project.

    Raises:
        UsageError: The platform does not run such files, or the folder holds something else.
        OutputError: The folder cannot be written.
    """
    platform.check(format_of(path))
    check_target(folder)
    detector = _detector(platform)
    files = rendered(platform.name, _values(path, golden, platform, detector))
    with atomic_path(folder) as partial, output_errors(folder):
        for place, text in files.items():
            (partial / place).parent.mkdir(parents=True, exist_ok=True)
            (partial / place).write_text(text, encoding="utf-8")
        _copy_model(path, partial / platform.model_folder / path.name)
        if detector:
            shutil.copyfile(detector, partial / platform.model_folder / detector.name)
        _write_golden(path, golden, partial / platform.golden_folder)
        (partial / MARK).write_text(f"{__version__}\n")


def _detector(platform: Platform) -> Path | None:
    """The model of the face detector that a project brings; None if it brings none."""
    if not (platform.needs_detector and DETECTORS["blazeface"].is_installed):
        return None
    return blazeface.model_file()


def _values(
    path: Path, golden: Golden, platform: Platform, detector: Path | None
) -> dict[str, Any]:
    """What templates use."""
    contract = golden.contract
    names = contract.output_names
    scale, shift = affine(contract)
    return {
        "agecompact_version": __version__,
        "artefact": path.name,
        "contract": contract,
        "costs": {
            name: {o: f"{greatest_difference(answers, golden.answers, o):.1f}" for o in names}
            for name, answers in golden.faults.items()
        },
        "crops": contract.crops,
        "detector": detector.name if detector else "",
        "detector_install": DETECTORS["blazeface"].install,
        "has_crops": any(crop != Crop(crop.name) for crop in contract.crops),
        "format": format_of(path).name,
        "golden": golden,
        "input_steps": input_steps(contract),
        "is_plain": not contract.takes_levels
        and scale == (1.0,) * contract.channels
        and shift == (0.0,) * contract.channels,
        "metadata": golden.metadata,
        "output_step": output_step,
        "outputs": contract.outputs,
        "platform": platform,
        "readings": {output.reading.kind for output in contract.outputs},
        "scale": scale,
        "shift": shift,
        "template": tuple(tuple(map(float, point)) for point in TEMPLATE),
    }


def affine(contract: Contract) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The input's value as `pixel * scale + shift`, for each channel in the contract's order."""
    low, high = contract.value_range
    return (
        tuple((high - low) / 255 / std for std in contract.std),
        tuple((low - mean) / std for mean, std in zip(contract.mean, contract.std, strict=True)),
    )


def _copy_model(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        # A package is a folder, in which a link could lead anywhere.
        shutil.copytree(regular(path), to)
    else:
        shutil.copyfile(path, to)


def _write_golden(path: Path, golden: Golden, folder: Path) -> None:
    contract = golden.contract
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    entries = []
    for image in golden.images:
        _write_png(folder / f"{image.name}.png", image.pixels)
        inputs = {}
        for name, crop in contract.crop(image.chip).items():
            # By number: the name of an input may be no name of a file.
            file = f"inputs/{image.name}-{contract.input_names.index(name)}.png"
            _write_png(folder / file, _shown(contract, contract.pixels(crop)))
            inputs[name] = file
        entry: dict[str, Any] = {
            "file": f"{image.name}.png",
            "shows": image.shows,
            "inputs": inputs,
            "answers": golden.answers[image.name],
            "landmarks": None if image.landmarks is None else asdict(image.landmarks),
        }
        if golden.reference is not None:
            entry["pytorch"] = golden.reference[image.name]
        entries.append(entry)
    index = {
        "schema_version": _SCHEMA_VERSION,
        "artefact": path.name,
        "artefact_sha256": sha256_of(path),
        "images": entries,
        "mistakes": [
            {"mistake": name, "answers": _by_file(answers)}
            for name, answers in golden.faults.items()
        ],
        "tolerances": golden.tolerances,
        "units": {output.name: output.unit for output in contract.outputs},
    }
    (folder / GOLDEN_FILE).write_text(pretty_json(index), encoding="utf-8")


def _by_file(answers: Answers) -> Mapping[str, Any]:
    return {f"{name}.png": values for name, values in answers.items()}


def _shown(contract: Contract, pixels: Image) -> Image:
    """An input's pixels in BGR or grey, as an image file is written."""
    return pixels[..., ::-1] if contract.color_order == "RGB" else pixels


def _write_png(path: Path, image: Image) -> None:
    import cv2

    done, content = cv2.imencode(".png", np.ascontiguousarray(image))
    assert done
    path.write_bytes(content.tobytes())
