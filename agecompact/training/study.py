"""A study: trials of a recipe that machines share, prune, resume and count together."""

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
    """The values that a trial combines make no recipe."""


@dataclass(frozen=True)
class Outcome:
    """A trial, as the storage has it.

    Attributes:
        number: From 0, given out once in a study.
        state: `complete`, `pruned`, `fail` (its worker was stopped), `running` or `waiting`.
        value: What its training kept, or the last validation of a pruned one: MAE in years, or
            gender accuracy; None where there is none.
        epochs: Validations so far.
        overrides: `KEY=VALUE`, as `agecompact train --set` takes them.
        reason: Why it was pruned.
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
    """The study of a name, made if it is new.

    The pruner takes the median: after an epoch, a trial whose best validation is behind the median
    of the completed trials at that epoch is given up. Hyperband would spread the few dozen trials
    of such a search over brackets, each too small to compare in, and gives up trials by their
    first epochs, in which schedules with a warm-up or stages tell little.

    Args:
        storage: As `storage.open_storage` returns it.
        name: Which.
        direction: Of a new study.
        seed: Of what is tried; trial n of equal studies is the same on any machine.
        epochs: Length of a trial; in its first tenth none is pruned.
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
    """Writes down what a new study searches, or checks that this worker searches the same.

    Args:
        study: Which.
        identity: What makes two values comparable, as JSON values.

    Raises:
        UsageError: The study searches something else.
    """
    own = json.loads(canonical_json(dict(identity)))
    stored = study.user_attrs.get(_IDENTITY)
    if stored is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(_IDENTITY, own)
        # Read again: another worker may have come between.
        stored = study.user_attrs.get(_IDENTITY)
    differing = [key for key in own if (stored or {}).get(key) != own[key]]
    if differing:
        raise UsageError(
            f"the study '{study.study_name}' searches something else",
            why=f"it was begun with another {', '.join(differing)}"
            if stored
            else "it was begun by another program",
            fix="give this search a name of its own with --study, or the arguments of the first",
        )


def outcomes(study: optuna.Study) -> tuple[Outcome, ...]:
    """All trials, in the order of their numbers."""
    return tuple(_outcome(trial) for trial in study.get_trials(deepcopy=False))


def _outcome(trial: Any) -> Outcome:
    return Outcome(
        number=trial.number,
        state=trial.state.name.lower(),
        value=trial.value,
        epochs=len(trial.intermediate_values),
        overrides=tuple(trial.user_attrs.get(_OVERRIDES, ())),
        reason=trial.user_attrs.get(_REASON),
    )


def finished(trials: Iterable[Outcome]) -> int:
    """How many trials need no more work.

    One that failed is not among them: its worker was stopped, and it is queued again.
    """
    counts = Counter(trial.state for trial in trials)
    return counts["complete"] + counts["pruned"]


def ranked(trials: Iterable[Outcome], direction: Direction) -> list[Outcome]:
    """The completed trials, best first."""
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
    """Runs trials until the study holds so many finished ones, by whatever worker.

    Trials that other workers have begun by then are finished there, so that a study of k workers
    may end with up to k - 1 more.

    Args:
        study: Which.
        space: What to try.
        attempt: Trains with a trial's number and overrides. It calls its third argument after each
            epoch with all validations so far and the length in epochs, which ends the attempt if
            the trial is pruned. It returns the value of the trial.
        trials: Finished trials of the whole study.
        ended: Told of each trial of this worker.

    Raises:
        AgecompactError: An attempt failed for a reason that has nothing to do with its overrides;
            the trial is queued again.
    """
    module = import_extra("optuna", "train")
    states = module.trial.TrialState
    lost = module.exceptions.UpdateFinishedTrialError
    sound = False

    def objective(trial: Any) -> float:
        nonlocal sound
        sound = False
        overrides = suggest(trial, space)
        trial.set_user_attr(_OVERRIDES, overrides)
        told = 0

        def pruned(reason: str) -> Exception:
            trial.set_user_attr(_REASON, reason)
            error: Exception = module.TrialPruned(reason)
            return error

        def report(validations: Sequence[float], length: int) -> None:
            nonlocal told
            for epoch, value in enumerate(validations[told:], start=told + 1):
                trial.report(value, epoch)
            told = len(validations)
            # After its last epoch a trial costs nothing more, and its value is worth knowing.
            if told < length and trial.should_prune():
                raise pruned(f"behind the median after epoch {told} of {length}")

        try:
            value = attempt(trial.number, overrides, report)
            if not math.isfinite(value):
                raise pruned(f"the validation became {value}")
        except (DivergedError, UnfitError) as error:
            sound = True
            raise pruned(f"{error.what}: {error.why}" if error.why else error.what) from error
        except torch.OutOfMemoryError as error:
            sound = True
            raise pruned("the device ran out of memory") from error
        except (KeyboardInterrupt, AgecompactError):
            study.enqueue_trial(trial.params)
            raise
        except (module.TrialPruned, lost):
            sound = True
            raise
        sound = True
        return value

    def tell(_study: Any, trial: Any) -> None:
        ended(_outcome(trial))

    enough = module.study.MaxTrialsCallback(trials, states=(states.COMPLETE, states.PRUNED))
    while finished(outcomes(study)) < trials:
        try:
            study.optimize(objective, callbacks=[tell, enough])
        except (ValueError, AssertionError, lost):
            # A worker that was suspended cannot tell the end of its trial, which was given away
            # meanwhile (Optuna raises any of these): it goes on with another. From the attempt
            # itself they are bugs.
            if not sound:
                raise
