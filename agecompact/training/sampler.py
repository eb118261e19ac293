"""What a study tries next, reproducibly, with any number of workers.

Workers that seed a sampler alike draw the same first trials, and so does a worker that restarts.
Here each trial has its own seed, from the study's seed and the trial's number, which the storage
assigns once.
"""

from __future__ import annotations

import hashlib
from typing import Any

from optuna.samplers import BaseSampler, TPESampler


class SeededByTrial(BaseSampler):  # type: ignore[misc]
    """Optuna's TPE, with a new seed for each trial.

    Args:
        seed: Seed of the study, the same on every machine.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tpe = self._seeded(0)

    def _seeded(self, number: int) -> TPESampler:
        digest = hashlib.sha256(f"{self._seed}:{number}".encode()).digest()
        # constant_liar: trials that still run count as bad, so that workers try different values.
        return TPESampler(
            seed=int.from_bytes(digest[:4], "big"), multivariate=True, constant_liar=True
        )

    def before_trial(self, study: Any, trial: Any) -> None:
        """Seeds the sampler for a trial."""
        self._tpe = self._seeded(trial.number)
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        """Returns the parameters that are sampled together."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        """Samples the parameters that are sampled together."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        """Samples one parameter."""
        return self._tpe.sample_independent(study, trial, name, distribution)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Learns from a trial's result."""
        self._tpe.after_trial(study, trial, state, values)
