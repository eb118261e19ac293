"""Trained weights: a safetensors file with its model's id, and a card beside it.

The metadata of the file contains the model id, its configuration and the contract, so that a
weights file can be exported without its card. The card is for people: data, terms, split, metrics.
Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
from agecompact.filetypes import kind_of, unreadable
from agecompact.formats import FORMATS
from agecompact.models import registry
from agecompact.models.registry import UnfitConfigError
from agecompact.serialization import parse_json, unstructure
from agecompact.weights import fitting
from agecompact.weights.statedicts import Part, StateDict

if TYPE_CHECKING:
    from torch import Tensor, nn

_METADATA_KEY = "agecompact"
_SUFFIX = FORMATS["pytorch"].suffix
_WRITE_AGAIN = "write it with agecompact.weights.checkpoints.write"


@dataclass(frozen=True)
class _Header:
    """What the metadata of a weights file contains.

    Attributes:
        model: Registered id of the model.
        config: Configuration of the model's factory.
        contract: Contract of the weights, NCHW.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    model: str
    config: Mapping[str, Any]
    contract: Contract


@dataclass(frozen=True)
class Weights:
    """A weights file, read and checked.

    Attributes:
        path: Path of the file.
        sha256: Hash of the file.
        model_id: Registered id of the model.
        config: Configuration of the model's factory.
        contract: Contract of the weights, NCHW.
        state: Tensors by name, converted to float32.
        card: The card beside the file; empty if there is none.
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
        """Terms of the training data; empty if the card does not state them."""
        data = self.card.get("data")
        return str(data.get("terms", "")) if isinstance(data, Mapping) else ""

    def network(self) -> nn.Module:
        """The network with these weights, in evaluation mode.

        Raises:
            UsageError: The tensors do not match the model.
        """
        import torch

        from agecompact.models.returned import conform

        if self.config:
            # It may be of any size, so its shapes are compared before it takes memory. A factory of
            # another package may fail here, if it computes with tensors.
            with contextlib.suppress(UnfitConfigError), torch.device("meta"):
                self._compare(registry.build(self.model_id, self.config))
        network = registry.build(self.model_id, self.config).eval()
        self._compare(network)
        network.load_state_dict(dict(self.state), strict=False)
        return conform(network, self.contract)

    def _compare(self, network: nn.Module) -> None:
        expected = {k: v for k, v in network.state_dict().items() if not fitting.is_counter(k)}
        _check_names(self.path, set(expected), set(self.state))
        for name, tensor in self.state.items():
            if tensor.shape != expected[name].shape:
                raise UsageError(
                    f"{self.path} does not match its model '{self.model_id}'",
                    why=f"'{name}' has shape {tuple(tensor.shape)}, in the model "
                    f"{tuple(expected[name].shape)}",
                    fix=_WRITE_AGAIN,
                )


def card_path(weights: Path) -> Path:
    """Path of the card: `W.json` beside `W.safetensors`."""
    return weights.with_suffix(".json")


def released_path(model_id: str) -> Path:
    """Path of a model's released weights, inside the package.

    Raises:
        UsageError: There is no such model, or it has no released weights.
    """
    registry.get(model_id)
    if not is_released(model_id):
        raise UsageError(
            f"'{model_id}' has no released weights", fix="name a weights file with --weights"
        )
    return _released_path(model_id)


def is_released(model_id: str) -> bool:
    """Whether a model has released weights."""
    return _released_path(model_id).is_file()


def _released_path(model_id: str) -> Path:
    return Path(str(package_files("agecompact") / "weights" / f"{model_id}{_SUFFIX}"))


def names_its_model(path: Path) -> bool:
    """Whether a file is a weights file of agecompact, by its content.

    Raises:
        UsageError: It is a damaged safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if kind_of(path) != "pytorch":
        return False
    try:
        with safe_open(path, framework="pt") as stream:
            return _METADATA_KEY in (stream.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error, wanted="pytorch") from None


