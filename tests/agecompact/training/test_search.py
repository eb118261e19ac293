"""The search space as data, and the study: shared, pruned, resumable."""

from __future__ import annotations

import math
import sqlite3
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage
from sqlalchemy.exc import OperationalError

from agecompact.errors import AgecompactError, BackendMissingError, OutputError, UsageError
from agecompact.training import search, storage, study
from agecompact.training.divergence import DivergedError
from agecompact.training.search import Choices, Range

_KEYS = st.from_regex(r"[a-z_]+(\.([a-z_]+|[0-9]))*", fullmatch=True)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


def _pairs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(values, values).filter(lambda p: p[0] < p[1])


_DIMENSIONS = st.one_of(
    st.builds(lambda k, p: Range(k, *p), _KEYS, _pairs(_FINITE)),
    st.builds(lambda k, p: Range(k, *p, log=True), _KEYS, _pairs(_POSITIVE)),
    st.builds(lambda k, p: Range(k, *p, whole=True), _KEYS, _pairs(st.integers())),
    st.builds(
        lambda k, p: Range(k, *p, log=True, whole=True), _KEYS, _pairs(st.integers(1, 10**6))
    ),
    st.builds(
        Choices,
        _KEYS,
        st.lists(
            st.one_of(
                st.sampled_from(["true", "false", '"cosine"', "[0, 116]"]),
                st.integers().map(str),
                _FINITE.map(repr),
            ),
            min_size=2,
            unique=True,
        ).map(tuple),
    ),
)


@given(_DIMENSIONS)
def test_a_dimension_survives_a_round_trip(dimension: search.Dimension) -> None:
    assert search.parse_dimension(str(dimension)) == dimension


class _Corner:
    """A trial that suggests one end of each range."""

    def __init__(self, high: bool) -> None:
        self._high = high

    def suggest_float(self, _: str, low: float, high: float, *, log: bool) -> float:  # noqa: ARG002
        return high if self._high else low

    def suggest_int(self, _: str, low: int, high: int, *, log: bool) -> int:  # noqa: ARG002
        return high if self._high else low

    def suggest_categorical(self, _: str, choices: Sequence[str]) -> str:
        return choices[-1 if self._high else 0]


@given(_DIMENSIONS, st.booleans())
def test_a_suggestion_is_toml_within_the_bounds(dimension: search.Dimension, high: bool) -> None:
    [override] = search.suggest(_Corner(high), (dimension,))
    key, _, text = override.partition("=")
    value = tomllib.loads(f"value = {text}")["value"]
    assert key == dimension.key
    if isinstance(dimension, Choices):
        assert text in dimension.options
    else:
        assert value == (dimension.high if high else dimension.low)
        assert isinstance(value, int if dimension.whole else float)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        dimension = search.parse_dimension(text)
    except UsageError:
        return
    assert search.parse_dimension(str(dimension)) == dimension


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stages.0.rate", "no key"),
        ("=0..1", "no key"),
        ("stages..rate=0..1", "no key"),
        ("batch=32", "neither a range nor a choice"),
        ("batch=64..32", "not below"),
        ("batch=int:1.5..3", "invalid literal"),
        ("rate=log:0..1", "above 0"),
        ("rate=0..inf", "not finite"),
        ("rate=nan..1", "not finite"),
        ("loss=l1|", "empty"),
        ("loss=l1|l1", "are equal"),
    ],
)
def test_an_invalid_search_space_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"why: .*{why}"):
        search.parse([text])


def test_a_key_is_searched_once() -> None:
    with pytest.raises(UsageError, match="'batch' is searched twice"):
        search.parse(["batch=int:2..4", "batch=8|16"])


def test_every_bound_and_choice_is_in_a_corner() -> None:
    space = search.parse(["batch=8|16|32", "stages.0.rate=log:1e-4..1e-2"])
    assert list(search.corners(space)) == [
        ("batch=8", "stages.0.rate=0.0001"),
        ("batch=16", "stages.0.rate=0.01"),
        ("batch=32", "stages.0.rate=0.0001"),
    ]


# The study, with attempts that compute instead of training.

_SPACE = search.parse(["x=0.0..10.0", "flip=true|false"])
_EPOCHS = 4


def _open(store: Any) -> Any:
    return study.open_study(store, "s", direction="minimize", seed=0, epochs=_EPOCHS)


@pytest.fixture
def store() -> InMemoryStorage:
    """What workers share; a file would need a flush for each change."""
    return InMemoryStorage()


@pytest.fixture
def shared(store: InMemoryStorage) -> Any:
    """One worker's view of the study."""
    return _open(store)


def _square(_: int, overrides: tuple[str, ...], report: study.Report) -> float:
    value = (float(overrides[0].removeprefix("x=")) - 3) ** 2
    report([value] * _EPOCHS, _EPOCHS)
    return value


