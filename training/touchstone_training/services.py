"""Services of their own to measure with: records, index and policy as shipped."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from touchstone.bootstrap import Application, build, use_one_thread
from touchstone.enrolment import EnrolmentRequest
from touchstone.settings import Settings
from touchstone.store import Caller, ProductFields, Region
from touchstone_training.work import spread


@dataclass(frozen=True, slots=True)
class Specimen:
    """A reference as it is enrolled."""

    code: str
    """Of the product."""
    image: bytes
    variable_regions: tuple[Region, ...] = ()


References: TypeAlias = Sequence[Specimen]


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
        for one in job.references:
            application.enroller.enrol(
                caller,
                EnrolmentRequest(
                    one.image,
                    ProductFields(one.code),
                    variable_regions=one.variable_regions,
                ),
            )


@contextmanager
def opened(folder: Path, models: Path) -> Iterator[tuple[Application, Caller]]:
    """Open the service whose data lie in ``folder``; several processes may."""
    use_one_thread()
    settings = Settings.load(data_dir=folder, model_dir=models, provider="cpu")
    with build(settings) as application:
        yield application, application.store.ensure_local_operator()
