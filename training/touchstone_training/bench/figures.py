"""Measured figures to a table and a JSON file, beside what they are held against."""

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from touchstone import __version__

_LIBRARIES = (
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "onnxruntime-gpu",
    "faiss-cpu",
    "pillow",
    "zxing-cpp",
    "sqlalchemy",
    "fastapi",
    "uvicorn",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that was measured."""

    group: str
    """Under which heading it stands."""
    name: str
    value: float
    unit: str
    """``CPU ms`` are of one core; plain ``ms`` and ``s`` are of the clock."""
    is_higher_better: bool = False
    target: float | None = None
    """What it must reach."""
    composite: float | None = None
    """What a bare pipeline of the same steps reached: no records, no policy, one Zen 4
    core a process, a million references."""
    limit: float | None = None
    """The least that the same hardware was found to need for the same work."""
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        if self.is_higher_better:
            return self.value >= self.target
        return self.value <= self.target

    @property
    def times_limit(self) -> float | None:
        """How many times the limit it takes: 1 is as good as can be."""
        if self.limit is None or not self.value:
            return None
        if self.is_higher_better:
            return self.limit / self.value
        return self.value / self.limit


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run, and of what they are."""

    figures: tuple[Figure, ...]
    is_quick: bool
    """Small sizes: shows that it runs; no figure to be quoted."""
    models: dict[str, str]
    """Digest by file."""
    load_before: float
    """Load average of the last minute, before the first measurement."""
    load_after: float
    made_at: str = field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )

    def to_json(self) -> str:
        """Return everything, with the machine and the libraries."""
        document = {
            "made_at": self.made_at,
            "is_quick": self.is_quick,
            "code": __version__,
            "models": self.models,
            "machine": {
                "cpu": cpu_model(),
                "cores": cores(),
                "system": platform.platform(),
                "load_before": self.load_before,
                "load_after": self.load_after,
            },
            "libraries": {"python": platform.python_version(), **_versions()},
            "figures": [
                {**asdict(one), "is_met": one.is_met, "times_limit": one.times_limit}
                for one in self.figures
            ],
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the JSON, with the folders it needs."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json(), encoding="utf-8")

    def show(self, console: Console) -> None:
        """Print one table for each group, and what was missed."""
        for group in dict.fromkeys(one.group for one in self.figures):
            console.print(
                _table(group, [one for one in self.figures if one.group == group])
            )
        console.print(
            Text(
                f"{cpu_model()}, {cores()} cores; load average {self.load_before:.1f} "
                f"before and {self.load_after:.1f} after."
            )
        )
        if self.is_quick:
            console.print(Text("Quick sizes: these figures say only that it runs."))
        below = [one.name for one in self.figures if one.is_met is False]
        words = f"Below target: {'; '.join(below)}." if below else "No target missed."
        console.print(Text(words, style="bold red" if below else "bold green"))


def _table(group: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=group, title_justify="left", header_style="bold")
    table.add_column("figure")
    columns = {
        "measured": [Text(f"{_short(one.value)} {one.unit}") for one in figures],
        "target": [_target(one) for one in figures],
        "composite": [Text(_short(one.composite)) for one in figures],
        "limit": [Text(_short(one.limit)) for one in figures],
        "x limit": [Text(_short(one.times_limit)) for one in figures],
    }
    shown = [name for name, cells in columns.items() if any(map(len, cells))]
    for name in shown:
        table.add_column(name, justify="right", no_wrap=name != "target")
    for number, one in enumerate(figures):
        table.add_row(_name(one), *(columns[column][number] for column in shown))
    return table


def _name(one: Figure) -> Text:
    name = Text(one.name)
    if one.note:
        name.append(f"\n{one.note}", style="dim")
    return name


def _target(one: Figure) -> Text:
    if one.target is None:
        return Text()
    wanted = Text(f"{'>=' if one.is_higher_better else '<='} {_short(one.target)}, ")
    if one.is_met:
        return wanted.append("met", style="green")
    return wanted.append("below target", style="bold red")


def _short(value: float | None) -> str:
    if value is None:
        return ""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def load_average() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def cpu_model() -> str:
    """Return the processor's name as the kernel has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # one of the two ONNX Runtimes
            continue
    return found
