"""Random networks that behave like trained ones, and the types of shared fixtures."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from agecompact.artifacts.manifest import Build
from agecompact.models import registry
from agecompact.weights import checkpoints
from parity_tests import inputs
from parity_tests.check import check_builds
from parity_tests.results import Result
from parity_tests.settings import CheckSettings

REPOSITORY = Path(__file__).parent.parent

# Of the first few seeds, the one with the best conditioned networks: PyTorch's own rounding error
# is 2e-5 years on them, so that artefacts can be checked to 1e-4.
SEED = 3
_SPREAD = 0.1
_AGE_MEAN, _AGE_SPREAD = 40.0, 10.0


class BuildOf(Protocol):
    """The build of a model's random weights in all formats. Tests must not change it."""

    def __call__(self, model_id: str) -> Build: ...


class CopyBuild(Protocol):
    """A copy of a build that tests may change, with all artefacts or those with given suffixes."""

    def __call__(self, model_id: str, *suffixes: str) -> Build: ...


class Agecompact(Protocol):
    """Runs the command line as a user does, in its own process and an empty folder."""

    def __call__(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        stdin: Path = ...,
    ) -> subprocess.CompletedProcess[str]: ...


def verdicts_on(build: Build) -> tuple[Result, ...]:
    """Verdicts on one build with the fixed inputs, without search and localisation."""
    return check_builds([build], CheckSettings(budget=None, localise="never"))


def random_network(model_id: str, seed: int = SEED) -> nn.Module:
    """A random network whose outputs vary by years over faces, like those of a trained one.

    Freshly initialised networks have a constant output. Here one pass over real inputs sets the
    statistics of each BN and scales each Linear so that its outputs vary.
    """
    torch.manual_seed(seed)
    network = registry.build(model_id).eval()
    contract = registry.get(model_id).contract
    # Beside noise and edges, all faces are alike to a deep network, whose output then varies little
    # over them.
    faces_only = model_id == "mobileagenet"
    samples = [
        contract.tensors(sample.crops)
        for sample in inputs.standard(contract)
        if sample.kind == "face" or not faces_only
    ]
    batch = [
        torch.from_numpy(np.concatenate([sample[name] for sample in samples]))
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
    """Writes the weights of a random network and returns their path."""
    card = {"data": {"terms": "Random weights, free to use."}}
    checkpoints.write(path, random_network(model_id, seed), model_id=model_id, card=card)
    return path


def leaks(content: bytes) -> list[bytes]:
    """Traces of the machine or the code that made a file."""
    # In some containers it is `/`, which is in every address.
    home = str(Path.home() if Path.home() != Path("/") else REPOSITORY).encode() + b"/"
    traces = (str(REPOSITORY).encode(), home, b"/tmp/", b"site-packages", b'File "', b".py")
    return [trace for trace in traces if trace in content]


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


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that has ended may wait for its parent to take note of it."""
    running = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running


def wait_for(condition: Callable[[], object], what: str, patience_s: float = 120) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.1)
