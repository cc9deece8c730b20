"""Whether a container's consumer is alive: `python -m esb_runtime.health STREAM GROUP` (for a HEALTHCHECK).

Exit code 0: a consumer of this host holds a running lease in the group. Exit code 1: it does not, and the reason is on
standard error. A consumer that another process keeps from the stream (ordering by key) is alive too. Redis and its
password come from `REDIS_EVENT_SOURCE_ENDPOINT` and `REDIS_EVENT_SOURCE_PASS`.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys

from ._errors import EsbError
from .operations import Operations


async def living(stream: str, group: str, host: str) -> list[str]:
    """The consumers of a group that run on a host and whose lease runs. Raises what the channel raises."""
    operations = await Operations.connect()
    try:
        description = await operations.describe(stream)
    finally:
        await operations.aclose()
    members = [consumer for found in description.groups if found.name == group for consumer in found.consumers]
    return [consumer.name for consumer in members if consumer.alive and consumer.name.startswith(f"{host}-")]


def main(arguments: list[str] | None = None) -> int:
    """Look once; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m esb_runtime.health", description="Is this host's consumer alive?")
    parser.add_argument("stream", help="the stream's key, with its environment: prod:orders")
    parser.add_argument("group", help="the consumer group")
    parser.add_argument("--name", default=socket.gethostname(), help="the consumer's name= (default: the host's name)")
    options = parser.parse_args(arguments)
    try:
        found = asyncio.run(living(options.stream, options.group, options.name))
    except EsbError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    if not found:
        sys.stderr.write(f"no living consumer of {options.name} in group {options.group} of {options.stream}\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
