"""Matches the tensors of a state dict to a network's, wherever they are and whatever their names.

A file is read in several ways: each place that holds tensors, with each prefix that its names or
the network's may have, under each naming. A way fits if it has every tensor of the network, each of
the right shape, and no other. Of several that fit, averaged weights (EMA, SWA) come first, as they
are what a training evaluates; if that does not decide, and they differ, the file is refused.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from agecompact.errors import UsageError
from agecompact.filetypes import kind_of, tensors_path
from agecompact.weights.naming import Naming, namings
from agecompact.weights.statedicts import Part, StateDict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from agecompact.models.trainable import Heads

# BN's batch counter, and what the profiler thop adds to every module: no output depends on them.
_COUNTERS = ("num_batches_tracked", "total_ops", "total_params")
# Modules that wrap another one in place, so that their name is within the names of its tensors.
_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|avg|average|averaged|shadow|polyak)(?:[._]|$)", re.I)
_PREFIXES = 4
_SHOWN = 3
_FIX = "name weights of this network, or build the network that they are of"


@dataclass(frozen=True)
class Match:
    """A network's tensors, found in a state dict.

    Attributes:
        tensors: As stored, by the network's names; no counters.
        names: The state dict's names, by the network's.
        notes: What was unwrapped, renamed and left out, for people.
    """

    tensors: Mapping[str, Tensor]
    names: Mapping[str, str]
    notes: tuple[str, ...]


class MisfitError(UsageError):
    """No way to read a state dict fits the network."""


class AmbiguousError(UsageError):
    """Several networks in a state dict fit, and they differ."""


def fit(
    state: StateDict, network: nn.Module, *, name: str = "", heads: Heads | None = None
) -> Match:
    """Finds a network's tensors in a state dict, finite and with float32 in place of other floats.

    Args:
        state: The state dict.
        network: As in `match`; `network.load_state_dict(fit(...).tensors, strict=False)` fills it.
        name: As in `match`.
        heads: As in `match`.

    Raises:
        MisfitError: As in `match`.
        AmbiguousError: As in `match`.
        UsageError: A tensor is quantised, NaN or Inf.
    """
    return _converted(state, match(state, network, name=name, heads=heads), network)


def match(
    state: StateDict, network: nn.Module, *, name: str = "", heads: Heads | None = None
) -> Match:
    """Finds a network's tensors in a state dict by name and shape, and leaves them as they are.

    Args:
        state: The state dict.
        network: The network, on any device, the meta device included; it does not change.
        name: What the network is called in messages, if not its class.
        heads: To fill a trunk: the network's own head, which is not looked for, and the classifier
            in the state dict, which is left out.

    Raises:
        MisfitError: Tensors are missing, left over or of another shape.
        AmbiguousError: Several networks in the file fit.
    """
    wanted = tensors_of(network)
    if heads:
        wanted = {key: value for key, value in wanted.items() if not key.startswith(heads.own)}
    own, *others = namings(wanted, (heads.published,) if heads else ())
    # A traced network has all its buffers in its state dict.
    constants = frozenset(key for key, _ in network.named_buffers()) - wanted.keys()
    readings = [
        reading
        for part in state.parts
        for naming in (own, *(others if heads else ()))
        for reading in _readings(part, naming, wanted, constants)
    ]
    fitting = [reading for reading in readings if not reading.faults]
    if not fitting:
        raise _misfit(state, name or type(network).__name__, readings, wanted)
    chosen = _chosen(state, fitting)
    notes = tuple(_notes(state, chosen))
    if chosen.averaged and not all(reading.averaged for reading in fitting):
        notes = (f"chose '{chosen.origin}': averaged weights come before others", *notes)
    tensors = {own: chosen.tensors[name] for own, name in chosen.own.items()}
    return Match(tensors, chosen.own, notes)


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """A network's tensors by name, without counters."""
    return {name: value for name, value in network.state_dict().items() if not is_counter(name)}


def is_counter(name: str) -> bool:
    """Whether a tensor is a counter, which no output depends on."""
    return name.endswith(_COUNTERS)


def without_wrappers(name: str) -> str:
    """A tensor's name without those of modules that wrap another one in place."""
    return _WRAPPERS.sub("", name)


