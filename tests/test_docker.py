"""The image, without Docker: what the Dockerfile says is done here, step by step.

Each step is read from the Dockerfile and carried out in a scratch folder in place of
the image's root: the wheel is built and installed, what COPY names is copied, and the
CMD runs as another user, in a read-only tree, from the environment that ENV gives.
Only the dependencies are not downloaded: they are those of these tests.
"""

import functools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_world import write_models

ROOT = Path(__file__).parents[1]
UID = 10001


@dataclass(frozen=True)
class Step:
    stage: int
    word: str
    rest: str

    @property
    def flags(self) -> dict[str, str]:
        return dict(re.findall(r"--([\w-]+)=(\S+)", self.rest))

    @property
    def words(self) -> list[str]:
        text = re.sub(r"--[\w-]+=\S+\s*", "", self.rest)
        return list(json.loads(text)) if text.startswith("[") else shlex.split(text)


def steps() -> list[Step]:
    text = (ROOT / "Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: list[Step] = []
    stage = -1
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        found.append(Step(stage, word, rest.strip()))
    return found


def rests(word: str, *, stage: int) -> list[str]:
    return [one.rest for one in steps() if (one.word, one.stage) == (word, stage)]


def environment() -> dict[str, str]:
    (text,) = rests("ENV", stage=1)
    return dict(pair.split("=", 1) for pair in shlex.split(text))


# --- what it says -------------------------------------------------------------------


def test_the_service_runs_as_nobody_in_particular() -> None:
    assert rests("USER", stage=1) == [f"{UID}:{UID}"]
    assert rests("VOLUME", stage=1) == ["/data"]
    assert rests("STOPSIGNAL", stage=1) == ["SIGTERM"]
    assert environment()["TOUCHSTONE_DATA"] == "/data"
    last_user = max(n for n, step in enumerate(steps()) if step.word == "USER")
    assert not any(step.word in {"RUN", "COPY", "ADD"} for step in steps()[last_user:])


def test_the_base_can_be_pinned_and_the_variant_chosen() -> None:
    assert rests("ARG", stage=-1) == ["BASE=python:3.11-slim"]
    assert [one.rest for one in steps() if one.word == "FROM"] == [
        "${BASE} AS build",
        "${BASE}",
    ]
    assert "VARIANT=cpu" in rests("ARG", stage=0)


def test_every_extra_that_the_image_installs_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    arguments = dict(text.split("=") for text in rests("ARG", stage=0))
    wanted = {"cpu", "gpu", *arguments["EXTRAS"].split(",")}
    assert wanted <= set(extras)
    assert "[${VARIANT},${EXTRAS}]" in rests("RUN", stage=0)[-1]


def test_what_is_copied_is_let_in_by_dockerignore() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word.removeprefix("./")
        for step in steps()
        if step.word == "COPY" and "from" not in step.flags
        for word in step.words[:-1]
    }
    assert "*" in lines
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


# --- what it does -------------------------------------------------------------------


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The image's root, as a folder: /opt/touchstone and an empty /data in it."""
    # Not under pytest's own folder: that is closed to other users.
    scratch = Path(tempfile.mkdtemp(prefix="touchstone-image-"))
    scratch.chmod(0o755)
    try:
        _build(scratch)
        yield scratch
    finally:
        subprocess.run(["chmod", "-R", "u+w", scratch], check=True)  # noqa: S603, S607
        shutil.rmtree(scratch)


def _build(scratch: Path) -> None:
    (scratch / "src").mkdir()
    for step in steps():
        if step.word == "COPY" and step.stage == 0:
            _copy(step, scratch / "src")
    wheel, venv, _ = rests("RUN", stage=0)
    _run_wheel(wheel, scratch)
    _run_venv(venv, scratch)
    (installed,) = (scratch / "wheels").iterdir()
    _pip("--python", scratch / "opt/touchstone/bin/python", "install", installed)
    _copy_models(scratch)
    shutil.rmtree(scratch / "src")
    data = scratch / "data"
    data.mkdir(mode=0o700)
    subprocess.run(["chmod", "-R", "a-w", scratch / "opt"], check=True)  # noqa: S603, S607
    if os.geteuid() == 0:
        os.chown(data, UID, UID)


def _copy(step: Step, workdir: Path) -> None:
    *sources, target = step.words
    for source in sources:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, workdir / target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, workdir / target)


def _run_wheel(command: str, scratch: Path) -> None:
    words = command.replace("/wheels", str(scratch / "wheels")).split()
    assert words[:2] == ["pip", "wheel"]
    # What builds the wheel is installed here; in the image it is downloaded.
    _pip(*words[1:], "--no-build-isolation", cwd=scratch / "src")


