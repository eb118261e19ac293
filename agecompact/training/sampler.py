"""What a study tries next, reproducibly, with any number of workers.

Workers that seed a sampler alike draw the same first trials, and so does a worker that restarts.
Here each trial has its own seed, from the study's seed and the trial's number, which the storage
assigns once.
"""

from __future__ import annotations

import hashlib
from typing import Any

from optuna.samplers import TPESampler


class SeededByTrial(TPESampler):  # type: ignore[misc]
    """Optuna's TPE, with a new seed for each trial.

    Args:
        seed: Seed of the study, the same on every machine.
    """

    def __init__(self, seed: int) -> None:
        self._study_seed = seed
        self._restart(0)

    def _restart(self, number: int) -> None:
        digest = hashlib.sha256(f"{self._study_seed}:{number}".encode()).digest()
        # constant_liar: trials that still run count as bad, so that workers try different values.
        super().__init__(
            seed=int.from_bytes(digest[:4], "big"), multivariate=True, constant_liar=True
        )

    def before_trial(self, study: Any, trial: Any) -> None:
        """Seeds the sampler for a trial."""
        self._restart(trial.number)
        super().before_trial(study, trial)
