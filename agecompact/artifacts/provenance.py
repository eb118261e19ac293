"""Compares what an artefact says about itself with the manifest of its build."""

from __future__ import annotations

from agecompact.artifacts.manifest import Entry, Manifest
from agecompact.artifacts.metadata import ArtifactMetadata

# Parts of the contract that are the same in every format. The others depend on where the image is
# normalised, and a wrong one changes the output.
_CONTRACT = ("crops", "height", "width", "interpolation", "outputs")


def differences(described: ArtifactMetadata, manifest: Manifest, entry: Entry) -> tuple[str, ...]:
    """The differences between the metadata in an artefact and the manifest, for people.

    Args:
        described: The metadata.
        manifest: The manifest of the artefact's build.
        entry: The artefact's entry in it.
    """
    pairs = (
        ("model", described.model, manifest.model),
        ("precision", described.precision, entry.precision),
        ("weights_sha256", described.weights_sha256, manifest.weights_sha256),
        ("source", described.source, manifest.source),
        ("terms", described.terms, manifest.terms),
        ("versions", dict(described.versions), dict(entry.versions)),
    )
    mine, theirs = described.contract, manifest.contract
    return (
        *(
            f"its metadata has {what} {found!r}, not {wanted!r}"
            for what, found, wanted in pairs
            if found != wanted
        ),
        *(
            f"its contract has another {part}: {getattr(mine, part)}, not {getattr(theirs, part)}"
            for part in _CONTRACT
            if getattr(mine, part) != getattr(theirs, part)
        ),
    )