def _run_venv(command: str, scratch: Path) -> None:
    words = command.replace("/opt", str(scratch / "opt")).split()
    assert words[:3] == ["python", "-m", "venv"]
    subprocess.run([sys.executable, *words[1:], "--without-pip"], check=True)  # noqa: S603
    (site,) = (scratch / "opt/touchstone/lib").glob("python*/site-packages")
    # A folder named by a .pth is searched, but its own .pth files are not read: the
    # dependencies are found there, the editable touchstone is not.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


def _pip(*words: str | Path, cwd: Path | None = None) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_QUIET": "1"}
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip", *map(str, words)],
        check=True,
        cwd=cwd,
        env={**os.environ, **offline, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )


def _copy_models(scratch: Path) -> None:
    (copied,) = (
        step.words
        for step in steps()
        if (step.word, step.stage) == ("COPY", 1) and "from" not in step.flags
    )
    target = scratch / copied[-1].lstrip("/")
    if (ROOT / "models" / "embedder.onnx").is_file():
        shutil.copytree(ROOT / copied[0], target)
    else:
        write_models(target)


def as_nobody(image: Path, words: list[str], *, port: int) -> "subprocess.Popen[str]":
    """Start ``words`` as the image would: its user, its environment, its folder."""
    env = {
        name: value.replace("/opt/", f"{image}/opt/").replace("/data", f"{image}/data")
        for name, value in environment().items()
    }
    env["PATH"] = env["PATH"].replace("$PATH", os.environ["PATH"])
    env |= {"TOUCHSTONE_PORT": str(port), "TOUCHSTONE_HOST": "127.0.0.1"}
    return subprocess.Popen(  # noqa: S603
        [*_nobody(), *words],
        cwd=image / "data",
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@functools.cache
def _nobody() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    plain = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
    # The interpreter may lie in a home that is closed to others: then it may read
    # everything, and still write no more than any other user.
    reads = "+dac_read_search"
    reading = (*plain, f"--inh-caps={reads}", f"--ambient-caps={reads}")
    for prefix in (plain, reading):
        probe = [*prefix, sys.executable, "-c", ""]
        if subprocess.run(probe, check=False, capture_output=True).returncode == 0:  # noqa: S603
            return (*prefix, "--no-new-privs")
    pytest.skip("no other user can run this interpreter")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answer(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def test_the_wheel_holds_the_service_and_no_weights(image: Path) -> None:
    (wheel,) = (image / "wheels").iterdir()
    names = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "zipfile", "-l", str(wheel)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "touchstone/verification.py" in names
    assert "touchstone/store/migrations/" in names
    assert ".onnx" not in names


def test_the_image_serves_as_another_user_from_a_read_only_tree(image: Path) -> None:
    port = free_port()
    (command,) = (step.words for step in steps() if step.word == "CMD")
    service = as_nobody(image, command, port=port)
    try:
        end = time.monotonic() + 60
        while answer(f"http://127.0.0.1:{port}/readyz") != 200:
            assert service.poll() is None, service.communicate()
            assert time.monotonic() < end
            time.sleep(0.2)
        (check,) = (step.rest for step in steps() if step.word == "HEALTHCHECK")
        probe = json.loads(check.partition("CMD ")[2])
        with as_nobody(image, probe, port=port) as healthy:
            _, words = healthy.communicate(timeout=30)
        assert healthy.returncode == 0, words
        assert answer(f"http://127.0.0.1:{port}/v1/products") == 401
    finally:
        service.send_signal(signal.SIGTERM)
        out, err = service.communicate(timeout=40)
    assert service.returncode == 0, err
    assert out == ""
    assert "Administrator's key" in err
    assert (image / "data" / "touchstone.db").stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        assert (image / "data" / "touchstone.db").stat().st_uid == UID


def test_the_health_check_fails_where_nothing_serves(image: Path) -> None:
    (check,) = (step.rest for step in steps() if step.word == "HEALTHCHECK")
    probe = json.loads(check.partition("CMD ")[2])
    with as_nobody(image, probe, port=free_port()) as unhealthy:
        unhealthy.communicate(timeout=30)
    assert unhealthy.returncode != 0


def test_the_tree_cannot_be_written(image: Path) -> None:
    target = image / "opt" / "touchstone" / "written"
    words = ["python", "-c", f"open({str(target)!r}, 'w')"]
    with as_nobody(image, words, port=0) as writer:
        writer.communicate(timeout=30)
    assert writer.returncode != 0 or os.geteuid() != 0
    assert not target.exists()
