"""Optuna's trials in a PostgreSQL database, so that several workers compute those of one study.

A study has the agreed number of trials from the start, which wait there. A worker takes one, computes it, and
says at intervals that it lives. If it stops saying so, the trial has failed, and one with the same number
waits in its place: it is computed again, and counts once. A trial's seed follows from its number, whoever
computes it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from emofuse.core.errors import ExperimentError, MissingExtraError
from emofuse.system.shared_settings import ignored_warnings

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

_NUMBER: Final = "number"
"""The attribute of a trial that says which of the agreed ones it is."""
_POLL_S: Final = 0.5
"""How often a worker asks whether the trials of others are done."""
_TABLES: Final = "the tables of optuna"
_KINDS: Final = "use postgresql://USER@HOST/NAME"

Objective = Callable[[Any], float]
"""The loss of an Optuna trial."""
SamplerOf = Callable[[int], Any]
"""The sampler of a trial, by its number."""


@dataclass(frozen=True, slots=True)
class SharedStudies:
    """A database of studies."""

    url: str
    """``postgresql://USER@HOST/NAME``."""
    password: str | None = field(default=None, repr=False)
    """Of the user, in place of one in the URL."""
    heartbeat_s: int = 10
    """How often a worker says that it lives."""
    grace_s: int = 60
    """After how much silence, by the clock of the database, its trial is computed again."""

    def check(self) -> None:
        """See that the database can be used, and make its tables.

        Raises:
            ExperimentError: it cannot.
            MissingExtraError: the extra ``postgres`` is not installed.
        """
        with self._opened():
            pass

    def compute(
        self, name: str, n_trials: int, objective: Objective, sampler: SamplerOf, *, wait: bool
    ) -> list[Any]:
        """Compute trials of a study, beside other workers that do the same.

        Args:
            name: of the study; whoever uses the same name computes the same.
            n_trials: how many trials it has.
            objective: the loss of one.
            sampler: what draws its settings.
            wait: until the trials that others have begun are complete; else return when all have been begun.

        Returns:
            The complete trials, by their numbers; all of them, after waiting.

        Raises:
            ExperimentError: the database cannot be used.
        """
        with self._opened() as (storage, engine):
            study = _Study(storage, engine, name, n_trials, objective, sampler)
            while True:
                while study.compute_next():
                    pass
                complete = study.complete()
                if len(complete) == n_trials or not wait:
                    return complete
                time.sleep(_POLL_S)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Engine]]:
        """Optuna's storage, and a connection apart for taking turns."""
        import optuna
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError

        where = self._where()
        options: dict[str, Any] = {
            "pool_pre_ping": True,
            "connect_args": {"connect_timeout": 10, "application_name": "emofuse"},
        }
        # of optuna's: heartbeats are experimental
        with ignored_warnings(), ExitStack() as stack:
            try:
                engine = create_engine(where, **options)
                stack.callback(engine.dispose)
                with _turn(engine, _TABLES):
                    storage = optuna.storages.RDBStorage(
                        where.render_as_string(hide_password=False),
                        engine_kwargs=options,
                        heartbeat_interval=self.heartbeat_s,
                        grace_period=self.grace_s,
                    )
                stack.callback(storage.engine.dispose)
                stack.callback(storage.remove_session)
                yield storage, engine
            except ImportError:
                raise MissingExtraError("postgres", "a database of trials") from None
            except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
                reason = error if isinstance(error, SQLAlchemyError) else error.__cause__ or error
                raise ExperimentError(
                    f"{where.render_as_string(hide_password=True)}: the database of trials cannot be used: "
                    f"{_first_line(getattr(reason, 'orig', None) or reason)}; trials that are complete stay "
                    "there: repeat the command when it can"
                ) from None

    def _where(self) -> URL:
        """The address, with the driver that is used here."""
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            where = make_url(self.url)
        except (ArgumentError, ValueError):
            raise ExperimentError(f"{self.url!r} is not a database of trials: {_KINDS}") from None
        if where.get_backend_name() not in ("postgresql", "postgres"):
            shown = where.render_as_string(hide_password=True)
            raise ExperimentError(f"{shown} is not a database of trials: {_KINDS}")
        where = where.set(drivername="postgresql+psycopg")
        return where if self.password is None else where.set(password=self.password)


class _Study:
    """One study, seen by one worker."""

    def __init__(
        self, storage: Any, engine: Engine, name: str, n_trials: int, objective: Objective, sampler: SamplerOf
    ) -> None:
        import optuna

        self._engine, self._name, self._n_trials = engine, name, n_trials
        self._objective, self._sampler = objective, sampler
        with _turn(engine, name):
            self._study = optuna.create_study(
                study_name=name, storage=storage, direction="minimize", load_if_exists=True
            )

    def compute_next(self) -> bool:
        """Compute a trial that waits; False: none does."""
        import optuna

        computed: list[int] = []
        with ExitStack() as turn:
            turn.enter_context(_turn(self._engine, self._name))
            optuna.storages.fail_stale_trials(self._study)
            number = self._next_number()
            if number is None:
                return False
            self._study.sampler = self._sampler(number)

            def objective(trial: Any) -> float:
                assert trial.user_attrs[_NUMBER] == number
                turn.close()  # the trial is taken: others may take the next
                loss = self._objective(trial)
                computed.append(trial.number)
                return loss

            try:
                self._study.optimize(objective, n_trials=1)
            except Exception:
                # this process stood still for so long that the trial was given to another
                if not computed or self._state(computed[0]) != optuna.trial.TrialState.FAIL:
                    raise
        return True

    def complete(self) -> list[Any]:
        """The complete trials, by their numbers."""
        import optuna

        found = self._study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
        return sorted(found, key=lambda trial: int(trial.user_attrs[_NUMBER]))

    def _next_number(self) -> int | None:
        """The number of the trial that waits first, after those that failed or are not there were added."""
        import optuna

        states = optuna.trial.TrialState
        trials = [one for one in self._study.get_trials(deepcopy=False) if one.state != states.FAIL]
        waiting = [int(one.user_attrs[_NUMBER]) for one in trials if one.state == states.WAITING]
        there = {one.user_attrs[_NUMBER] for one in trials}
        missing = [number for number in range(self._n_trials) if number not in there]
        for number in missing:
            self._study.enqueue_trial({}, user_attrs={_NUMBER: number})
        return next(iter(waiting + missing), None)

    def _state(self, number_in_study: int) -> Any:
        return self._study.get_trials(deepcopy=False)[number_in_study].state


@contextmanager
def _turn(engine: Engine, name: str) -> Iterator[None]:
    """Keep others out of a part that changes a study, in any process on any machine."""
    from sqlalchemy import func, select

    key = int.from_bytes(hashlib.sha256(f"emofuse {name}".encode()).digest()[:8], "big", signed=True)
    with engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(key)))
        yield


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


_CURRENT: Final[ContextVar[SharedStudies | None]] = ContextVar("emofuse_studies", default=None)


def current_studies() -> SharedStudies | None:
    """What :func:`sharing` says here; None where nothing does: trials are kept in the run's folder alone."""
    return _CURRENT.get()


@contextmanager
def sharing(studies: SharedStudies | None) -> Iterator[None]:
    """Share the trials of searches, in the block and in this thread alone."""
    token = _CURRENT.set(studies)
    try:
        yield
    finally:
        _CURRENT.reset(token)
