"""A lot scored by the real command, killed again and again: none lost, none twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from touchstone.bootstrap import open_store
from touchstone.cli.options import settings_with
from touchstone.store import Caller, Store, SubmissionState

_COMMAND = (sys.executable, "-c", "from touchstone.cli import main; main()")


@dataclass(frozen=True, slots=True)
class KillTrial:
    """What a lot looks like after all the deaths."""

    photos: int
    kills_of_workers: int
    kills_of_everything: int
    results: int
    """Submissions that have one."""
    failed: int
    examinations: int
    """Recorded for the photos of the lot; one each if none was repeated."""
    attempts_lost: int
    """Leases that ended with a death: what was begun and had to be begun again."""
    is_chain_whole: bool
    seconds: float
    peak_mb: float
    """Resident memory of all processes of the lot together, at its highest."""

    @property
    def is_held(self) -> bool:
        """Whether every photo has one result and no photo has two."""
        return (
            self.results == self.photos
            and self.examinations == self.photos - self.failed
            and self.is_chain_whole
        )


def score_under_kills(
    lot_folder: Path, data: Path, *, kills: int, workers: int, seed: int
) -> KillTrial:
    """Enrol a simulated lot, score it with ``kills`` random ``kill -9``, and count.

    Half of the kills strike one worker, half the whole group of processes. They come at
    random instants over the time that the lot is expected to take by its own pace.
    """
    fate = random.Random(seed)  # noqa: S311  no secret: a trial that can be repeated
    references = lot_folder / "references.csv"
    _run(data, "enrol", str(references))
    lot_id = json.loads(_run(data, "lot", "create", lot_folder.name, "--json"))["lot"]
    _run(data, "lot", "add", lot_id, str(lot_folder / "photos"))
    started, peak = time.monotonic(), 0.0
    dealt: Counter[str] = Counter()
    with closing(open_store(settings_with(data), create=False)) as store:
        caller = store.ensure_local_operator()
        total = store.tally(caller, lot_id).total
        marks = sorted(fate.uniform(0.01, 0.98) * total for _ in range(kills))
        while store.tally(caller, lot_id).done < total:
            scoring = _begin(data, lot_id, workers)
            whole = False
            while scoring.poll() is None and not whole:
                peak = max(peak, _memory_mb(scoring.pid))
                done = store.tally(caller, lot_id).done
                if marks and done >= marks[0]:
                    marks.pop(0)
                    time.sleep(fate.uniform(0.0, 0.5))
                    whole = _kill(scoring, fate)
                    dealt["everything" if whole else "worker"] += 1
                time.sleep(0.2)
            scoring.wait()
        return _counted(
            store, caller, lot_id, dealt=dealt, started=started, peak_mb=peak
        )


def _run(data: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  our own command
        [*_COMMAND, *arguments, "--data", str(data)],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _begin(data: Path, lot_id: str, workers: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603  our own command
        [
            *_COMMAND,
            *("lot", "score", lot_id, "--workers", str(workers), "--data", str(data)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _kill(scoring: "subprocess.Popen[bytes]", fate: random.Random) -> bool:
    """Kill one worker, or all; return whether it was all."""
    children = psutil.Process(scoring.pid).children(recursive=True)
    if children and fate.random() < 0.5:  # noqa: PLR2004  half and half
        fate.choice(children).kill()
        return False
    os.killpg(scoring.pid, signal.SIGKILL)
    return True


def _memory_mb(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        group = [process, *process.children(recursive=True)]
        return sum(float(one.memory_info().rss) for one in group) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def _counted(
    store: Store,
    caller: Caller,
    lot_id: str,
    *,
    dealt: Counter[str],
    started: float,
    peak_mb: float,
) -> KillTrial:
    seconds = time.monotonic() - started
    states = Counter(item.state for item in store.lot_items(caller, lot_id))
    failed = states[SubmissionState.FAILED]
    done = failed + states[SubmissionState.EXAMINED]
    done += states[SubmissionState.QUALITY_FAILED]
    return KillTrial(
        photos=states.total(),
        kills_of_workers=dealt["worker"],
        kills_of_everything=dealt["everything"],
        results=done,
        failed=failed,
        examinations=_examinations(store, caller),
        attempts_lost=store.attempts_lost(caller, lot_id),
        is_chain_whole=store.verify_chain().ok,
        seconds=round(seconds, 1),
        peak_mb=round(peak_mb, 0),
    )


def _examinations(store: Store, caller: Caller) -> int:
    count, after = 0, None
    while True:
        page = store.list_examinations(caller, after=after, limit=1000)
        count += len(page.items)
        if page.next_cursor is None:
            return count
        after = page.next_cursor


def report_of(trial: KillTrial) -> dict[str, object]:
    """Describe a trial as JSON."""
    return asdict(trial) | {"is_held": trial.is_held}
