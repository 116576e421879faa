"""Services of their own for a benchmark: records, index and policy as shipped."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from touchstone.bootstrap import Application, build, use_one_thread
from touchstone.enrolment import EnrolmentRequest
from touchstone.settings import Settings
from touchstone.store import Caller, ProductFields
from touchstone_training.benchmark.work import spread

References: TypeAlias = Sequence[tuple[str, bytes]]
"""Product code and image file of each."""


@dataclass(frozen=True, slots=True)
class _Enrolment:
    folder: Path
    references: References


def enrol_all(
    services: Mapping[Path, References], models: Path, *, workers: int
) -> None:
    """Enrol references into a service in each folder, once for all who ask it."""
    jobs = [_Enrolment(folder, own) for folder, own in services.items()]
    work = partial(_enrolled, models=models)
    for _ in spread(work, jobs, workers=workers, description="Enrolment"):
        pass


def _enrolled(job: _Enrolment, *, models: Path) -> None:
    with opened(job.folder, models) as (application, caller):
        for code, data in job.references:
            application.enroller.enrol(
                caller, EnrolmentRequest(data, ProductFields(code))
            )


@contextmanager
def opened(folder: Path, models: Path) -> Iterator[tuple[Application, Caller]]:
    """Open the service whose data lie in ``folder``; several processes may."""
    use_one_thread()
    settings = Settings.load(data_dir=folder, model_dir=models, provider="cpu")
    with build(settings) as application:
        yield application, application.store.ensure_local_operator()
