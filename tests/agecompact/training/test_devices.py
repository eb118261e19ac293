"""One process by default, and several under torchrun that train as one does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from agecompact.commands import train
from agecompact.errors import BackendMissingError
from agecompact.training import devices
from tests.agecompact.training import small

_RECIPE = ("epochs=2", "batch=8", "config.dropout=0.0", "norm_momentum=0.5")


def test_without_torchrun_there_is_one_process() -> None:
    fabric = devices.fabric("cpu", "32-true")
    assert (fabric.world_size, fabric.global_rank, fabric.is_global_zero) == (1, 0, True)
    assert fabric.device == torch.device("cpu")


def test_a_missing_extra_is_reported_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(BackendMissingError, match=r"pip install '\.\[train\]'"):
        devices.fabric("cpu", "32-true")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _torchrun(processes: int, cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    launcher = ("-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", str(processes))
    address = ("--master-addr", "127.0.0.1", "--master-port", str(_free_port()))
    return subprocess.run(
        [sys.executable, *launcher, *address, "-m", "agecompact", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        # Loopback only, and one thread per process, as in the other run.
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        timeout=600,
        check=False,
    )


def _arguments(data: Path, out: Path, parts: int) -> list[object]:
    overrides = (*_RECIPE, f"parts={parts}")
    chosen = [word for override in overrides for word in ("--set", override)]
    fixed = ("--recipe", "c3ae-plain", "--data", data, "--accelerator", "cpu", "--threads", 1)
    return [*fixed, *chosen, "--out", out]


# Biases before a norm have no effect: their gradient is only rounding, which Adam turns into whole
# steps.
_WITHOUT_EFFECT = {f"trunk.{index}.conv.bias" for index in (1, 2, 3)}


@pytest.mark.slow
# Two processes cannot share three parts: they take four, and add them in another order. Statistics
# of two faces each are noise, and so are validations with them.
@pytest.mark.parametrize(
    ("parts", "taken", "tolerance", "noise"),
    [(2, 2, 1e-4, 0.1), pytest.param(3, 4, 1e-3, 1.0, marks=pytest.mark.slow)],
)
def test_two_processes_train_as_one_does(
    parts: int, taken: int, tolerance: float, noise: float, tiny_utkface: Path, tmp_path: Path
) -> None:
    alone = [str(word) for word in _arguments(tiny_utkface, tmp_path / "one", taken)]
    one = CliRunner().invoke(train.command, alone)
    assert one.exit_code == 0, one.output
    words = _arguments(tiny_utkface, tmp_path / "two", parts)
    two = _torchrun(2, tmp_path, "train", *words)
    assert two.returncode == 0, two.stderr
    # Only the first process prints.
    assert two.stdout.count("epoch 1/2: loss") == 1

    cards = [json.loads((tmp_path / n / "c3ae-plain.json").read_text()) for n in ("one", "two")]
    assert cards[1]["training"]["hardware"].startswith("2 x ")
    histories = [card["training"]["history"] for card in cards]
    losses, validations = ([[e[n] for e in h] for h in histories] for n in ("loss", "val"))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)

    ours, theirs = (small.tensors(tmp_path / n / "last.safetensors") for n in ("one", "two"))
    apart = {n: ((value - theirs[n]).norm() / value.norm()).item() for n, value in ours.items()}
    statistics = {name for name in apart if "running_" in name}
    # Two processes average the same gradients as one.
    learnt = apart.keys() - statistics - _WITHOUT_EFFECT
    assert max(apart[name] for name in learnt) < tolerance
    # Statistics are those of the first process, which sees half of the faces in half as many
    # updates: after these few steps they differ by up to 0.4. They affect only the validation.
    assert max(apart[name] for name in statistics) < 0.6
    assert validations[1] == pytest.approx(validations[0], rel=noise)
