"""The metadata inside every exported file, as canonical JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.files import canonical_json
from agecompact.serialization import parse_json, unstructure

# The key in ONNX `metadata_props` and Core ML user-defined metadata, and the name of the TFLite
# metadata buffer.
KEY = "agecompact"


class MetadataError(UsageError):
    """A valid file has no metadata of agecompact, or unreadable metadata."""


@dataclass(frozen=True)
class ArtifactMetadata:
    """Metadata of an artefact.

    Attributes:
        model: Registered id of the model.
        precision: Precision of the stored weights.
        contract: Inputs and output, in the artefact's own layout and dtype.
        weights_sha256: Hash of the weights file that it was converted from.
        source: Paper or code that the model follows.
        terms: Terms of the weights, from their card; empty if the card has none.
        versions: Versions of the tools that made it, by distribution name.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    model: str
    precision: str
    contract: Contract
    weights_sha256: str
    source: str
    terms: str
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """Canonical JSON, as artefacts contain it."""
        return canonical_json(unstructure(self))

    @classmethod
    def from_json(cls, text: str, *, where: str = "an artefact") -> ArtifactMetadata:
        """Reads the JSON of `to_json`.

        Args:
            text: The JSON.
            where: The file that contains it, for the error message.

        Raises:
            MetadataError: It is not JSON, has another schema version, or a field is missing,
                unknown or invalid.
        """
        try:
            return parse_json(text, cls, where=f"the metadata of {where}")
        except UsageError as error:
            raise MetadataError(
                error.what, why=error.why, fix="make the artefact again with agecompact export"
            ) from None
