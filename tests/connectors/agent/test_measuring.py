"""What a connector measures of its calls, and where Prometheus reads it."""

import asyncio
import json
import os
import sys
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway import exposition, telemetry
from tests.connectors.agent.desk import CUP_ID, MUG_ID, Desk
from tests.connectors.agent.gateway import RAISE

WAIT_SECONDS = 30.0
CALLS = "http_client_request_duration_seconds_count"


def samples(text: str, name: str) -> list[Sample]:
    """The samples of a metric in a text of Prometheus'."""
    return [one for family in text_string_to_metric_families(text) for one in family.samples if one.name == name]


async def test_calls_are_measured_by_template_and_answer(taobao: Desk) -> None:
    """Each call has its method, its template and its status, or why there is none; and no secret, item or order."""
    telemetry.configure("tests")
    before = len(samples(exposition.render()[1].decode(), CALLS))
    await taobao.serve()
    await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 4))
    await taobao.report_on(taobao.book.push(CUP_ID, RAISE, 4))
    text = exposition.render()[1].decode()
    found = samples(text, CALLS)
    assert len(found) >= max(1, before)
    assert {"http_request_method", "server_address", "url_template"} <= set(found[0].labels)
    assert any(one.labels.get("http_response_status_code") == "200" and one.value > 0 for one in found)
    waits = samples(text, "stockgate_rate_limit_wait_seconds_count")
    assert {one.labels["channel"] for one in waits} >= {"shop"}
    labels = " ".join(value for one in found for value in one.labels.values())
    # A template may be that of the call for tokens: `/oauth2/access_token`.
    assert not [word for word in ("token=", "sign", "session=", "?") if word in labels]


async def test_prometheus_reads_a_connector_where_it_was_told(taobao: Desk) -> None:
    """With OTEL_EXPORTER_PROMETHEUS_PORT it serves /metrics there, and its log says where; a wrong one is named."""
    environment = {**os.environ, "STOCKGATE_ADDRESS": taobao.gateway_address, "STOCKGATE_LOGS": "json"}
    process = await connect(environment | {"OTEL_EXPORTER_PROMETHEUS_PORT": "0"})
    try:
        address = (await line_of(process, "metrics are served"))["address"]
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://{address}/metrics", timeout=WAIT_SECONDS)
        assert "target_info{" in answer.text
        assert 'service_name="stockgate-connect"' in answer.text
    finally:
        process.kill()
        await process.communicate()
    wrong = await connect(environment | {"OTEL_EXPORTER_PROMETHEUS_PORT": "http", "COLUMNS": "200"})
    async with asyncio.timeout(WAIT_SECONDS):
        _, said = await wrong.communicate()
    assert wrong.returncode == 2
    assert b"OTEL_EXPORTER_PROMETHEUS_PORT" in said


async def connect(environment: dict[str, str]) -> asyncio.subprocess.Process:
    """`stockgate connect taobao` in a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "connect", "taobao", "--inbox", "127.0.0.1:0"),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )


async def line_of(process: asyncio.subprocess.Process, message: str) -> dict[str, Any]:
    """The line of its log that says so."""
    assert process.stderr is not None
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            line: dict[str, Any] = json.loads(await process.stderr.readline())
            if line["message"] == message:
                return line
