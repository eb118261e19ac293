"""A study: trials of a recipe that several machines share, prune and resume."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from agecompact.errors import AgecompactError, UsageError
from agecompact.files import canonical_json
from agecompact.imports import import_extra
from agecompact.serialization import structure
from agecompact.training.divergence import DivergedError
from agecompact.training.search import Space, suggest

if TYPE_CHECKING:
    import optuna

Direction = Literal["minimize", "maximize"]
Report = Callable[[Sequence[float], int], None]
Attempt = Callable[[int, tuple[str, ...], Report], float]

_IDENTITY = "agecompact"
_OVERRIDES = "overrides"
_REASON = "reason"


class UnfitError(UsageError):
    """A trial's combination of values is not a valid recipe."""


@dataclass(frozen=True)
class Outcome:
    """A trial, as stored.

    Attributes:
        number: From 0, unique in a study.
        state: `complete`, `pruned`, `fail` (its worker was stopped), `running` or `waiting`.
        value: Validation of the kept epoch, or the last one of a pruned trial: MAE in years, or
            gender accuracy; None before any.
        epochs: Number of validations so far.
        overrides: `KEY=VALUE`, as `agecompact train --set` takes them.
        reason: Why it was pruned, or None.
    """

    number: int
    state: str
    value: float | None
    epochs: int
    overrides: tuple[str, ...]
    reason: str | None


def open_study(
    storage: Any, name: str, *, direction: Direction, seed: int, epochs: int
) -> optuna.Study:
    """Opens a study, and creates it if it is new.

    Trials are pruned by the median: a trial ends early if its best validation after an epoch is
    worse than the median of the completed trials at that epoch. Hyperband would spread a few dozen
    trials over brackets too small to compare in, and would prune by the first epochs, which mean
    little in schedules with a warm-up or stages.

    Args:
        storage: As `storage.open_storage` returns it.
        name: Name of the study.
        direction: Direction of a new study.
        seed: Seed of the values to try; trial n of equal studies is the same on any machine.
        epochs: Length of a trial, of which the first tenth is never pruned.
    """
    module = import_extra("optuna", "train")
    from agecompact.training.sampler import SeededByTrial

    study: optuna.Study = module.create_study(
        storage=storage,
        study_name=name,
        direction=direction,
        load_if_exists=True,
        sampler=SeededByTrial(seed),
        pruner=module.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 10),
    )
    return study


def claim(study: optuna.Study, identity: Mapping[str, Any]) -> None:
    """Stores what a new study searches, or checks that this worker searches the same.

    Args:
        study: The study.
        identity: Everything that must be equal for trials to be comparable, as JSON values.

    Raises:
        UsageError: The study searches something else.
    """
    own = json.loads(canonical_json(dict(identity)))
    stored = study.user_attrs.get(_IDENTITY)
    if stored is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(_IDENTITY, own)
    # Reads it again: another worker may have stored its own in between.
    reject_another(study, own)


def reject_another(study: optuna.Study, identity: Mapping[str, Any]) -> None:
    """Checks that a study which has trials searches the same as this worker.

    Args:
        study: The study.
        identity: What `claim` takes, or a part of it.

    Raises:
        UsageError: The study searches something else.
    """
    stored = study.user_attrs.get(_IDENTITY)
    if stored is None and not study.get_trials(deepcopy=False):
        return
    own = json.loads(canonical_json(dict(identity)))
    known = stored if isinstance(stored, dict) else {}
    differing = [key for key in own if known.get(key) != own[key]]
    if differing:
        raise UsageError(
            f"the study '{study.study_name}' searches something else",
            why=f"it was started with another {', '.join(differing)}"
            if known
            else "it was started by another program",
            fix="name a new study with --study, or use the arguments of the first search",
        )


def outcomes(study: optuna.Study) -> tuple[Outcome, ...]:
    """Returns all trials, by number."""
    return tuple(_outcome(trial) for trial in study.get_trials(deepcopy=False))


