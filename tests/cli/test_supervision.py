"""`esb run`: workers are started, restarted and ended in order, and nothing is left behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from supervision_kit import Esb, environment, eventually, gone, workspace

from esb_runtime.testing import RedisServer

__all__ = ["workspace"]


def test_a_crashed_worker_is_started_again(workspace: Path, redis_server: RedisServer) -> None:
    """A worker that dies is restarted after a growing wait, until it stays."""
    esb = Esb("run", "shop:crashes_twice", cwd=workspace, **redis_server.environment())
    esb.line("shop ended with 7; starting it again in 1 s")
    esb.line("shop ended with 7; starting it again in 2 s")
    esb.line("shop | start 3")
    assert esb.ends(signal.SIGINT) == 130


def test_run_reloads_when_asked(workspace: Path, redis_server: RedisServer) -> None:
    """`--reload` restarts every worker on a change; without a module to run it waits for one."""
    late = workspace / "src" / "late.py"
    esb = Esb("run", "late:wire", "--reload", "-w", "2", cwd=workspace, **redis_server.environment())
    esb.line("late-2 ended with 2; waiting for a change")
    esb.line("late-1 ended with 2; waiting for a change")
    late.write_text("from shop import forever as wire\n")
    esb.line("late-1 | ready as")
    esb.line("late-2 | ready as")
    assert esb.ends(signal.SIGTERM) == 0


def test_workers_share_the_work(workspace: Path, redis_server: RedisServer) -> None:
    """`--workers 3` runs three processes, each named; one that is killed is replaced, the others go on."""
    esb = Esb("run", "shop:forever", "--workers", "3", cwd=workspace, **redis_server.environment())
    pids = [int(esb.line(f"shop-{number} | ready as").split()[-1]) for number in (1, 2, 3)]
    assert len(set(pids)) == 3
    os.kill(pids[1], signal.SIGKILL)
    esb.line("shop-2 was killed by SIGKILL; starting it again in 1 s")
    pids.append(int(esb.line("shop-2 | ready as", count=2).split()[-1]))
    assert not gone(pids[0])
    assert esb.ends(signal.SIGTERM) == 0
    assert all(gone(pid) for pid in pids)


def test_sigterm_lets_a_worker_finish(workspace: Path, redis_server: RedisServer) -> None:
    """SIGTERM is passed on, waited for, and ends with 0."""
    esb = Esb("run", "shop:drains", cwd=workspace, **redis_server.environment())
    esb.line("shop | working")
    assert esb.ends(signal.SIGTERM) == 0
    assert "shop | drained" in esb.text


def test_a_worker_that_does_not_stop_is_killed_with_its_children(workspace: Path, redis_server: RedisServer) -> None:
    """After the drain time nothing of the worker is left, nor of what it started."""
    esb = Esb("run", "shop:stubborn", "--drain", "0.5", cwd=workspace, **redis_server.environment())
    pids = [int(word) for word in esb.line("shop | stubborn").split()[-2:]]
    assert esb.ends(signal.SIGTERM) == 0
    eventually(lambda: all(gone(pid) for pid in pids))


def test_a_second_ctrl_c_does_not_wait(workspace: Path, redis_server: RedisServer) -> None:
    """Impatience is understood: the second Ctrl-C kills."""
    esb = Esb("run", "shop:stubborn", cwd=workspace, **redis_server.environment())
    pids = [int(word) for word in esb.line("shop | stubborn").split()[-2:]]
    esb.process.send_signal(signal.SIGINT)
    esb.line("Ctrl-C again")
    assert esb.ends(signal.SIGINT) == 130
    eventually(lambda: all(gone(pid) for pid in pids))


def test_a_killed_supervisor_takes_its_programs_along(workspace: Path, redis_server: RedisServer) -> None:
    """Even kill -9 of `esb run` leaves no worker behind: they notice that they are alone."""
    esb = Esb("run", "shop:forever", "--workers", "2", cwd=workspace, **redis_server.environment())
    pids = [int(esb.line(f"shop-{number} | ready as").split()[-1]) for number in (1, 2)]
    esb.ends(signal.SIGKILL)
    eventually(lambda: all(gone(pid) for pid in pids))


def test_a_consumer_class_runs_in_its_group(workspace: Path, redis_server: RedisServer) -> None:
    """`esb run MODULE:CONSUMER --group G` subscribes the class; what a producer sends arrives."""
    esb = Esb("run", "shop:Teller", "--group", "class", cwd=workspace, **redis_server.environment())
    assert Esb("run", "shop:opens", cwd=workspace, **redis_server.environment()).ends() == 0
    esb.line("shop | the corner shop is open")
    assert esb.ends(signal.SIGTERM) == 0


def test_health_knows_whether_the_group_consumes(workspace: Path, tmp_path: Path) -> None:
    """`/live` and `/ready` are 200 while the worker consumes; without its server it lives and is not ready."""
    port = free_port()
    with RedisServer.start(tmp_path / "own", ends_with_process=True) as server:
        esb = Esb("run", "shop:forever", "--health", str(port), cwd=workspace, **server.environment())
        eventually(lambda: asked(port, "/ready") == 200)
        assert (asked(port, "/live"), asked(port, "/other")) == (200, 404)
        other = Esb("run", "shop:forever", "--health", str(port), cwd=workspace, **server.environment())
        assert other.ends() == 1
        assert f"--health: port {port} cannot be had" in other.text
    eventually(lambda: asked(port, "/ready") == 503)
    assert asked(port, "/live") == 200
    assert esb.ends(signal.SIGTERM) == 0
    assert asked(port, "/live") is None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(port: int, path: str) -> int | None:
    """The status of an answer; None where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def test_a_program_that_runs_once_is_not_repeated(workspace: Path, redis_server: RedisServer) -> None:
    """A producer that failed is reported and not started again: that would repeat what it did."""
    esb = Esb("run", "shop:fails_once", cwd=workspace, **redis_server.environment())
    assert esb.ends() == 1
    assert "RuntimeError: out of stock" in esb.text
    assert esb.text.count("trying") == 1


