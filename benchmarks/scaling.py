"""Several processes on one server: what more of them bring. `scaling.py [EVENTS]` (200,000 per measurement).

Prints events per second of 1, 2 and 4 processes that produce in batches into one stream, that share a group without an
order (`Ordering.NONE`), and that own a stream each (`Ordering.KEY`), with the processor time of all of them and of the
server. Nothing is pinned: the processes share the machine's cores with the server.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from contestants.esb import KeyedOrders, Orders, parts
from stopwatch import Control
from surroundings import ROOT, interpreter, server, variables
from workload import BATCH, NOW, in_flight, run

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering

PROCESSES = (1, 2, 4)


class Handles(Orders[Consume]):
    """Handles events as they come."""

    async def placed(self, ctx: ConsumerContext, user: Any, product: Any, at: Any) -> None:
        _ = user.id


class HandlesInOrder(KeyedOrders[Consume]):
    """Handles the events of one key in order."""

    async def placed(self, ctx: ConsumerContext, user: Any, product: Any, at: Any) -> None:
        _ = user.id


async def work(what: str, port: int, count: int, stream: str) -> None:
    """One process: it says when it is ready, begins at a word, and says what it took (in seconds of a processor)."""
    async with Backbone.connect(endpoint=f"127.0.0.1:{port}") as backbone:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = time.process_time()
        if what == "produce":
            orders = Orders.producer(backbone, uri=stream)
            await in_flight(count, lambda some: backbone.batch([orders.placed(*parts(n), NOW) for n in some]))
        else:
            consumer = Handles() if what == "share" else HandlesInOrder()
            ordering = Ordering.NONE if what == "share" else Ordering.KEY
            subscription = backbone.subscribe(consumer, group="g", uri=stream, ordering=ordering)
            running = asyncio.create_task(subscription.run())
            await asyncio.to_thread(sys.stdin.readline)
            await subscription.stop()
            await running
    print(time.process_time() - began, flush=True)


def measured(what: str, port: int, processes: int, count: int) -> tuple[float, float, float]:
    """Events per second, then microseconds per event of the processes and of the server."""
    control = Control(port)
    control("FLUSHALL")
    streams = [f"bench-{n}" if what == "own" else "bench" for n in range(processes)]
    share = count // processes // BATCH * BATCH
    if what != "produce":
        for stream in set(streams):
            asyncio.run(_fill(port, stream, share * streams.count(stream)))
    started = [_started(what, port, share, stream) for stream in streams]
    began, server_before = time.perf_counter(), control.processor
    for process in started:
        _tell(process)
    if what != "produce":
        _until(lambda: all(_through(control, stream, share * streams.count(stream)) for stream in set(streams)))
        seconds = time.perf_counter() - began
        for process in started:
            _tell(process)
    said = [process.communicate(timeout=120)[0] for process in started]
    if what == "produce":
        seconds = time.perf_counter() - began
    total = share * processes
    clients = sum(float(words.split()[-1]) for words in said) / total * 1e6
    return total / seconds, clients, (control.processor - server_before) / total * 1e6


async def _fill(port: int, stream: str, count: int) -> None:
    async with Backbone.connect(endpoint=f"127.0.0.1:{port}") as backbone:
        orders = Orders.producer(backbone, uri=stream)
        await in_flight(count, lambda some: backbone.batch([orders.placed(*parts(n), NOW) for n in some]))


def _started(what: str, port: int, count: int, stream: str) -> subprocess.Popen[str]:
    words = [str(interpreter("esb")), __file__, "work", what, str(port), str(count), stream]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables(ROOT))
    if process.stdout is None or process.stdout.readline().strip() != "ready":
        raise RuntimeError(f"{what}: a process did not start")
    return process


def _tell(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.write("go\n")
        process.stdin.flush()


def _through(control: Control, stream: str, count: int) -> bool:
    """Whether the group has had everything and acknowledged it."""
    for words in control("XINFO", "GROUPS", stream) if control("EXISTS", stream) else ():
        told = dict(zip(words[::2], words[1::2], strict=True))
        return bool(told[b"entries-read"] == count and told[b"pending"] == 0)
    return False


def _until(condition: Callable[[], bool]) -> None:
    over = time.monotonic() + 120
    while not condition():
        if time.monotonic() > over:
            raise RuntimeError("the events were not all handled")
        time.sleep(0.005)


def main(count: int) -> None:
    """Everything, one after another."""
    with server(alone=False) as (port, version):
        print(version)
        for what, says in (("produce", "one stream"), ("share", "one group"), ("own", "a stream each, in order")):
            for processes in PROCESSES:
                rate, clients, servers = measured(what, port, processes, count)
                print(
                    f"{what:8} {says:24} {processes} processes {rate:>9,.0f} events/s"
                    f"  processes {clients:5.1f} us, server {servers:4.1f} us",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        run(work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