def test_a_study_ends_after_its_trials_and_is_reproducible() -> None:
    results = []
    for name in ("a", "b"):
        store = InMemoryStorage()
        if name == "b":
            # A worker that restarts draws the same values.
            study.search(_open(store), _SPACE, _square, trials=5)
        shared = _open(store)
        study.search(shared, _SPACE, _square, trials=14)
        results.append(study.outcomes(shared))
    assert results[0] == results[1]
    assert len({trial.overrides for trial in results[0]}) == 14
    best = study.ranked(results[0], "minimize")[0]
    assert best.value == min(trial.value for trial in results[0] if trial.value is not None)
    assert study.ranked(results[0], "maximize")[-1] == best


def test_a_trial_behind_the_median_is_pruned_and_the_reason_kept(shared: Any) -> None:
    study.search(shared, _SPACE, _square, trials=5)
    seen = []

    def bad(number: int, overrides: tuple[str, ...], report: study.Report) -> float:
        for epoch in range(1, _EPOCHS + 1):
            seen.append(epoch)
            report([1e6] * epoch, _EPOCHS)
        return _square(number, overrides, report)

    study.search(shared, _SPACE, bad, trials=6)
    trial = study.outcomes(shared)[-1]
    assert trial.state == "pruned"
    assert trial.reason == "behind the median after epoch 1 of 4"
    assert seen == [1]
    assert study.finished(study.outcomes(shared)) == 6
    assert trial not in study.ranked(study.outcomes(shared), "minimize")


def test_a_trial_at_its_end_is_not_pruned(shared: Any) -> None:
    study.search(shared, _SPACE, _square, trials=5)

    def bad_but_whole(_: int, __: tuple[str, ...], report: study.Report) -> float:
        report([1e6] * _EPOCHS, _EPOCHS)
        return 1e6

    study.search(shared, _SPACE, bad_but_whole, trials=6)
    assert study.outcomes(shared)[-1].state == "complete"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DivergedError("the loss became nan", why="too fast"), "the loss became nan: too fast"),
        (study.UnfitError("shares"), "shares"),
        (None, "the validation became nan"),
    ],
)
def test_a_trial_that_fails_because_of_its_values_counts_as_finished(
    shared: Any, error: Exception | None, reason: str
) -> None:
    def attempt(number: int, overrides: tuple[str, ...], report: study.Report) -> float:
        if number != 1:
            return _square(number, overrides, report)
        if error:
            raise error
        return math.nan

    study.search(shared, _SPACE, attempt, trials=3)
    states = [(trial.state, trial.reason) for trial in study.outcomes(shared)]
    assert states == [("complete", None), ("pruned", reason), ("complete", None)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OutputError("the disk is full")])
def test_the_next_worker_starts_with_a_stopped_trial(
    store: InMemoryStorage, error: BaseException
) -> None:
    def stopped(number: int, overrides: tuple[str, ...], report: study.Report) -> float:
        if number == 1:
            raise error
        return _square(number, overrides, report)

    with pytest.raises(type(error)):
        study.search(_open(store), _SPACE, stopped, trials=4)
    shared = _open(store)
    assert [t.state for t in study.outcomes(shared)] == ["complete", "fail", "waiting"]
    study.search(shared, _SPACE, _square, trials=4)
    trials = study.outcomes(shared)
    assert trials[2].overrides == trials[1].overrides
    assert study.finished(trials) == 4


def test_a_bug_in_an_attempt_is_not_retried(shared: Any) -> None:
    def broken(*_: object) -> float:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        study.search(shared, _SPACE, broken, trials=2)


@pytest.mark.parametrize("reports", [True, False])
def test_a_worker_that_lost_its_trial_continues_with_another(
    store: InMemoryStorage, shared: Any, reports: bool
) -> None:
    def suspended(number: int, overrides: tuple[str, ...], report: study.Report) -> float:
        if number == 0:
            trial = _open(store).get_trials()[0]
            store.set_trial_state_values(trial._trial_id, state=optuna.trial.TrialState.FAIL)
            if not reports:
                return 0.0
        return _square(number, overrides, report)

    study.search(shared, _SPACE, suspended, trials=2)
    assert [t.state for t in study.outcomes(shared)] == ["fail", "complete", "complete"]


def test_a_study_is_claimed_by_what_it_searches(store: InMemoryStorage) -> None:
    study.claim(_open(store), {"recipe": {"epochs": (1, 2)}, "split": "a"})
    study.claim(_open(store), {"recipe": {"epochs": [1, 2]}, "split": "a"})
    with pytest.raises(UsageError) as caught:
        study.claim(_open(store), {"recipe": {"epochs": [1, 3]}, "split": "b"})
    assert caught.value.why == "it was started with another recipe, split"
    assert "--study" in caught.value.fix


