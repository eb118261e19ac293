"""The database in which machines share a study, its errors, and its URL without passwords."""

from __future__ import annotations

import re
import shlex
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from agecompact.errors import AgecompactError, BackendMissingError, UsageError, first_line
from agecompact.imports import import_extra

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

HEARTBEAT_SECONDS = 30
GRACE_SECONDS = 180

# A trial that exhausts a machine's memory must not be retried for ever.
_RETRIES = 3
# Only one process can write to an sqlite file at a time; the others wait this long.
_SQLITE_TIMEOUT_SECONDS = 60
_OPENINGS = 5
_HIDDEN = "***"
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///[^?]*)(\?.*)?", re.DOTALL)
# Scheme; user and password; host, port and name; options.
_SERVER = re.compile(
    r"([\w+.-]+://)(?:([^:/@]*)(?::(.*))?@)?"
    r"((?:[\w.-]*|\[[\da-fA-F:]+\])(?::\d+)?(?:/[^/?@:]*)?)(\?.*)?",
    re.DOTALL,
)
_VALUE = re.compile(r"=[^&]*")
_WORD = re.compile(r"[^\s:/@?&=;]{3,}")
_FIX = (
    "name a database with --storage: sqlite:///FILE on one machine, "
    "postgresql://USER:PASSWORD@HOST/NAME or mysql://... for many"
)


def shown(url: str) -> str:
    """Returns a storage URL without what may be a password: only parts of a known kind stay."""
    if sqlite := _SQLITE.fullmatch(url):
        place, options = sqlite.groups()
    elif server := _SERVER.fullmatch(url):
        scheme, user, password, place, options = server.groups()
        secret = "" if password is None else f":{_HIDDEN}"
        place = scheme + ("" if user is None else f"{user}{secret}@") + place
    else:
        return _HIDDEN
    return place + _VALUE.sub(f"={_HIDDEN}", options or "")


def without_secrets(text: str, url: str) -> str:
    """Returns a text without the parts of a URL that `shown` hides, however they are quoted."""
    text = text.replace(url, shown(url))
    server = _SERVER.fullmatch(url)
    password = (server and server[3]) or ""
    hidden = {*_WORD.findall(url), *_WORD.findall(unquote_plus(url))}
    hidden -= set(_WORD.findall(shown(url)))
    hidden |= {password, unquote_plus(password)} - {""}
    for word in sorted(hidden, key=len, reverse=True):
        text = text.replace(word, _HIDDEN)
    return text


def open_storage(url: str) -> RDBStorage:
    """Opens a database, and creates its tables if it is new.

    If a worker has not sent a heartbeat for `GRACE_SECONDS`, by the database's clock, its trial is
    queued again when another worker requests one.

    Raises:
        UsageError: The URL is invalid, or its database cannot be used.
        BackendMissingError: The `train` extra or the database's driver is not installed.
    """
    optuna = import_extra("optuna", "train")
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

    # Optuna logs each step of a trial, and tracebacks of errors that are reported here.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        parsed = make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        if sqlite and parsed.database in (None, "", ":memory:"):
            raise UsageError(
                "a study in memory cannot be shared or resumed", fix="--storage sqlite:///FILE"
            )
        folder = Path(parsed.database or "").parent
        if sqlite and not folder.is_dir():
            raise UsageError(
                f"cannot open the storage {shown(url)}",
                why=f"no folder at {folder}",
                fix=shlex.join(["mkdir", "-p", str(folder)]),
            )
        for opening in range(1, _OPENINGS + 1):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    storage: RDBStorage = optuna.storages.RDBStorage(
                        url,
                        # A server may close a connection that is idle during an epoch.
                        engine_kwargs={
                            "pool_pre_ping": True,
                            "connect_args": {"timeout": _SQLITE_TIMEOUT_SECONDS} if sqlite else {},
                        },
                        heartbeat_interval=HEARTBEAT_SECONDS,
                        grace_period=GRACE_SECONDS,
                        heartbeat_stale_trial_callback=(
                            optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=_RETRIES)
                        ),
                    )
                errors = (SQLAlchemyError, optuna.exceptions.StorageInternalError)
                storage.record_heartbeat = _patient(storage.record_heartbeat, errors)
                return storage
            except DBAPIError as error:
                # Of several workers that create the tables at once, only one succeeds.
                beaten = isinstance(error, IntegrityError) or "already exists" in str(error)
                if not beaten or opening == _OPENINGS:
                    raise
                time.sleep(0.2 * opening)
        raise AssertionError
    except AgecompactError:
        raise
    except ImportError as error:
        raise BackendMissingError(
            f"cannot open the storage {shown(url)}",
            why=f"Python cannot import its driver: {_reason(error.__cause__ or error, url)}",
            fix="pip install 'psycopg[binary]' for postgresql://, mysqlclient for mysql://, or "
            "name an installed driver in the URL, such as mysql+pymysql://",
        ) from None
    except Exception as error:
        # Drivers raise whatever they run into.
        raise UsageError(
            f"cannot open the storage {shown(url)}", why=_reason(error, url), fix=_FIX
        ) from None


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turns errors of an open storage into one with a fix.

    Raises:
        UsageError: The storage failed.
    """
    optuna = import_extra("optuna", "train")
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except AgecompactError:
        raise
    except Exception as error:
        # Optuna's handling of such an error can itself fail and hide it behind another.
        chain = tuple(_chain(error))
        kinds = (SQLAlchemyError, optuna.exceptions.StorageInternalError)
        failure = next((link for link in chain if isinstance(link, kinds)), None)
        if failure is None:
            raise
        raise UsageError(
            f"the storage {shown(url)} failed",
            why=_reason(failure, url),
            fix="run the same command again when the database is back: finished trials and epochs "
            "are kept",
        ) from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _patient(beat: Callable[[int], None], errors: tuple[type[Exception], ...]) -> Any:
    """Returns a heartbeat that survives a short outage: the next one may succeed."""

    def patient(trial_id: int) -> None:
        with suppress(*errors):
            beat(trial_id)

    return patient


def _reason(error: BaseException, url: str) -> str:
    """Returns the first line of the driver's error, which SQLAlchemy and Optuna wrap in others."""
    from sqlalchemy.exc import DBAPIError

    cause = error.__cause__ if isinstance(error.__cause__, DBAPIError) else error
    inner = (cause.orig if isinstance(cause, DBAPIError) else None) or cause
    return without_secrets(first_line(inner), url)
