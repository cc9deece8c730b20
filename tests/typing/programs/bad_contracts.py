"""Contracts that are written wrongly."""

from __future__ import annotations

from esb_runtime import Consume, ConsumerContext, EventContract, Side, event


class NotAsync(EventContract[Side]):
    @event  # E: pyright mypy
    def made(self) -> None: ...


class Returns(EventContract[Side]):
    @event  # E: pyright mypy
    async def made(self) -> int:
        return 1


class Options(EventContract[Side]):
    @event(version="1")  # E: pyright mypy
    async def made(self, name: str) -> None: ...

    @event(keys="name")  # E: pyright mypy
    async def keyed(self, name: str) -> None: ...


class Closed(EventContract):
    @event
    async def made(self, name: str) -> None: ...


class OfClosed(Closed[Consume]):  # E: pyright mypy
    async def made(self, ctx: ConsumerContext, name: str) -> None: ...  # E: mypy


class ReservedProducer(EventContract[Side]):
    @event
    async def producer(self, name: str) -> None: ...  # E: pyright mypy


class ReservedFallback(EventContract[Side]):
    @event
    async def fallback(self, name: str) -> None: ...  # E: pyright mypy


class NumberForUri(EventContract[Side], uri=1):  # E: pyright mypy
    pass
