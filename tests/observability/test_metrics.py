"""What Prometheus reads: names, units, exemplars, who may read what; and that rules and dashboard name nothing else."""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
from opentelemetry.trace import SpanContext, TraceFlags
from prometheus_client.parser import text_string_to_metric_families as plain_families

from gateway import app, exposition, health, metrics, telemetry
from gateway.exposition import Durations
from gateway.sampling import Sampling
from gateway.settings import Settings
from gateway.store.database import Database
from tests.client import Client
from tests.faults.calls import until
from tests.observability.conftest import OPEN_METRICS, labelled, parsed, value_of
from tests.rpc.played_shop import Shop

FILES = Path("gateway/observability")
RULES, DASHBOARD = FILES / "alerts.rules.yml", FILES / "dashboard.json"
NAME = re.compile(r"\b((?:stockgate|rpc|db|http|process)_[a-z0-9_]+)(?=[{\[) ]|$)")
LABELS_BY = re.compile(r"by \(([a-z_, ]+)\)")
LABELS_IN = re.compile(r"([a-z_]+)(?:=~|!=|!~|=)\"")
WAIT_SECONDS = 30.0
# Of histograms a rule asks for the parts, which Prometheus makes.
PARTS = ("_bucket", "_count", "_sum")
# Labels that look like metrics.
LABELS = {
    "rpc_method",
    "rpc_response_status_code",
    "db_operation_name",
    "db_client_connection_pool_name",
    "db_client_connection_state",
}
# Prometheus' own.
SCRAPED = {"job", "instance", "le"}
SPAN = SpanContext(int("ab" * 16, 16), int("cd" * 8, 16), is_remote=False, trace_flags=TraceFlags(1))


