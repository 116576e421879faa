"""Worker processes beside a server: started, watched, and begun anew when they stop."""

import threading
from collections.abc import Callable

from touchstone.errors import TouchstoneError
from touchstone.lots.workers import Workers
from touchstone.lots.working import MakeDesk
from touchstone.store import Store

RESTART_S = 15.0
"""How long what stopped the workers (a disk, a database) has to mend."""


class Keeper:
    """Keeps workers that serve whatever job there is."""

    def __init__(
        self,
        store: Store,
        make_desk: MakeDesk,
        *,
        count: int,
        tell: Callable[[Exception], None],
        restart_s: float = RESTART_S,
    ) -> None:
        """Prepare them.

        Args:
            store: where what dead workers held is freed.
            make_desk: makes in each process what it works with.
            count: of processes; 0 keeps none.
            tell: told what stopped them, from a thread.
            restart_s: the pause before they are begun anew.
        """
        self._store = store
        self._make_desk = make_desk
        self._count = count
        self._tell = tell
        self._restart_s = restart_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start them; returns at once."""
        if self._count:
            self._thread.start()

    def stop(self) -> None:
        """End them; returns once what they have in hand is finished."""
        self._stopping.set()
        if self._count:
            self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except (TouchstoneError, OSError) as error:
                self._tell(error)
            self._stopping.wait(self._restart_s)

    def _watch(self) -> None:
        with Workers(self._store, self._make_desk, count=self._count) as workers:
            for _ in workers.watched():
                if self._stopping.is_set():
                    return
