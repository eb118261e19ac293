"""Where to compute: one process, or those that torchrun started."""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING

from agecompact.imports import import_extra

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def fabric(accelerator: str, precision: str) -> Fabric:
    """Returns a launched Fabric.

    Args:
        accelerator: `auto`, `cpu` or `cuda`.
        precision: As Lightning Fabric names it.

    Raises:
        BackendMissingError: The `train` extra is not installed.
    """
    module = import_extra("lightning_fabric", "train")
    # It logs its precision to standard error at every start.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # torchrun sets the number of processes in the environment; Fabric reads the rest from there.
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    launched: Fabric = module.Fabric(
        accelerator=accelerator,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=precision,
    )
    launched.launch()
    if world > 1:
        # Fabric does this for NCCL only; Gloo's threads can abort a process that exits without it.
        atexit.register(_leave_process_group)
    return launched


def _leave_process_group() -> None:
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()