def _outcome(trial: Any) -> Outcome:
    # Other programs may write to the database.
    where = f"trial {trial.number} of the study"
    overrides = trial.user_attrs.get(_OVERRIDES, [])
    return Outcome(
        number=trial.number,
        state=trial.state.name.lower(),
        value=trial.value,
        epochs=len(trial.intermediate_values),
        overrides=structure(overrides, tuple[str, ...], where=where),
        reason=structure(trial.user_attrs.get(_REASON), str | None, where=where),  # type: ignore[arg-type]
    )


def finished(trials: Iterable[Outcome]) -> int:
    """Returns the number of trials that need no more work.

    Failed trials do: their worker was stopped, and they are queued again.
    """
    counts = Counter(trial.state for trial in trials)
    return counts["complete"] + counts["pruned"]


def ranked(trials: Iterable[Outcome], direction: Direction) -> list[Outcome]:
    """Returns the completed trials, best first."""
    sign = 1 if direction == "minimize" else -1
    complete = [(t.value, t) for t in trials if t.state == "complete" and t.value is not None]
    return [t for _, t in sorted(complete, key=lambda pair: (sign * pair[0], pair[1].number))]


def search(
    study: optuna.Study,
    space: Space,
    attempt: Attempt,
    *,
    trials: int,
    ended: Callable[[Outcome], None] = lambda _: None,
) -> None:
    """Runs trials until all workers together have finished enough.

    Other workers still finish the trials that they have begun, so k workers may finish up to k - 1
    trials more.

    Args:
        study: The study.
        space: The search space.
        attempt: Trains with a trial's number and overrides, and returns the trial's value. It calls
            its third argument after each epoch with all validations so far and the length in
            epochs; that call raises if the trial is pruned.
        trials: Number of finished trials in the whole study at which to stop.
        ended: Called after each trial of this worker.

    Raises:
        AgecompactError: An attempt failed, but not because of its overrides; the trial is queued
            again.
    """
    module = import_extra("optuna", "train")
    states = module.trial.TrialState
    lost = module.exceptions.UpdateFinishedTrialError
    expected = False

    def objective(trial: Any) -> float:
        nonlocal expected
        expected = False
        overrides = suggest(trial, space)
        trial.set_user_attr(_OVERRIDES, overrides)
        reported = 0

        def pruned(reason: str) -> Exception:
            trial.set_user_attr(_REASON, reason)
            error: Exception = module.TrialPruned(reason)
            return error

        def report(validations: Sequence[float], length: int) -> None:
            nonlocal reported
            for epoch, value in enumerate(validations[reported:], start=reported + 1):
                trial.report(value, epoch)
            reported = len(validations)
            # After its last epoch a trial costs nothing more, and its value is informative.
            if reported < length and trial.should_prune():
                raise pruned(f"behind the median after epoch {reported} of {length}")

        try:
            value = attempt(trial.number, overrides, report)
            if not math.isfinite(value):
                raise pruned(f"the validation became {value}")
        except (DivergedError, UnfitError) as error:
            expected = True
            raise pruned(error.summary) from error
        except torch.OutOfMemoryError as error:
            expected = True
            raise pruned("the device ran out of memory") from error
        except (KeyboardInterrupt, AgecompactError):
            study.enqueue_trial(trial.params)
            raise
        except (module.TrialPruned, lost):
            expected = True
            raise
        expected = True
        return value

    def finish(_study: Any, trial: Any) -> None:
        ended(_outcome(trial))

    enough = module.study.MaxTrialsCallback(trials, states=(states.COMPLETE, states.PRUNED))
    while finished(outcomes(study)) < trials:
        try:
            study.optimize(objective, callbacks=[finish, enough])
        except (ValueError, AssertionError, lost):
            # Optuna raises any of these to a worker that was suspended while its trial was given to
            # another; the worker continues with a new trial. From the attempt itself they are bugs.
            if not expected:
                raise
