"""A workspace with everything in it, as it runs: callers over HTTP, both consumers, and a collector of telemetry."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from otlp import Collector, Span, collecting
from template_kit import Scaffold, in_prometheus

from esb_runtime.testing import RedisServer

pytestmark = pytest.mark.xdist_group("template-service")
POSTERS = 50
EACH = 4
ORDER: dict[str, Any] = {
    "user": {"id": 1, "email": "ada@example.com", "name": "Ada"},
    "product": {"id": 11, "name": "a kettle", "price": "24.90"},
    "time": "2030-06-01T09:30:00Z",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where it listens, what its consumers print, what it tells, and its folder."""

    address: str
    told: Path
    collector: Collector
    folder: Path

    def post(self, event: str, body: Mapping[str, Any]) -> httpx.Response:
        """POST one event."""
        return httpx.post(f"{self.address}/my-event/{event}", json=body, timeout=60)


@pytest.fixture(scope="module")
def service(
    scaffolded: Scaffold,
    machine: Mapping[str, str],
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """The service and the consumers as processes, stopped in the end with exit code 0."""
    folder = scaffolded(api=True, telemetry=True, store="inline")
    told = tmp_path_factory.mktemp("service") / "told"
    redis_server.clear()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with collecting() as collector, told.open("w") as out:
        env = {
            **machine,
            **redis_server.environment(),
            "PYTHONPATH": os.pathsep.join(map(str, folder.glob("*/src"))),
            "API_PORT": str(port),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        programs = [
            subprocess.Popen([sys.executable, "-m", f"mycompany.events.{name}"], env=env, stdout=out, cwd=told.parent)
            for name in ("consumer", "api")
        ]
        try:
            until_ready(f"http://127.0.0.1:{port}")
            yield Service(address=f"http://127.0.0.1:{port}", told=told, collector=collector, folder=folder)
            for program in programs:
                program.terminate()
            assert [program.wait(60) for program in programs] == [0, 0]
        finally:
            for program in programs:
                program.kill()
                program.wait()


def until_ready(address: str) -> None:
    """Wait until the service has its Redis."""
    end = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{address}/ready", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, "the service does not answer"
        time.sleep(0.1)


def test_one_trace_runs_from_the_request_to_both_consumers(service: Service) -> None:
    """Request, send, the process of both groups, and so on through each event that a handler produced, to the last."""
    assert service.post("order-placed", ORDER).status_code == 201
    spans = service.collector.spans

    last = {("consumer", "on_received", group) for group in ("main-consumer", "transit")}
    service.collector.until(lambda: last <= set(map(by, spans)) and any(span.kind == "server" for span in spans))
    (request,) = [span for span in spans if span.kind == "server"]  # and none for probes
    parent = request
    for event in ("order_placed", "packing", "on_delivery", "on_received"):
        (send,) = [span for span in spans if span.parent == parent.id and span.kind == "producer"]
        assert send.attributes["esb.event"] == event
        groups = {by(span)[2]: span for span in spans if span.parent == send.id}
        assert set(groups) == {"main-consumer", "transit"}
        parent = groups["transit"]
    assert {span.trace for span in spans if span.kind != "internal"} == {request.trace}
    assert {span.service for span in spans} == {"mycompany.events"}


def by(span: Span) -> tuple[str, str | None, str | None]:
    """What a span did, with which event, in which group."""
    return span.kind, span.attributes.get("esb.event"), span.attributes.get("messaging.consumer.group.name")


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"user": None}, ["body", "user"]),
        ({"time": "yesterday"}, ["body", "time"]),
        ({"time": "2030-06-01T09:30:00"}, ["body", "time"]),
        ({"product": {"id": "x", "name": "a kettle", "price": "1"}}, ["body", "product", "id"]),
    ],
)
def test_bad_input_is_refused_by_the_name_of_the_argument(
    service: Service, change: Mapping[str, Any], argument: list[str]
) -> None:
    """422, and where it does not fit."""
    refused = service.post("order-placed", {**ORDER, **change})
    assert refused.status_code == 422
    assert argument in [detail["loc"] for detail in refused.json()["detail"]]


def test_the_openapi_document_is_valid(service: Service) -> None:
    """By the schema of OpenAPI itself; its page is there."""
    document = httpx.get(f"{service.address}/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    assert "/my-event/order-placed" in document["paths"]
    assert httpx.get(f"{service.address}/docs").status_code == 200


async def test_fifty_posters_lose_nothing(service: Service) -> None:
    """Every order of every poster has a key of its own, can be looked at, and was handled by the consumer."""

    async def poster(client: httpx.AsyncClient, number: int) -> dict[str, str]:
        keys: dict[str, str] = {}
        for step in range(EACH):
            product = {"id": number, "name": f"thing {number}.{step}", "price": "1"}
            posted = await client.post("/my-event/order-placed", json={**ORDER, "product": product})
            assert posted.status_code == 201
            keys[posted.json()["key"]] = product["name"]
        return keys

    async with httpx.AsyncClient(base_url=service.address, timeout=60) as client:
        found = await asyncio.gather(*(poster(client, number) for number in range(POSTERS)))
        orders = {key: name for keys in found for key, name in keys.items()}
        assert len(orders) == POSTERS * EACH
        for key, name in orders.items():
            looked_at = (await client.get(f"/events/{quote(key)}")).json()
            assert (looked_at["key"], looked_at["arguments"]["product"]["name"]) == (key, name)
    await asyncio.to_thread(until_handled, service, {*orders.values()})


def until_handled(service: Service, products: set[str]) -> None:
    """Wait until the consumer has told of an order of each product."""
    end = time.monotonic() + 60
    while missing := products - set(re.findall(r" ordered (thing \d+\.\d+),", service.told.read_text())):
        assert time.monotonic() < end, f"the consumer did not handle {missing}"
        time.sleep(0.1)


def test_every_metric_of_the_dashboard_is_emitted(service: Service) -> None:
    """Each name and each label in its queries was told to the collector; an error's type comes with the first error."""
    assert service.post("order-placed", ORDER).status_code == 201
    folder = service.folder / "telemetry/grafana/dashboards"
    dashboard = json.loads((folder / "events.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [variable["query"]["query"] for variable in dashboard["templating"]["list"]]
    named = {word for query in queries for word in re.findall(r"\b(?:messaging|esb)_\w+", query)}

    def emitted() -> set[str]:
        metrics = service.collector.metrics
        names = {name for one in metrics for name in in_prometheus(one.name, one.kind, one.unit)}
        return names | {label.replace(".", "_") for one in metrics for label in one.attributes}

    assert len(named) > 8
    service.collector.until(lambda: named <= emitted())
