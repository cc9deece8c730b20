"""Where a run takes place: virtual environments of its own, a server of its own, cores of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stopwatch import Control

from esb_runtime.testing._binary import find_binary, read_binary
from esb_runtime.testing._launch import free_port

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".build" / "bench"
ENVIRONMENTS = {
    # arq wants an older redis-py than the others
    "arq": ("arq==0.28.*", "hiredis>=3", "uvloop>=0.20"),
    "peers": (
        "faststream[redis]==0.7.*", "taskiq==0.13.*", "taskiq-redis==1.2.*", "msgspec>=0.19", "msgpack>=1.0.7",
        "redis>=5.2", "typing-extensions>=4.12", "hiredis>=3", "uvloop>=0.20", "pydantic>=2.6",
    ),
}  # fmt: skip
"""The peers, never requirements of the project's own environment. esb itself runs in `peers`, from its sources."""


def interpreter(contestant: str) -> Path:
    """The Python that a contestant runs in; its environment is made at first use."""
    name = "arq" if contestant == "arq" else "peers"
    folder, wanted = HOME / name, "\n".join(ENVIRONMENTS[name])
    made = folder / "made"
    if not made.exists() or made.read_text("utf-8") != wanted:
        print(f"Making the environment {folder.relative_to(ROOT)}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, *ENVIRONMENTS[name]], check=True)
        made.write_text(wanted, "utf-8")
    return folder / "bin" / "python"


def pinned(core: int) -> list[str]:
    """The words before a command that keep it on one core; none where that cannot be done."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(allowed[core])] if taskset and len(allowed) > 1 else []


@contextmanager
def server(*, alone: bool = True) -> Generator[tuple[int, str]]:
    """A server without persistence, `alone` on a core: its port and name. redis-server where there is one."""
    installed = shutil.which("redis-server")
    binary = read_binary(Path(installed)) if installed else find_binary()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        words = [
            *(pinned(0) if alone else ()), str(binary.path), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", folder, "--hash-max-listpack-value", "512",
        ]  # fmt: skip
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            _answers(port)
            yield port, f"{binary.flavour} {binary.version}"
        finally:
            process.terminate()
            process.wait(10)


def _answers(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            Control(port)("PING")
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def command(contestant: str, port: int, task: str) -> list[str]:
    """How a contestant's worker is started."""
    worker = Path(__file__).with_name("worker.py")
    return [*pinned(1), str(interpreter(contestant)), str(worker), contestant, str(port), task]


def variables(checkout: Path, **more: float) -> dict[str, str]:
    """The environment variables of a worker: esb comes from this checkout's sources."""
    path = os.pathsep.join((str(checkout / "runtime" / "src"), str(Path(__file__).parent)))
    return {**os.environ, "PYTHONPATH": path, **{name: str(value) for name, value in more.items()}}


def run_worker(words: Sequence[str], environment: dict[str, str]) -> str:
    """The last line that a worker printed. Raises `RuntimeError` with its last words when it failed."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=170)
    if done.returncode != 0 or not done.stdout.strip():
        raise RuntimeError(f"{' '.join(words[-3:])}: {done.stderr.strip()[-1500:]}")
    return done.stdout.strip().splitlines()[-1]