@dataclass(frozen=True)
class _Reading:
    """One way to read the tensors of a network from a part of a file.

    Attributes:
        part: The part.
        prefix: What the file's names begin with, and the network's do not.
        added: The reverse.
        naming: Whose names the file has.
        wrapped: Whether names inside have wrappers' names.
        tensors: By the file's names, without prefix and wrappers.
        outside: Names of the part's tensors that do not begin with the prefix.
        wanted: The network's tensors.
        constants: Names of buffers that the network makes itself.
    """

    part: Part
    prefix: str
    added: str
    naming: Naming
    wrapped: bool
    tensors: Mapping[str, Tensor]
    outside: tuple[str, ...]
    wanted: Mapping[str, Tensor]
    constants: frozenset[str]

    @cached_property
    def own(self) -> Mapping[str, str]:
        """The file's name, by the network's."""
        known = self.naming.own
        return {
            known[self.added + name]: name for name in self.tensors if self.added + name in known
        }

    @cached_property
    def missing(self) -> list[str]:
        """The network's tensors that the file does not have."""
        return [name for name in self.wanted if name not in self.own]

    @cached_property
    def surplus(self) -> list[str]:
        """Tensors of the file that the network does not have."""
        used = set(self.own.values())
        return [
            name
            for name in self.tensors
            if name not in used | self.constants and not name.startswith(self.naming.classifier)
        ]

    @cached_property
    def unlike(self) -> list[str]:
        """The network's names of tensors that have another shape."""
        return [
            n for n, name in self.own.items() if self.tensors[name].shape != self.wanted[n].shape
        ]

    @property
    def faults(self) -> int:
        """How many tensors keep it from fitting."""
        return len(self.missing) + len(self.surplus) + len(self.unlike)

    @property
    def origin(self) -> str:
        """Where in the file it is, for people."""
        return f"{self.part.place}.{self.prefix}".strip(".")

    @property
    def averaged(self) -> bool:
        """Whether its place says that it holds averaged weights."""
        return _AVERAGED.search(self.origin) is not None

    def equals(self, other: _Reading) -> bool:
        """Whether both hold the same values."""
        return all(
            self.tensors[name].equal(other.tensors[other.own[key]])
            for key, name in self.own.items()
        )


def _readings(
    part: Part, naming: Naming, wanted: Mapping[str, Tensor], constants: frozenset[str]
) -> Iterator[_Reading]:
    """The ways to read a part under a naming; the one without any prefix comes first."""
    plain = {name: without_wrappers(name) for name in part.tensors if not is_counter(name)}
    wrapped = any(name != inside for name, inside in plain.items())
    removed = [prefix for prefix in _prefixes(plain.values(), naming.own) if prefix]
    added = [prefix for prefix in _prefixes(naming.own, set(plain.values())) if prefix]
    for prefix, more in (("", ""), *((p, "") for p in removed), *(("", p) for p in added)):
        yield _Reading(
            part,
            prefix,
            more,
            naming,
            wrapped,
            {
                inside.removeprefix(prefix): part.tensors[name]
                for name, inside in plain.items()
                if inside.startswith(prefix)
            },
            tuple(inside for inside in plain.values() if not inside.startswith(prefix)),
            wanted,
            constants,
        )


