"""CPU milliseconds of each stage of a verification, beside the classic peer's.

The service itself is measured, not a copy of its steps: while a photo is verified,
the functions of its stages are exchanged for ones that keep time. A stage's time is
its own, without that of the stages inside it, so that the stages add up to the whole.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

from touchstone import retrieval, verification
from touchstone.blobs import LocalBlobs
from touchstone.catalogue import Catalogue
from touchstone.engine import evidence, identification
from touchstone.engine.comparator import OnnxComparator
from touchstone.engine.embedding import OnnxEmbedder
from touchstone.engine.features import Method, PhotoMatcher
from touchstone.engine.index import ReferenceIndex
from touchstone.engine.localisation import OnnxLocaliser
from touchstone.store.examinations import Examinations
from touchstone_training.bench.bed import Bed, ClassicPeer, Shot
from touchstone_training.bench.figures import Figure

_P = ParamSpec("_P")
_R = TypeVar("_R")

CLASSIC_RATIO = 4.0
"""How many times the classic peer's speed a full verification must reach."""

_UNIT = "CPU ms"
_REST = "everything else"
_SIFT = "detect SIFT, where ORB leaves doubt"
_FACE = "find the face"
_QUALITY = "measure quality"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage and what the same work cost elsewhere, CPU ms of one Zen 4 core."""

    name: str
    composite: float | None = None
    limit: float | None = None


IDENTIFY = "identify only, in all"
VERIFY = "full verification, in all"
CLASSIC = "classic peer, in all"

# Limits: JPEG entropy decoding; network at the peak of VNNI; scan of a million codes;
# ORB at 640 px; one reference instead of three; a cached reference; fused kernels.
STAGES = (
    Stage("decode", 3.6, 1.7),
    Stage("keep the bytes (SHA-256, written and flushed)", 0.1, 0.1),
    Stage(_FACE, None, 5.0),
    Stage("embed", 5.4, 3.2),
    Stage("search the index", 1.6, 1.2),
    Stage("look up candidates and their features"),
    Stage("detect ORB", 9.6, 6.0),
    Stage(_SIFT),
    Stage("register", 4.9, 1.5),
    Stage("look at what registered"),
    Stage("rectify", 4.9, 1.4),
    Stage("compare", 10.9, 6.0),
    Stage("ask the comparator", None, 15.0),
    Stage(_QUALITY),
    Stage("read codes", 1.3, 0.6),
    Stage("look at the spectrum"),
    Stage("examine, the rest"),
    Stage("fetch the reference"),
    Stage("decide"),
    Stage("record"),
    Stage(_REST),
)
TOTALS = (
    Stage(IDENTIFY, 10.7, 6.2),
    Stage(VERIFY, 42.3, 22.0),
    Stage(CLASSIC, 339.0),
)

Spent: TypeAlias = dict[str, float]
"""Milliseconds by stage."""


@dataclass(slots=True)
class Ledger:
    """Keeps the CPU time of stages that may lie inside one another."""

    spent: Spent = field(default_factory=lambda: defaultdict(float))
    _inside_s: list[float] = field(default_factory=list)
    """For each open stage, the time of the stages inside it."""

    def timed(
        self, name: str | Callable[..., str], act: Callable[_P, _R]
    ) -> Callable[_P, _R]:
        """Return ``act`` that books its time under ``name``, or what that answers."""

        @wraps(act)
        def acting(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            self._inside_s.append(0.0)
            started = time.process_time()
            try:
                return act(*args, **kwargs)
            finally:
                whole_s = time.process_time() - started
                own_s = whole_s - self._inside_s.pop()
                stage = name if isinstance(name, str) else name(*args, **kwargs)
                self.spent[stage] += own_s * 1e3
                if self._inside_s:
                    self._inside_s[-1] += whole_s

        return acting

    def closed(self) -> Spent:
        """Return what was spent since the last time, and start anew."""
        spent = dict(self.spent)
        self.spent.clear()
        return spent


def _detector(_: object, method: Method, **__: object) -> str:
    return "detect ORB" if method is Method.ORB else _SIFT


_Place: TypeAlias = tuple[Any, str, str | Callable[..., str]]

_PLACES: tuple[_Place, ...] = (
    (verification, "decode", "decode"),
    (retrieval, "match", "look at what registered"),
    (retrieval, "face_alone", _FACE),
    (OnnxLocaliser, "locate", _FACE),
    (verification, "examine", "examine, the rest"),
    (verification, "measure_quality", _QUALITY),
    (verification, "decide", "decide"),
    (LocalBlobs, "put", "keep the bytes (SHA-256, written and flushed)"),
    (Catalogue, "candidates", "look up candidates and their features"),
    (Catalogue, "reference", "fetch the reference"),
    (OnnxEmbedder, "embed", "embed"),
    (ReferenceIndex, "search", "search the index"),
    (identification, "detect", _detector),
    (PhotoMatcher, "votes", "register"),
    (identification, "register", "register"),
    (evidence, "rectify", "rectify"),
    (evidence, "compare", "compare"),
    (OnnxComparator, "differences", "ask the comparator"),
    (evidence, "measure_quality", _QUALITY),
    (evidence, "spectra_of", "look at the spectrum"),
    (evidence, "read_expected", "read codes"),
    (evidence, "read_face", "read codes"),
    (evidence, "is_gtin_other", "read codes"),
    (Examinations, "record_examination", "record"),
)


@contextmanager
def timekeeping(ledger: Ledger) -> Iterator[None]:
    """Exchange the functions of the stages for ones that keep time."""
    before = [(owner, name, vars(owner)[name]) for owner, name, _ in _PLACES]
    try:
        for (owner, name, stage), (_, _, act) in zip(_PLACES, before, strict=True):
            setattr(owner, name, ledger.timed(stage, act))
        yield
    finally:
        for owner, name, act in before:
            setattr(owner, name, act)


def measure_stages(bed: Bed, *, photos: int, repeats: int) -> list[Figure]:
    """Verify ``photos`` photos ``repeats`` times, in turn with the classic peer.

    Every figure is the mean over the photos of the least of its repeats.
    """
    shots = _spread(bed.shots(), photos)
    with bed.open() as parts:
        caller = parts.store.ensure_local_operator()
        peer = ClassicPeer(parts, caller)
        ledger = Ledger()

        def ours(shot: Shot, number: int) -> Spent:
            jpeg = shot.unlike(number)
            with timekeeping(ledger):
                verify = ledger.timed(_REST, parts.verifier.verify)
                verify(caller, [jpeg])
            spent = ledger.closed()
            spent[VERIFY] = sum(spent.values())
            identify = ledger.timed(IDENTIFY, parts.verifier.identify)
            identify(caller, jpeg)
            return spent | ledger.closed()

        def theirs(shot: Shot, number: int) -> Spent:
            del number
            ledger.timed(CLASSIC, peer.best)(shot.jpeg)
            return ledger.closed()

        kept = _in_turn(shots, (ours, theirs), repeats)
    return _figures([_least(spents) for spents in kept])


_Act: TypeAlias = Callable[[Shot, int], Spent]


def _spread(shots: Sequence[Shot], count: int) -> list[Shot]:
    """Take ``count`` of ``shots``, evenly: genuine and forged, of many designs."""
    chosen = np.linspace(0, len(shots) - 1, min(count, len(shots))).round()
    return [shots[int(number)] for number in chosen]


def _in_turn(
    shots: Sequence[Shot], acts: Sequence[_Act], repeats: int
) -> list[list[Spent]]:
    """Act on each shot ``repeats`` times after one warm-up, alternating who is first.

    Returns:
        For each shot, what each repeat spent.
    """
    kept: list[list[Spent]] = [[] for _ in shots]
    for repeat in range(repeats + 1):
        order = acts if repeat % 2 else acts[::-1]
        for number, shot in enumerate(shots):
            spent: Spent = {}
            for act in order:
                spent |= act(shot, repeat * len(shots) + number)
            if repeat:
                kept[number].append(spent)
    return kept


def _least(spents: Sequence[Spent]) -> Spent:
    names = {name for spent in spents for name in spent}
    return {name: min(spent.get(name, 0.0) for spent in spents) for name in names}


def _figures(photos: Sequence[Spent]) -> list[Figure]:
    mean = {
        stage.name: float(np.mean([spent.get(stage.name, 0.0) for spent in photos]))
        for stage in (*STAGES, *TOTALS)
    }
    with_sift = np.mean([spent.get(_SIFT, 0.0) > 0 for spent in photos])
    notes = {
        _SIFT: f"{with_sift:.0%} of the photos",
        VERIFY: f"dearest photo: {max(spent[VERIFY] for spent in photos):.0f} ms",
    }
    figures = [
        Figure(
            "Stages of a verification, 1600 x 1200",
            stage.name,
            mean[stage.name],
            _UNIT,
            composite=stage.composite,
            limit=stage.limit,
            note=notes.get(stage.name, ""),
        )
        for stage in (*STAGES, *TOTALS)
    ]
    ratio = Figure(
        figures[0].group,
        "full verification against the classic peer",
        mean[CLASSIC] / mean[VERIFY],
        "times faster",
        is_higher_better=True,
        target=CLASSIC_RATIO,
        composite=8.0,
    )
    return [*figures, ratio]
