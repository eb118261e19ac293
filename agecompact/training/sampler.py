"""What a study tries next, repeatably, however many machines ask.

Workers that all seed a sampler alike draw the same first trials, and so does a worker that is
started again. Here each trial has a seed of its own, from the study's and the trial's number, which
the storage gives out once.
"""

from __future__ import annotations

import hashlib
from typing import Any

from optuna.samplers import BaseSampler, TPESampler


class SeededByTrial(BaseSampler):  # type: ignore[misc]
    """Optuna's TPE, seeded anew for each trial.

    Args:
        seed: Of the study; the same on every machine.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tpe = self._of(0)

    def _of(self, number: int) -> TPESampler:
        digest = hashlib.sha256(f"{self._seed}:{number}".encode()).digest()
        # constant_liar: trials that run elsewhere count as bad, so that workers keep apart.
        return TPESampler(
            seed=int.from_bytes(digest[:4], "big"), multivariate=True, constant_liar=True
        )

    def before_trial(self, study: Any, trial: Any) -> None:
        """Takes the seed of a trial."""
        self._tpe = self._of(trial.number)
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        """What is sampled together."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        """Values of what is sampled together."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        """The value of a parameter that is sampled alone."""
        return self._tpe.sample_independent(study, trial, name, distribution)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Learns from the end of a trial."""
        self._tpe.after_trial(study, trial, state, values)