def read(path: Path) -> Weights:
    """Reads and checks a weights file.

    Raises:
        UsageError: The file is missing, is not a safetensors file, was not written by agecompact or
            contains NaN or Inf, or the card beside it belongs to another file.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(f"no weights at {path}", fix="check the path")
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            state = {name: stream.get_tensor(name).float() for name in stream.keys()}  # noqa: SIM118
    # torch raises a RuntimeError for a tensor of too many dimensions.
    except (SafetensorError, OSError, RuntimeError) as error:
        raise unreadable(path, error, wanted="pytorch") from None
    if _METADATA_KEY not in metadata:
        raise UsageError(
            f"{path} does not name its model",
            why=f"its metadata has no '{_METADATA_KEY}' entry",
            fix=f"agecompact weights import {path} --model MODEL --out NEW{_SUFFIX}",
        )
    header = parse_json(
        metadata[_METADATA_KEY], _Header, where=f"the header of {path}", fix=_WRITE_AGAIN
    )
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise UsageError(
                f"{path} is not usable",
                why=f"'{name}' contains NaN or Inf",
                fix="use an earlier checkpoint, or train again",
            )
    registry.get(header.model)
    sha256 = sha256_of(path)
    return Weights(
        path=path,
        sha256=sha256,
        model_id=header.model,
        config=header.config,
        contract=header.contract,
        state=state,
        card=read_card(path, sha256),
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
    """Writes a network's weights, and the card beside them.

    Args:
        path: The file, `*.safetensors`.
        network: The network, or one around it whose names only have a prefix more: DataParallel,
            `torch.compile`, an EMA, a LightningModule.
        model_id: Registered id of the model.
        config: Configuration of the model's factory, if not the default.
        contract: Contract of the weights, if not that of the model and the config.
        card: Information for people; the model, the contract and the hash are added.
        half: Store float16, except BN statistics: running variances exceed 65,504 in public
            weights.

    Returns:
        The SHA-256 of the file.

    Raises:
        UsageError: A weight is NaN or Inf, the network is not the model's, or the file has another
            suffix.
        OutputError: The folder cannot be written to, or the disk is full.
    """
    import torch
    from safetensors.torch import save

    if path.suffix != _SUFFIX:
        raise UsageError(
            f"cannot write weights to {path}",
            why=f"a weights file needs the suffix {_SUFFIX}",
            fix=f"write to {path.with_suffix(_SUFFIX)}",
        )
    contract = contract or registry.contract_of(model_id, config)
    state = {}
    for name, tensor in _own_tensors(path, network, model_id, config).items():
        keep = not half or "running_" in name
        stored = tensor.to(torch.float32 if keep else torch.float16).contiguous()
        if not torch.isfinite(stored).all():
            raise UsageError(
                f"cannot write weights to {path}",
                why=f"'{name}' contains NaN or Inf as {stored.dtype}",
                fix="store float32 weights" if half else "use an earlier checkpoint",
            )
        state[name] = stored
    header = unstructure(_Header(model_id, dict(config or {}), contract))
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(state, {_METADATA_KEY: canonical_json(header)}))
    sha256 = sha256_of(path)
    write_text(
        card_path(path),
        pretty_json({**(card or {}), **header, "file": path.name, "sha256": sha256}),
    )
    return sha256


def read_card(path: Path, sha256: str) -> Mapping[str, Any]:
    """Reads the card beside a weights file; empty if there is none.

    Args:
        path: The weights file.
        sha256: Its hash.

    Raises:
        UsageError: The card cannot be read, or belongs to another file.
    """
    place = card_path(path)
    if not place.is_file():
        return {}
    card = read_json(place, what="card")
    if card.get("sha256") != sha256:
        raise UsageError(
            f"{place} is the card of another file",
            why=f"the sha256 of {path.name} is {sha256}",
            fix="restore the weights that belong to the card, or remove the card",
        )
    return card


def _own_tensors(
    path: Path, network: nn.Module, model_id: str, config: Mapping[str, Any] | None
) -> Mapping[str, Tensor]:
    """A network's tensors by the names of its model, whatever is around the network.

    Raises:
        UsageError: They are not the model's.
    """
    from torch import Tensor

    tensors = {k: v.detach() for k, v in network.state_dict().items() if isinstance(v, Tensor)}
    held = StateDict(path, "", (Part((), tensors),))
    try:
        return fitting.match(held, registry.outline(model_id, config)).tensors
    except fitting.MisfitError as error:
        raise UsageError(
            f"cannot write weights to {path}: the network is not '{model_id}'",
            why=error.why,
            fix="name the model and the config that the network was built with",
        ) from None
    except fitting.AmbiguousError as error:
        raise UsageError(
            f"cannot write weights to {path}: several networks in this one are '{model_id}'",
            why=error.why,
            fix="pass one of them",
        ) from None


def _check_names(path: Path, expected: set[str], found: set[str]) -> None:
    missing, surplus = sorted(expected - found), sorted(found - expected)
    if missing or surplus:
        named = [f"missing {', '.join(missing[:3])}"] if missing else []
        named += [f"not in the model {', '.join(surplus[:3])}"] if surplus else []
        raise UsageError(
            f"{path} does not match its model",
            why=f"{len(missing)} tensors missing, {len(surplus)} too many: {'; '.join(named)}",
            fix=_WRITE_AGAIN,
        )
