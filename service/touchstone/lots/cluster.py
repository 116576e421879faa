"""Workers on many machines: the photos of a job, shared out by Ray part by part.

Ray (https://docs.ray.io) starts the workers and hands out the work; what was done
stands in the records, as with workers of one machine. A part that Ray gives out again,
since the machine that had it died, is examined only as far as it was not.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from touchstone.errors import ConfigurationError, InvalidInputError, TouchstoneError
from touchstone.lots.working import (
    Desk,
    MakeDesk,
    is_dead,
    is_of_run,
    work_on,
    worker_name,
)
from touchstone.store import JobState, Store, new_id

HERE = "local"
"""The address that means: a cluster of this machine alone, made for the run."""
_A_PART = 16
"""Photos handed to a worker at once: two seconds of work, so that Ray's own share, a
few milliseconds, is small, and the machines end together."""
_AT_ONCE = 50_000
"""Photos that Ray is told of at once; it keeps a record of each part."""
_STARTS = 3
_PASSED_ON = "AWS_"
"""What names of variables begin with that workers are given: how to reach S3."""


class Cluster:
    """Workers on a Ray cluster, for one job."""

    def __init__(
        self,
        store: Store,
        make_desk: MakeDesk,
        *,
        address: str,
        job_id: str,
        count: int | None = None,
    ) -> None:
        """Prepare it; ``with`` joins the cluster.

        Args:
            store: the records, which the workers reach as well.
            make_desk: makes in each worker what it works with.
            address: of the cluster, as Ray has it; `HERE`, or ``auto`` for the one that
                this machine is part of.
            job_id: the job to work on.
            count: of workers, 1 or more; one a core of the cluster if not given.
        """
        self._store = store
        self._address = address
        self._job_id = job_id
        self._count = count
        self._run = new_id()
        passed_on = {k: v for k, v in os.environ.items() if k.startswith(_PASSED_ON)}
        self._kit = _Kit(make_desk, job_id, self._run, passed_on)
        self._ray: Any = None
        self._begun = ExitStack()

    def __enter__(self) -> Self:
        self._check_reach()
        with ExitStack() as begun:
            # Ray tells of machines that die on the standard output, which is for
            # results.
            begun.enter_context(redirect_stdout(sys.stderr))
            self._ray = _imported()
            _join(self._ray, self._address, self._count)
            begun.callback(self._leave)
            self._try_out()
            self._store.take_from_dead(is_dead)  # of a run before that was killed
            self._begun = begun.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._begun.close()

    def _leave(self) -> None:
        self._ray.shutdown()
        self._store.take_from_dead(self._is_ours, untried=True)

    def watched(self, *, every_s: float = 0.5) -> Iterator[None]:
        """Share out what is open; yield now and then until the job has ended.

        Raises:
            TouchstoneError: what stopped a worker, and would stop every other.
            ConfigurationError: they die on the cluster, again and again.
        """
        while self._store.job_state(self._job_id) in _GOING:
            ids = self._store.waiting(self._job_id, limit=_AT_ONCE)
            if ids:
                yield from self._shared_out(ids)
            else:
                # Others hold the rest, and may yet lose it; or there is none, and this
                # ends the job.
                self._store.lease_these("", self._job_id, (), is_lost=self._is_ours)
                time.sleep(every_s)
                yield

    def _try_out(self) -> None:
        # Before the many: workers that die as they start would be made anew for ever.
        trial = self._ray.remote(num_cpus=1, max_retries=_STARTS - 1)(_tried)
        try:
            error = self._ray.get(trial.remote(self._kit))
        except self._ray.exceptions.RayError as cause:
            raise ConfigurationError(
                f"A worker on the cluster cannot start: {_first_line(cause)} Is this "
                "version of touchstone on each of its machines, and memory for it?"
            ) from cause
        if error is not None:
            raise error

    def _shared_out(self, ids: Sequence[str]) -> Iterator[None]:
        try:
            for error in _answers(self._ray, self._kit, ids, self._workers()):
                if error is not None:
                    raise error
                yield
        except self._ray.exceptions.RayError as error:
            # What is left is shared out once more, unless that is all there was.
            self._store.take_from_dead(self._is_ours)
            if self._store.waiting(self._job_id, limit=_AT_ONCE) == tuple(ids):
                raise ConfigurationError(
                    f"The cluster cannot work: {_first_line(error)}"
                ) from error

    def _workers(self) -> int:
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        return max(1, min(self._count or cores, cores))

    def _is_ours(self, name: str) -> bool:
        return is_of_run(name, self._run)

    def _check_reach(self) -> None:
        if self._address == HERE:
            return
        name = self._store.name_of_unsent(self._job_id)
        if name is not None:
            raise InvalidInputError(
                f"{name} lies on one machine alone, where a cluster cannot read it: "
                "put the photos into the image store with `touchstone lot add`."
            )


_GOING = (JobState.QUEUED, JobState.RUNNING)


def _imported() -> Any:
    # Before the import, which reads it: Ray would tell its makers of the cluster.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray would hide GPUs from workers that ask for none; the provider is a setting.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        # Here, for it takes seconds, and one machine needs it never.
        ray = import_module("ray")
        import_module("ray.data")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Work on a cluster needs Ray: install touchstone[cluster]."
        ) from error
    return ray


def _join(ray: Any, address: str, count: int | None) -> None:
    of_own: dict[str, Any] = {"include_dashboard": False, "num_cpus": count}
    try:
        ray.init(
            address=address,
            log_to_driver=False,  # what workers print is no word of ours
            configure_logging=False,
            **(of_own if address == HERE else {}),
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"The Ray cluster at {address} cannot be joined: {_first_line(error)}"
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _answers(
    ray: Any, kit: "_Kit", ids: Sequence[str], workers: int
) -> Iterator[TouchstoneError | None]:
    """Have all these examined; yield what stopped a part of them, None for nothing."""
    parts = [
        {"ids": list(ids[first : first + _A_PART])}
        for first in range(0, len(ids), _A_PART)
    ]
    answered = ray.data.from_items(parts, override_num_blocks=len(parts)).map_batches(
        _Hand,
        fn_constructor_args=(kit,),
        batch_size=None,
        # Ray makes anew whichever dies, without end: when to give up a photo is for the
        # records to say.
        compute=ray.data.ActorPoolStrategy(
            size=workers, max_tasks_in_flight_per_actor=2
        ),
        num_cpus=1,
    )
    for row in answered.iter_rows():
        yield row["stopped_by"]


# --- in the worker ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kit:
    """What a worker is sent; never shown, as settings hold secrets."""

    make_desk: MakeDesk = field(repr=False)
    job_id: str
    run: str
    environment: dict[str, str] = field(repr=False)

    def desk(self) -> Desk:
        """Return what to work with, in the worker."""
        os.environ.update(self.environment)
        return self.make_desk()


def _tried(kit: _Kit) -> TouchstoneError | None:
    """Make a desk and clear it away; return why it cannot be made."""
    try:
        kit.desk().store.close()
    except TouchstoneError as error:
        return error
    return None


class _Hand:
    """One worker of the cluster: makes its desk once, then examines part by part."""

    def __init__(self, kit: _Kit) -> None:
        self._kit = kit
        self._name = worker_name(kit.run)
        self._desk: Desk | None = None

    def __call__(self, part: dict[str, Any]) -> dict[str, list[TouchstoneError | None]]:
        # An error is an answer: raised, Ray would wrap it, print it and try again.
        try:
            for ids in part["ids"]:
                self._examine(ids)
        except TouchstoneError as error:
            return {"stopped_by": [error]}
        return {"stopped_by": [None]}

    def _examine(self, ids: Sequence[str]) -> None:
        if self._desk is None:
            self._desk = self._kit.desk()
        work_on(
            self._desk,
            self._name,
            job_id=self._kit.job_id,
            ids=[str(one) for one in ids],
            # Who had this part before is dead, or is taken for dead by Ray.
            is_lost=partial(is_of_run, run=self._kit.run),
        )
