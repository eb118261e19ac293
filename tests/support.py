"""Random networks that answer like trained ones, and the types of the shared fixtures."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from agecompact.artifacts.manifest import Build
from agecompact.models import registry
from agecompact.weights import checkpoints
from parity_tests import inputs
from parity_tests.check import check_builds
from parity_tests.plan import Plan
from parity_tests.results import Result

REPOSITORY = Path(__file__).parent.parent

# Of the first few seeds, the one whose networks are the best conditioned: PyTorch's own rounding is
# 2e-5 years on them, so that 1e-4 can be asked of the artefacts.
SEED = 3
_SPREAD = 0.1
_AGE_MEAN, _AGE_SPREAD = 40.0, 10.0


class BuildOf(Protocol):
    """The build of a model's random weights in all formats. Read only."""

    def __call__(self, model_id: str) -> Build: ...


class CopyBuild(Protocol):
    """A copy of a build to harm, of the artefacts named by suffix, or of all."""

    def __call__(self, model_id: str, *suffixes: str) -> Build: ...


class Agecompact(Protocol):
    """The command line, run in a process of its own as a user would, in an empty folder."""

    def __call__(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]: ...


def verdicts_on(build: Build) -> tuple[Result, ...]:
    """The verdicts on one build by the fixed inputs alone, without a look for culprits."""
    return check_builds([build], Plan(budget=None, localise="never"))


def random_network(model_id: str, seed: int = SEED) -> nn.Module:
    """A network of random weights whose answers vary over faces by years, as trained ones do.

    Fresh initialisations answer the same to everything. Here one pass over real inputs gives each
    BN the statistics of what it sees, and each Linear outputs that vary.
    """
    torch.manual_seed(seed)
    network = registry.build(model_id).eval()
    contract = registry.get(model_id).contract
    rows = [contract.tensors(sample.crops) for sample in inputs.standard(contract)]
    batch = [
        torch.from_numpy(np.concatenate([row[name] for row in rows]))
        for name in contract.input_names
    ]

    def standardise(linear: nn.Linear, _: object, output: Tensor) -> Tensor:
        last = linear is getattr(network, "age", None)
        mean, spread = (_AGE_MEAN, _AGE_SPREAD) if last else (0.0, _SPREAD)
        scale = spread / output.std(0).mean()
        shift = mean - output.mean(0) * scale
        linear.weight.mul_(scale)
        linear.bias.mul_(scale).add_(shift)
        return output * scale + shift

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.train()
            module.momentum = None
        elif isinstance(module, nn.Linear):
            hooks.append(module.register_forward_hook(standardise))
    with torch.no_grad():
        network(*batch)
    for hook in hooks:
        hook.remove()
    return network.eval()


def random_weights(path: Path, model_id: str, seed: int = SEED) -> Path:
    """Writes a random network's weights; returns the path."""
    card = {"data": {"terms": "Random; do as you like."}}
    checkpoints.write(path, random_network(model_id, seed), model_id=model_id, card=card)
    return path


def leaks(content: bytes) -> list[bytes]:
    """What tells of the machine or the code that made a file."""
    home = str(Path.home()).encode() + b"/"
    suspects = (str(REPOSITORY).encode(), home, b"/tmp/", b"site-packages", b'File "', b".py")
    return [suspect for suspect in suspects if suspect in content]


def write_package(
    folder: Path, name: str, modules: Mapping[str, str], models: Mapping[str, str]
) -> None:
    """Writes a package as pip would install it, with models as entry points.

    Args:
        folder: A folder to put on `sys.path`.
        name: Name of the package and its distribution.
        modules: Source of its modules.
        models: `module:SPEC` by model id.
    """
    package, info = folder / name, folder / f"{name}-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for module, source in modules.items():
        (package / f"{module}.py").write_text(source)
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{model} = {reference}\n" for model, reference in models.items()]
    (info / "entry_points.txt").write_text("".join(["[agecompact.models]\n", *lines]))