def test_a_program_that_ends_well_ends_run(workspace: Path, redis_server: RedisServer) -> None:
    """`esb run` of a program that ends with 0 ends with 0."""
    esb = Esb("run", "shop:once", cwd=workspace, **redis_server.environment())
    assert esb.ends() == 0
    assert "shop | placed an order" in esb.text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere:wire"], "there is no module 'nowhere'"),
        (["shop:nothing"], "module 'shop' has no function or class 'nothing'"),
        (["shop"], "write MODULE:FUNCTION"),
        (["shop:once", "--group", "g"], "--group belongs to a consumer class"),
        (["pathlib:Path"], "name its group with --group"),
    ],
)
def test_what_cannot_be_run_is_said(
    workspace: Path, redis_server: RedisServer, arguments: list[str], says: str
) -> None:
    """A target that names no program is explained in one sentence and tried once."""
    esb = Esb("run", *arguments, cwd=workspace, **redis_server.environment())
    assert esb.ends() == 1
    assert esb.text.count(says) == 1
    assert "Traceback" not in esb.text


def test_any_output_is_shown(workspace: Path, redis_server: RedisServer) -> None:
    """Bytes that are no text, endless lines and a last line without an end all arrive."""
    esb = Esb("run", "shop:odd", cwd=workspace, **redis_server.environment())
    assert esb.ends() == 0
    assert "shop | café \\xff" in esb.text
    assert sum(line.count("x") for line in esb.lines) >= 200_000
    assert "shop | no end" in esb.text


def test_a_closed_pipe_ends_everything(workspace: Path, redis_server: RedisServer) -> None:
    """`esb run ... | head -1` ends with its reader, quietly."""
    command = f"{sys.executable} -m esb_cli run shop:crashes_twice | head -1"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=workspace,
        env=environment(**redis_server.environment()),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "shop | start 1\n"
    assert "Traceback" not in done.stderr
