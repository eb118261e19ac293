"""What an artefact says of itself: one canonical JSON inside every file that is exported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.files import canonical_json

SCHEMA_VERSION = 1

# The key in ONNX `metadata_props` and Core ML user-defined metadata, and the name of the TFLite
# metadata buffer.
KEY = "agecompact"


class MetadataError(UsageError):
    """A file that opens does not say, or not legibly, what it is."""


@dataclass(frozen=True)
class ArtifactMetadata:
    """The self-description of an artefact.

    Attributes:
        model: Registered id of the model.
        precision: `float32` or `float16`, of the stored weights.
        contract: What goes in and comes out, in the artefact's own layout and dtype.
        weights_sha256: Hash of the weights file it was converted from.
        source: Paper or code that the model follows.
        terms: Terms of the weights, from their card; empty when it says nothing.
        versions: Tool versions that made it, by distribution name.
    """

    model: str
    precision: str
    contract: Contract
    weights_sha256: str
    source: str
    terms: str
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """Canonical JSON."""
        fields = asdict(self)
        fields["contract"] = json.loads(self.contract.to_json())
        return canonical_json({"schema_version": SCHEMA_VERSION, **fields})

    @classmethod
    def from_json(cls, text: str) -> ArtifactMetadata:
        """Reads what `to_json` wrote.

        Raises:
            MetadataError: Not JSON, another schema version, or a field missing, unknown or wrong.
        """
        try:
            value = json.loads(text)
            version = value.pop("schema_version")
            if version != SCHEMA_VERSION:
                raise ValueError(
                    f"schema version {version!r}, this agecompact reads {SCHEMA_VERSION}"
                )
            contract = Contract.from_json(canonical_json(value.pop("contract")))
            return cls(contract=contract, **value)
        except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
            raise MetadataError("the artefact's metadata cannot be read", why=str(error)) from None
