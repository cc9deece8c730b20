"""One contestant in its own process: `worker.py CONTESTANT PORT throughput|send|receive`; prints one line of JSON."""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import sys

from stopwatch import Control, Stopwatch
from workload import Arrivals, run


def main() -> None:
    """Do the work and say what was found."""
    name, port, task = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    logging.disable(logging.WARNING)
    contestant = importlib.import_module(f"contestants.{name.partition(':')[0]}").Contestant(port, name)
    gc.freeze()
    if task == "throughput":
        stopwatch = Stopwatch(Control(port))
        run(contestant.throughput(stopwatch))
        print(json.dumps(stopwatch.found))
    elif task == "send":
        run(contestant.send())
        print("sent")
    else:
        arrivals = Arrivals()
        run(contestant.receive(arrivals, lambda: print("ready", flush=True)))
        print(json.dumps(arrivals.delays))
    sys.stdout.flush()
    os._exit(0)  # some contestants leave threads and tasks behind


if __name__ == "__main__":
    main()
