"""One process by default, and several under torchrun that end where one does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from agecompact.errors import BackendMissingError
from agecompact.training import devices
from tests.agecompact.training import small
from tests.support import Agecompact

_RECIPE = ("parts=2", "epochs=2", "batch=8", "config.dropout=0.0", "norm_momentum=0.5")


def test_it_is_one_process_unless_torchrun_says_otherwise() -> None:
    fabric = devices.fabric("cpu", "32-true")
    assert (fabric.world_size, fabric.global_rank, fabric.is_global_zero) == (1, 0, True)
    assert fabric.device == torch.device("cpu")


def test_a_machine_without_the_extra_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
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
        # Loopback only, and a thread each, as the other run.
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        timeout=600,
        check=False,
    )


def _arguments(data: Path, out: Path) -> list[object]:
    chosen = [word for override in _RECIPE for word in ("--set", override)]
    fixed = ("--recipe", "c3ae-plain", "--data", data, "--accelerator", "cpu", "--threads", 1)
    return ["train", *fixed, *chosen, "--out", out]


@pytest.mark.slow
def test_two_processes_end_where_one_does(
    tiny_utkface: Path, tmp_path: Path, agecompact: Agecompact
) -> None:
    one = agecompact(*_arguments(tiny_utkface, tmp_path / "one"))
    assert one.returncode == 0, one.stderr
    two = _torchrun(2, tmp_path, *_arguments(tiny_utkface, tmp_path / "two"))
    assert two.returncode == 0, two.stderr
    # Only the first process speaks.
    assert two.stdout.count("epoch 1/2: loss") == 1

    cards = [json.loads((tmp_path / n / "c3ae-plain.json").read_text()) for n in ("one", "two")]
    assert cards[1]["training"]["hardware"].startswith("2 x ")
    losses = [[epoch["loss"] for epoch in card["training"]["history"]] for card in cards]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)

    ours, theirs = (small.tensors(tmp_path / n / "last.safetensors") for n in ("one", "two"))
    for name, value in ours.items():
        print(name, tuple(value.shape), (value - theirs[name]).norm() / value.norm())
    raise NotImplementedError(np.e)
