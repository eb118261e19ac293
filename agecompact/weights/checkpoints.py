"""Trained weights: a safetensors file that says what it is, and a card beside it with the rest.

The file's own metadata carries the model id, the layout's configuration and the contract, so that a
weights file without its card still exports. The card is for people: data, terms, split, metric.
Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.files import (
    atomic_path,
    canonical_json,
    pretty_json,
    read_json,
    sha256_of,
    write_text,
)
from agecompact.models import registry

if TYPE_CHECKING:
    from torch import Tensor, nn

SCHEMA_VERSION = 1
_METADATA_KEY = "agecompact"
_HEADER_KEYS = {"schema_version", "model", "config", "contract"}
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Weights:
    """A weights file, read and checked.

    Attributes:
        path: Where it was read from.
        sha256: Hash of the file.
        model_id: Registered id of its model.
        config: Configuration of the model's factory.
        contract: How images become its inputs, NCHW.
        state: Tensors by name, float32, whatever the file stores.
        card: The card beside the file, or an empty mapping.
    """

    path: Path
    sha256: str
    model_id: str
    config: Mapping[str, Any]
    contract: Contract
    state: Mapping[str, Tensor]
    card: Mapping[str, Any]

    @property
    def terms(self) -> str:
        """Terms of the training data, empty where the card does not tell."""
        data = self.card.get("data")
        return str(data.get("terms", "")) if isinstance(data, Mapping) else ""

    def network(self) -> nn.Module:
        """The network with these weights, in evaluation mode.

        Raises:
            UsageError: The tensors are not those of the model.
        """
        network = registry.build(self.model_id, self.config).eval()
        expected = {k: v for k, v in network.state_dict().items() if not _is_counter(k)}
        _check_names(self.path, set(expected), set(self.state))
        for name, tensor in self.state.items():
            if tensor.shape != expected[name].shape:
                raise UsageError(
                    f"{self.path} does not fit '{self.model_id}'",
                    why=f"'{name}' is {tuple(tensor.shape)}, the model's is "
                    f"{tuple(expected[name].shape)}",
                )
        network.load_state_dict(dict(self.state), strict=False)
        return network


def card_path(weights: Path) -> Path:
    """The card's place: `W.json` beside `W.safetensors`."""
    return weights.with_suffix(".json")


def released_path(model_id: str) -> Path:
    """The released weights of a model, in the package.

    Raises:
        UsageError: No such model, or none was released.
    """
    registry.get(model_id)
    path = Path(str(package_files("agecompact") / "weights" / f"{model_id}{_SUFFIX}"))
    if not path.is_file():
        raise UsageError(
            f"no weights are released for '{model_id}'",
            fix="name a file with --weights",
        )
    return path


def read(path: Path) -> Weights:
    """Reads and checks a weights file.

    Raises:
        UsageError: Missing, not safetensors, not written by agecompact, NaN or Inf inside, or its
            card's hash is another file's.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(f"no weights at {path}")
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            state = {name: stream.get_tensor(name).float() for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"{path} is no safetensors file",
            why=str(error),
            fix=f"Keras files are converted with: agecompact weights import {path} --model ...",
        ) from None
    if _METADATA_KEY not in metadata:
        raise UsageError(
            f"{path} does not say which model it belongs to",
            why=f"its metadata has no '{_METADATA_KEY}' entry",
            fix="write it with agecompact.weights.checkpoints.write",
        )
    header = _read_header(path, metadata[_METADATA_KEY])
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise UsageError(f"{path} is broken", why=f"'{name}' holds NaN or Inf")
    registry.get(header["model"])
    sha256 = sha256_of(path)
    return Weights(
        path=path,
        sha256=sha256,
        model_id=header["model"],
        config=header["config"],
        contract=Contract.from_json(json.dumps(header["contract"])),
        state=state,
        card=_read_card(path, sha256),
    )


def write(
    path: Path,
    network: nn.Module,
    *,
    model_id: str,
    config: Mapping[str, Any] | None = None,
    contract: Contract | None = None,
    card: Mapping[str, Any] | None = None,
    half: bool = False,
) -> str:
    """Writes a network's weights, and its card beside them.

    Args:
        path: The file, `*.safetensors`.
        network: The network.
        model_id: Its registered id.
        config: Configuration of the model's factory, when not the default layout.
        contract: Its contract, when not the registry's.
        card: What people should know; completed with the model, the contract and the hash.
        half: Store in float16 what bears it. BN statistics stay float32: running variances exceed
            65,504 in public weights.

    Returns:
        The file's SHA-256.

    Raises:
        UsageError: A weight is NaN or Inf, or the file's suffix is another.
        OutputError: The place cannot be written to or is full.
    """
    import torch
    from safetensors.torch import save

    if path.suffix != _SUFFIX:
        raise UsageError(f"will not write {path}", why=f"a weights file needs the suffix {_SUFFIX}")
    contract = contract or registry.get(model_id).contract
    state = {}
    for name, tensor in network.state_dict().items():
        if _is_counter(name):
            continue
        keep = not half or "running_" in name
        stored = tensor.detach().to(torch.float32 if keep else torch.float16).contiguous()
        if not torch.isfinite(stored).all():
            raise UsageError(
                f"will not write {path}", why=f"'{name}' holds NaN or Inf as {stored.dtype}"
            )
        state[name] = stored
    header = {
        "schema_version": SCHEMA_VERSION,
        "model": model_id,
        "config": dict(config or {}),
        "contract": json.loads(contract.to_json()),
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(state, {_METADATA_KEY: canonical_json(header)}))
    sha256 = sha256_of(path)
    write_text(
        card_path(path),
        pretty_json({**(card or {}), **header, "file": path.name, "sha256": sha256}),
    )
    return sha256


def _read_header(path: Path, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} has an unreadable header", why=str(error)) from None
    if not isinstance(header, dict) or not header.keys() >= _HEADER_KEYS:
        raise UsageError(
            f"{path} has an unreadable header", why=f"it needs {', '.join(sorted(_HEADER_KEYS))}"
        )
    if header["schema_version"] != SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {header['schema_version']!r}",
            why=f"this agecompact reads version {SCHEMA_VERSION}",
        )
    return header


def _read_card(path: Path, sha256: str) -> Mapping[str, Any]:
    place = card_path(path)
    if not place.is_file():
        return {}
    card = read_json(place, what="card")
    if card.get("sha256") != sha256:
        raise UsageError(
            f"{place} is the card of another file",
            why=f"{path.name} has sha256 {sha256}",
            fix="restore the pair, or remove the card",
        )
    return card


def _is_counter(name: str) -> bool:
    """Whether a state dict entry is BN's batch counter, which inference never reads."""
    return name.endswith("num_batches_tracked")


def _check_names(path: Path, expected: set[str], found: set[str]) -> None:
    missing, surplus = sorted(expected - found), sorted(found - expected)
    if missing or surplus:
        named = [f"missing {', '.join(missing[:3])}"] if missing else []
        named += [f"not in the model {', '.join(surplus[:3])}"] if surplus else []
        raise UsageError(
            f"{path} does not fit its model",
            why=f"{len(missing)} tensors missing, {len(surplus)} too many: {'; '.join(named)}",
        )
