"""The face detector, and the reader of HEIC pictures."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from agecompact.diagnosis.checks import Check, Settings
from agecompact.errors import BackendMissingError
from agecompact.faces.detection import DETECTORS, default

_HEIF = "pillow_heif"


def checks(settings: Settings) -> Iterator[Check]:  # noqa: ARG001 - both are looked up one way.
    """Yields the check of the best detector, and that of HEIC."""
    yield Check("faces", _detector, ("predict and --framing detect miss every fifth face",))
    yield Check("HEIC", _heif, ("predict and data of *.heic, an iPhone's photos",))


def _detector() -> str:
    best, used = next(iter(DETECTORS.values())), default()
    if used is not best:
        raise BackendMissingError(
            f"{used.title} finds the faces, not {best.title}",
            why=f"Python cannot import '{best.needs}'",
            fix=best.install,
        )
    return best.title


def _heif() -> str:
    if find_spec(_HEIF) is None:
        raise BackendMissingError(
            "HEIC pictures cannot be read",
            why=f"Python cannot import '{_HEIF}'",
            fix="pip install pillow-heif",
        )
    return "pillow-heif"