@pytest.fixture
async def page(settings: Settings, token: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, Client]]:
    """A gateway with its page, where every call is traced: the page's address, and a client of the gateway."""
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(health, "SLOW_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(telemetry.sampling, "ratio", 1.0)
    with_page = replace(settings, listen="127.0.0.1:0", page_listen="127.0.0.1:0")
    async with app.running(with_page) as addresses, grpc.aio.insecure_channel(addresses.grpc) as channel:
        assert addresses.page is not None
        yield addresses.page, Client(channel, token)


async def scrape(page: str, **headers: str) -> httpx.Response:
    """Ask as Prometheus does."""
    async with httpx.AsyncClient() as client:
        return await client.get(f"{page}/metrics", headers=headers, timeout=WAIT_SECONDS)


# ---- the endpoint


async def test_a_played_gateway_shows_what_it_did_with_exemplars(
    page: tuple[str, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls and synced sales are counted under Prometheus' names, and their histograms lead to traces."""
    everything = Sampling(1.0, follows_caller=True, per_second_max=None)
    monkeypatch.setattr(telemetry, "sampling", everything)
    address, client = page
    shop = Shop(client)
    await client.add_sku("CUP", 10)
    await shop.open()
    await shop.link(("CUP", 1))
    async with shop.serving():
        await shop.wait_shown(L1=10)
        await client.receive("CUP", 5)
        await shop.wait_shown(L1=15)

    async def is_measured() -> bool:
        return value_of("stockgate_sync_lag_seconds_count", channel="tb") > 0

    await until(is_measured, WAIT_SECONDS)
    answer = await scrape(address, accept=OPEN_METRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = parsed(answer.text)
    method = "gateway.v1.StockService/ReceiveStock"
    (called,) = [
        one
        for one in found
        if one.name == "rpc_server_call_duration_seconds_count"
        and one.labels["rpc_method"] == method
        and one.labels["rpc_response_status_code"] == "OK"
    ]
    assert called.value >= 2
    assert called.labels["rpc_system_name"] == "grpc"
    for name in ("rpc_server_call_duration_seconds_bucket", "stockgate_sync_lag_seconds_bucket"):
        exemplars = [one.exemplar for one in found if one.name == name and one.exemplar]
        assert exemplars, f"{name} has none"
        assert all(re.fullmatch("[0-9a-f]{32}", one.labels["trace_id"]) for one in exemplars)
    assert not [one for one in found if "sku" in one.labels or "CUP" in one.labels.values()]


async def test_who_asks_for_plain_text_gets_it(page: tuple[str, Client]) -> None:
    """Without an OpenMetrics Accept header it is Prometheus' own format, whole and without exemplars."""
    answer = await scrape(page[0])
    assert answer.headers["content-type"].startswith("text/plain")
    assert {family.name for family in plain_families(answer.text)} >= {"process_cpu_seconds", "stockgate_loop_failures"}
    assert "trace_id" not in answer.text


async def test_from_elsewhere_a_token_shows_what_is_its_merchants(page: tuple[str, Client], token: str) -> None:
    """Under a foreign name nothing is shown without a token, and with one no other merchant's numbers."""
    merchant = token.partition(".")[0]

    async def is_measured() -> bool:
        return value_of("stockgate_notes_depth", merchant=merchant) == 0 and bool(value_of("process_max_fds"))

    await until(is_measured, WAIT_SECONDS)
    refused = await scrape(page[0], host="stock.example.com")
    assert refused.status_code == httpx.codes.UNAUTHORIZED
    wrong = await scrape(page[0], host="stock.example.com", authorization=f"Bearer {merchant}.wrong")
    assert wrong.status_code == httpx.codes.UNAUTHORIZED
    metrics.shortfall_units.add(0, {"merchant": "somebody-else", "channel": "", "cause": "POLICY"})
    mine = await scrape(page[0], host="stock.example.com", authorization=f"Bearer {token}", accept=OPEN_METRICS)
    assert mine.status_code == httpx.codes.OK
    found = parsed(mine.text)
    assert {one.labels["merchant"] for one in found if "merchant" in one.labels} == {merchant}
    # What is counted of all together leads to nobody's traces.
    metrics.rpc_server_duration.record(0.1, ("a", "OK"), SPAN)
    mine = await scrape(page[0], host="stock.example.com", authorization=f"Bearer {token}", accept=OPEN_METRICS)
    assert "rpc_server_call_duration_seconds_bucket" in mine.text
    assert not [one for one in parsed(mine.text) if one.exemplar and "merchant" not in one.labels]
    assert f"{SPAN.trace_id:032x}" in (await scrape(page[0], accept=OPEN_METRICS)).text
    assert "somebody-else" in (await scrape(page[0])).text


async def test_connections_to_the_database_are_counted(settings: Settings, token: str) -> None:
    """Those in use and at rest, who waits for one, and for how long; nothing is told of what is closed."""
    assert settings.database_url
    database = Database(settings.database_url)
    database.observe()
    merchant = database.of(token.partition(".")[0])
    pool = {"db_client_connection_pool_name": "read"}

    def has(name: str, **labels: str) -> float:
        return value_of(f"db_client_connection_{name}", **pool, **labels)

    async def hold(done: asyncio.Event) -> None:
        async with merchant.transaction():
            await done.wait()

    done, limit = asyncio.Event(), int(has("max"))
    waited = has("wait_time_seconds_count")
    holding = [asyncio.create_task(hold(done)) for _ in range(limit)]

    async def are_in_use() -> bool:
        return has("count", db_client_connection_state="used") == limit

    await until(are_in_use, WAIT_SECONDS)
    holding += [asyncio.create_task(hold(done)) for _ in range(2)]

    async def are_waiting() -> bool:
        return has("pending_requests") == 2

    await until(are_waiting, WAIT_SECONDS)
    done.set()
    await asyncio.gather(*holding)
    assert has("wait_time_seconds_count") == waited + limit + 2
    assert has("pending_requests") == 0
    assert has("count", db_client_connection_state="idle") == limit
    await database.close()
    assert has("max") == 0


# ---- histograms of our own


def test_durations_are_counted_as_prometheus_counts() -> None:
    """A value on a bound is in its bucket; the sum, the count and the newest traced value of a bucket are told."""
    durations = Durations("test.durations", "Of this test.", ("of",), constants={"kind": "x"}, bounds=(0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 3.0):
        durations.record(seconds, ("a",))
    durations.record(0.6, ("a",), SPAN)
    durations.record(0.7, ("b",))
    labels = {"of": "a", "kind": "x"}
    buckets = {bound: value_of("test_durations_seconds_bucket", **labels, le=bound) for bound in ("0.1", "1.0", "+Inf")}
    assert buckets == {"0.1": 2, "1.0": 4, "+Inf": 5}
    assert value_of("test_durations_seconds_sum", **labels) == pytest.approx(4.25)
    text = exposition.render(OPEN_METRICS)[1].decode()
    (exemplar,) = [one.exemplar for one in parsed(text) if one.name == "test_durations_seconds_bucket" and one.exemplar]
    assert exemplar.value == 0.6
    assert exemplar.labels == {"trace_id": "ab" * 16, "span_id": "cd" * 8}


def test_a_label_that_is_not_said_is_none() -> None:
    """What went well has no `error.type`, not even an empty one."""
    durations = Durations("test.faults", "Of this test.", ("of", "error.type"), constants={})
    durations.record(0.1, ("load", ""))
    durations.record(0.2, ("load", "TimeoutError"))
    points = durations.metric().data.data_points
    assert [one.attributes for one in points] == [{"of": "load"}, {"of": "load", "error.type": "TimeoutError"}]


def test_a_fault_of_ours_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many combinations of labels all others are one."""
    monkeypatch.setattr(exposition, "LABELLINGS_MAX", 20)
    durations = Durations("test.crowd", "Of this test.", ("of",), constants={})
    for number in range(50):
        durations.record(1.0, (str(number),))
    assert value_of("test_crowd_seconds_count") == 50
    assert value_of("test_crowd_seconds_count", otel_metric_overflow="true") == 30


# ---- rules and dashboard


def expressions() -> Iterator[str]:
    """Every PromQL there is in the files."""
    for line in re.sub(r"expr: >-\n((?: {10}.*\n)+)", _joined, RULES.read_text()).splitlines():
        if line.strip().startswith("expr:"):
            yield line.partition("expr:")[2].strip()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def _joined(found: re.Match[str]) -> str:
    return "expr: " + " ".join(found.group(1).split()) + "\n"


def _touch_everything() -> None:
    """Say something of every metric, with the labels that are said where it is measured."""
    whose, tier = {"merchant": "m", "channel": "c"}, {"merchant": "m", "tier": "URGENT"}
    metrics.http_client_duration.record(0.0, {"server.address": "a"})
    metrics.db_client_duration.record(0.0, ("load", ""))
    metrics.rpc_server_duration.record(0.0, ("a", "OK"))
    for histogram in (metrics.sync_lag, metrics.drift_units, metrics.rate_limit_wait):
        histogram.record(0, whose)
    metrics.push_attempts.add(0, {**whose, "outcome": "APPLIED"})
    metrics.shortfall_units.add(0, {**whose, "cause": "POLICY"})
    metrics.invariant_breaches.add(0, {"merchant": "m", "rule": "CHAIN"})
    metrics.brakes.add(0, whose)
    metrics.alert_transitions.add(0, {**tier, "direction": "up"})
    metrics.ack_latency.record(0, tier)
    for latency in (metrics.alert_detect_latency, metrics.alert_delivery_lag):
        latency.record(0, {"merchant": "m"})
    metrics.streams_closed.add(0, {"merchant": "m", "method": "a", "reason": "b"})
    metrics.streams_coalesced.add(0, {"merchant": "m"})
    metrics.notices.add(0, {"robot": "a", "outcome": "TOLD"})
    metrics.db_connection_timeouts.add(0, {"db.client.connection.pool.name": "read"})
    metrics.loop_failures.add(0, {"loop": "a"})
    metrics.loop_pauses.add(0, {"loop": "a"})


async def test_rules_and_dashboard_name_only_what_there_is(page: tuple[str, Client]) -> None:
    """Every metric that a rule or a panel names is one of /metrics, and has the labels that it is asked for by."""
    shop = Shop(page[1])
    await shop.open()
    await shop.report_orders(watermark=True)
    _touch_everything()
    metrics.observe(lambda: [metrics.Reading(metrics.BRIER, 0.1, {"merchant": "m", "tier": "URGENT"})])

    async def is_measured() -> bool:
        return value_of("stockgate_watermark_age_seconds") > 0 and bool(labelled("stockgate_listings_parked"))

    await until(is_measured, WAIT_SECONDS)
    labels: dict[str, set[str]] = {}
    for sample in parsed((await scrape(page[0], accept=OPEN_METRICS)).text):
        labels.setdefault(sample.name, set()).update(sample.labels)
    asked = [expression for expression in expressions() if "up{" not in expression]
    assert len(asked) > 40
    for expression in asked:
        names = set(NAME.findall(expression)) - LABELS
        assert names, expression
        assert names <= labels.keys(), (expression, names - labels.keys())
        wanted = {one.strip() for group in LABELS_BY.findall(expression) for one in group.split(",")}
        wanted |= set(LABELS_IN.findall(expression))
        there = set.union(*(labels[name] for name in names)) | SCRAPED
        assert wanted <= there, (expression, wanted - there)


def test_every_metric_is_watched_or_shown() -> None:
    """There is no metric of ours that neither a rule nor a panel uses."""
    text = " ".join(expressions())
    names = [name.replace(".", "_") for name in _declared()]
    assert len(names) > 25
    assert not [name for name in names if not re.search(rf"\b{name}(_|\b)", text)]


def _declared() -> Iterator[str]:
    yield from metrics.GAUGES
    for one in vars(metrics).values():
        if isinstance(one, Durations):
            yield one.name
            continue
        name = getattr(one, "_name", getattr(one, "name", None))
        if isinstance(name, str) and name.startswith(("stockgate.", "http.")):
            yield name


def test_what_every_gateway_says_alike_is_not_added_up() -> None:
    """Of two gateways both say how a merchant's channels are; only what each has for itself is summed over them."""
    own = {metrics.STREAMS, metrics.LAGGING, metrics.CONNECTIONS, metrics.CONNECTIONS_MAX, metrics.CONNECTIONS_WANTED}
    alike = metrics.GAUGES.keys() - own
    names = "|".join(re.escape(name.replace(".", "_")) for name in alike)
    assert not [one for one in expressions() if re.search(rf"sum(?: by \([a-z_, ]+\))? ?\((?:{names})", one)]


def test_every_rule_says_what_to_do() -> None:
    """Each alarm has a severity, one sentence with its numbers, and what to do next; no two have one name."""
    text = RULES.read_text()
    names = re.findall(r"- alert: (\w+)", text)
    assert len(names) == len(set(names)) == 21
    for key in (r"labels: \{severity: (page|ticket)\}", "summary:", "description:"):
        assert len(re.findall(key, text)) == len(names), key


def test_the_dashboard_is_sound() -> None:
    """Panels have numbers of their own, a title, a place that no other has, and a source that one can choose."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels: list[dict[str, Any]] = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for place in (panel["gridPos"],)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    for panel in panels:
        assert panel["title"]
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${source}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", str(RULES)),
        ("check", "config", "--syntax-only", str(FILES / "prometheus.yml")),
        ("test", "rules", "tests/observability/rules.test.yml"),
    ],
    ids=("rules", "config", "cases"),
)
def test_prometheus_understands_the_files(arguments: tuple[str, ...]) -> None:
    """promtool finds no fault in the files, and the cases make the alarms they should."""
    promtool = shutil.which("promtool")
    if promtool is None:
        says = "no promtool here: tests/packages.sh installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(says)
        pytest.skip(says)
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_collector_is_sent_our_own_histograms_too() -> None:
    """What goes out over OTLP holds the durations that we count ourselves beside what the SDK has counted."""
    metrics.rpc_server_duration.record(0.2, ("gateway.v1.StockService/ReserveStock", "OK"), SPAN)
    metrics.sync_lag.record(0.1, {"merchant": "m", "channel": "c"})
    written = io.StringIO()
    exporter = exposition.Complete(ConsoleMetricExporter(out=written))
    data = exposition.reader.get_metrics_data()
    assert data is not None
    exporter.export(data)
    assert exporter.force_flush()
    (resource,) = json.loads(written.getvalue())["resource_metrics"]
    found = {metric["name"]: metric for scope in resource["scope_metrics"] for metric in scope["metrics"]}
    assert {"rpc.server.call.duration", "stockgate.sync.lag"} <= found.keys()
    points = found["rpc.server.call.duration"]["data"]["data_points"]
    assert all(point["count"] == sum(point["bucket_counts"]) for point in points)
    assert any(point["exemplars"] for point in points)
