"""A network is traced in one thread while batch norms are folded in another, as parity does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from agecompact.models import registry
from agecompact.models.complexity import fold_batch_norm
from agecompact.runtimes import pytorch_trace


def test_folding_does_not_disturb_a_trace_in_another_thread() -> None:
    network = registry.build("ssrnet").eval()
    face = {"face": torch.zeros(1, 3, 64, 64)}
    with ThreadPoolExecutor(3) as pool:
        folding = [pool.submit(fold_batch_norm, network) for _ in range(4)]
        tracing = [pool.submit(pytorch_trace.trace, network, face) for _ in range(20)]
        lengths = {len(each.result()) for each in tracing}
        for each in folding:
            each.result()
    assert len(lengths) == 1