def test_a_study_of_another_program_is_refused(shared: Any) -> None:
    study.search(shared, _SPACE, _square, trials=1)
    with pytest.raises(UsageError, match="why: it was started by another program"):
        study.claim(shared, {"split": "a"})


@pytest.mark.parametrize("value", [7, "text", [1], {"a": 1}])
def test_attributes_of_another_program_are_an_error(shared: Any, value: Any) -> None:
    study.claim(shared, {"split": "a"})
    shared.set_user_attr("agecompact", value)
    with pytest.raises(UsageError, match="searches something else"):
        study.claim(shared, {"split": "a"})
    trial = shared.ask()
    trial.set_user_attr("overrides", value)
    with pytest.raises(UsageError, match="cannot read trial 0 of the study"):
        study.outcomes(shared)


# The storage.

_SECRET = "hunter2%40x"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://me:{_SECRET}@host:5432/name", "postgresql://me:***@host:5432/name"),
        (f"postgresql://:{_SECRET}@host/name", "postgresql://:***@host/name"),
        ("postgresql://me:hunter2@x:y@host/name", "postgresql://me:***@host/name"),
        (
            f"postgresql://host/name?user=me&password={_SECRET}&sslmode=require",
            "postgresql://host/name?user=***&password=***&sslmode=***",
        ),
        ("sqlite:///folder/a:b@c.db", "sqlite:///folder/a:b@c.db"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
        # Mistakes.
        ("postgresql:/me:hunter2@host/name", "***"),
        ("me:hunter2@host/name", "***"),
        ("host=h password=hunter2 user=me", "***"),
        ("postgresql://me:hunter2", "***"),
        ("postgresql://me:hunter2@host:port/name", "***"),
        ("postgresql://me:hunter2\n@host/name", "postgresql://me:***@host/name"),
        (
            "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dhunter2",
            "mssql+pyodbc:///?odbc_connect=***",
        ),
    ],
)
def test_a_shown_url_holds_no_password(url: str, shown: str) -> None:
    assert storage.shown(url) == shown
    text = storage.without_secrets(f"cannot reach {url}, that is {unquote(url)}", url)
    assert shown == url or "hunter2" not in text
    if shown == "***":
        with pytest.raises(UsageError) as caught:
            storage.open_storage(url)
        assert "hunter2" not in str(caught.value)


def _not_a_database(folder: Path) -> str:
    (folder / "notes.db").write_text("a text " * 99)
    return f"sqlite:///{folder / 'notes.db'}"


def _foreign_schema(folder: Path) -> str:
    url = f"sqlite:///{folder / 'old.db'}"
    storage.open_storage(url)
    with sqlite3.connect(folder / "old.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    return url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (lambda _: "sqlite://", "cannot be shared"),
        (lambda _: "sqlite:///:memory:", "cannot be shared"),
        (lambda _: "study.db", "Could not parse"),
        (lambda _: f"nosuch://me:{_SECRET}@host/name", "Can't load plugin"),
        (lambda _: f"postgresql://me:{_SECRET}@host:port/name", "invalid literal"),
        (lambda folder: f"sqlite:///{folder}/absent/study.db", "no folder at"),
        (_not_a_database, "file is not a database"),
        (_foreign_schema, "no longer compatible with the table schema"),
    ],
)
def test_an_unusable_storage_is_reported_with_a_fix(tmp_path: Path, url: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        storage.open_storage(url(tmp_path))
    assert caught.value.fix
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_a_missing_backend() -> None:
    with pytest.raises(BackendMissingError) as caught:
        storage.open_storage(f"oracle+cx_oracle://me:{_SECRET}@host/name")
    assert "pip install" in caught.value.fix
    assert "hunter2" not in str(caught.value)


def test_an_unreachable_server_is_reported_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "postgresql://me:hunter2@host/name"

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("SELECT 1", {}, OSError(f"refused: {url}\nmore"))

    monkeypatch.setattr(optuna.storages, "RDBStorage", refuse)
    with pytest.raises(UsageError) as caught:
        storage.open_storage(url)
    assert caught.value.why == "refused: postgresql://me:***@host/name"


def test_a_storage_that_fails_during_a_search_is_reported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"

    def attempt(number: int, overrides: tuple[str, ...], report: study.Report) -> float:
        if number == 1:
            (tmp_path / "study.db").write_text("gone " * 999)
        return _square(number, overrides, report)

    message = r"the storage sqlite:.* failed[\s\S]*run the same command again"
    with pytest.raises(AgecompactError, match=message), storage.storage_errors(url):
        study.search(_open(storage.open_storage(url)), _SPACE, attempt, trials=3)


def test_a_heartbeat_survives_an_outage(tmp_path: Path) -> None:
    opened = storage.open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    (tmp_path / "study.db").write_text("gone " * 999)
    opened.record_heartbeat(1)
