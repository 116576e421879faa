"""Rows of a Parquet file, read in a process of its own that may use so much memory.

A file of a few kB may tell of gigabytes: what its pages unpack to is only known once
they are, and the library for it keeps no limit. Run as a program, without importing the
rest, this is that process: it writes one JSON object a line.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Generator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MEMORY_BYTES = 1 << 30
"""Of address space; a third of it is the library's own."""
_BATCH_ROWS = 1000
_MAX_ROW = 1_000_000
"""Characters of one row."""


def has_parquet() -> bool:
    """Tell whether the library is there: an extra, 170 MB that most never need."""
    return find_spec("pyarrow") is not None


def parquet_rows(
    path: Path, wanted: Sequence[str]
) -> Generator[dict[str, Any], None, None]:
    """Yield the names of the columns (``columns``), then the cells of each row as text.

    A row that cannot be read has its reason as ``problem``. Read to the end or closed,
    it leaves no process behind.

    Args:
        path: of the file.
        wanted: columns to read, as far as they are there.

    Raises:
        ValueError: it is no Parquet, or needs more memory than `MEMORY_BYTES`.
    """
    command = [sys.executable, "-P", __file__, str(MEMORY_BYTES), os.fspath(path)]
    reader = subprocess.Popen(  # noqa: S603  our program, our file, no shell
        [*command, *wanted], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with reader:
        try:
            for line in reader.stdout or ():
                told = json.loads(line)
                if "refused" in told:
                    raise ValueError(told["refused"])
                yield told
            if reader.wait() != 0:  # the library ends itself where memory lacks
                raise ValueError(_too_large())
        finally:
            reader.kill()


def _too_large() -> str:
    return f"it unpacks to more than fits in {MEMORY_BYTES >> 20:,} MB."


# --- in the process -------------------------------------------------------------------


def _main(memory_bytes: int, path: str, wanted: Sequence[str]) -> None:
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # no arena of a size of its own
    import pyarrow  # noqa: PLC0415  before the limit, which is not for its code
    from pyarrow import parquet  # noqa: PLC0415

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    try:
        names = parquet.read_schema(path).names
        _say({"columns": names})
        present = [name for name in wanted if name in names]
        # Row by row, and dictionaries as they lie there: a long text that ten million
        # rows refer to is then held once.
        with parquet.ParquetFile(path, read_dictionary=present) as file:
            for batch in file.iter_batches(
                batch_size=_BATCH_ROWS, columns=present, use_threads=False
            ):
                columns = {name: batch.column(name) for name in present}
                for number in range(batch.num_rows):
                    _say(_row(columns, number))
    except MemoryError:
        sys.exit(1)
    except (OSError, pyarrow.ArrowException) as error:
        _say({"refused": getattr(error, "strerror", None) or str(error)})
    except Exception:  # the library has many names for it
        _say({"refused": "its columns are not plain text, or named twice."})


def _row(columns: dict[str, Any], number: int) -> dict[str, str]:
    try:
        cells = {name: column[number].as_py() for name, column in columns.items()}
    except UnicodeDecodeError:
        return {"problem": "The row is not text in UTF-8."}
    texts = {name: str(cell or "") for name, cell in cells.items()}
    if sum(map(len, texts.values())) > _MAX_ROW:
        return {"problem": f"The row has more than {_MAX_ROW:,} characters."}
    return texts


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