def _prefixes(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """What names begin with before a known name, the most frequent first."""
    known = set(known)
    counts: Counter[str] = Counter()
    for name in names:
        starts = [0, *(match.end() for match in re.finditer(r"\.", name))]
        counts.update(name[:start] for start in starts if name[start:] in known)
    return [prefix for prefix, _ in counts.most_common(_PREFIXES)]


def _chosen(state: StateDict, fitting: Sequence[_Reading]) -> _Reading:
    best = [reading for reading in fitting if reading.averaged] or list(fitting)
    if all(best[0].equals(other) for other in best[1:]):
        return best[0]
    origins = [reading.origin or "the top" for reading in best]
    first = best[-1]
    found = "".join(f"[{key!r}]" for key in first.part.keys)
    old = repr(str(state.path))
    load = f"torch.load({old}, map_location='cpu', weights_only=False)"
    if kind_of(state.path) == "pytorch":
        load = f"__import__('safetensors.torch').torch.load_file({old})"
    new = str(tensors_path(state.path))
    raise AmbiguousError(
        f"{state.path} holds several networks that fit",
        why=f"their weights differ: {', '.join(map(repr, origins))}",
        fix="\n".join(
            (
                f"choose one with Python, such as {first.origin!r}, then name {new}:",
                f"import torch; found = {load}{found}",
                f"torch.save({{k: v for k, v in found.items() if k.startswith({first.prefix!r})}}, "
                f"{new!r})",
            )
        ),
    )


def _converted(state: StateDict, found: Match, network: nn.Module) -> Match:
    import torch

    wanted = network.state_dict()
    tensors = dict(found.tensors)
    dtypes: Counter[str] = Counter()
    for own, stored in found.tensors.items():
        if not wanted[own].is_floating_point():
            continue
        dtype = str(stored.dtype).removeprefix("torch.")
        if not stored.is_floating_point():
            raise UsageError(
                f"{state.path} holds weights that are not floats",
                why=f"'{found.names[own]}' is {dtype}: it is quantised, or not a weight",
                fix="save the float32 network: torch.save(network.state_dict(), FILE)",
            )
        tensors[own] = stored.float()
        if not torch.isfinite(tensors[own]).all():
            raise UsageError(
                f"{state.path} is not usable",
                why=f"'{found.names[own]}' contains NaN or Inf",
                fix="use an earlier checkpoint, or train again",
            )
        if dtype != "float32":
            dtypes[dtype] += 1
    converted = [f"converted {n} tensors from {dtype} to float32" for dtype, n in dtypes.items()]
    return Match(tensors, found.names, (*found.notes, *converted))


def _notes(state: StateDict, reading: _Reading) -> Iterator[str]:
    if reading.part.keys:
        yield f"unwrapped '{reading.part.place}'"
    if reading.wrapped:
        yield "removed names of wrappers, such as '_orig_mod.'"
    if reading.prefix:
        yield f"removed prefix '{reading.prefix}'"
    if reading.added:
        yield f"added prefix '{reading.added}'"
    if reading.naming.origin:
        yield f"renamed from {reading.naming.origin}'s names"
    tops = dict.fromkeys(part.keys[0] for part in state.parts if part.keys)
    unused = [top for top in tops if top not in reading.part.keys[:1]]
    if reading.part.keys:
        unused += [n for part in state.parts if not part.keys for n in part.tensors]
    classes = [n for n in reading.tensors if n.startswith(reading.naming.classifier)]
    ignored = [*unused, *state.others, *reading.outside, *classes]
    if ignored:
        yield f"ignored {_listed(ignored)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _misfit(
    state: StateDict, title: str, readings: Sequence[_Reading], wanted: Mapping[str, Tensor]
) -> MisfitError:
    """The error for the way that is the nearest to a fit."""
    best = min(readings, key=lambda reading: reading.faults)
    counts = {
        f"of its {len(wanted)} tensors missing": best.missing,
        "of the file's left over": best.surplus,
        "of another shape": best.unlike,
    }
    lines = [", ".join(f"{len(names)} {what}" for what, names in counts.items() if names)]
    for name in best.missing[:_SHOWN]:
        near = difflib.get_close_matches(name, best.surplus, n=1)
        lines.append(f"missing: {name}" + (f"; the nearest left over: {near[0]}" if near else ""))
    if best.surplus:
        lines.append(f"left over: {_listed(best.surplus)}")
    for name in best.unlike[:_SHOWN]:
        shape, own = tuple(best.tensors[best.own[name]].shape), tuple(wanted[name].shape)
        lines.append(f"'{name}' has shape {shape}, in the network {own}")
    if best.prefix or best.added:
        verb = "begin with" if best.prefix else "lack"
        lines.append(f"likely prefix: '{best.prefix or best.added}', which its names {verb}")
    if best.part.keys:
        lines.append(f"the nearest part of the file is '{best.part.place}'")
    return MisfitError(f"{state.path} does not fit {title}", why="\n".join(lines), fix=_FIX)
