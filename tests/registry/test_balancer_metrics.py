"""The metrics of a balancer's agent: what they tell, and that a real Prometheus reads them."""

import asyncio
import json
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from emperor.balancer.metrics import METRICS, Numbers, Presence, TableProblem, exposition
from emperor.balancer.metrics_file import MetricsFile
from emperor.model.registry_keys import Keys
from emperor.model.slot_table import SlotTable, encoded
from emperor.model.slots import stretched
from emperor.registry.etcd import Etcd
from tests.backend import BIN
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually, eventually_async
from tests.prometheus import Prometheus, served, spelled

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
BOARD = json.loads((DOCS / "board.json").read_text(encoding="utf-8"))
QUERIES = [
    target["expr"]
    for panel in BOARD["panels"]
    for target in panel["targets"]
    if "emperord_balancer_" in target["expr"]
]

NUMBERS = Numbers(
    "0.1.0", 2e9, True, 7, 1e9, TableProblem.REFUSED, {TableProblem.REFUSED: 1.5e9},
    {Presence.UP: 2, Presence.DOWN: 1},
)  # fmt: skip


def samples(text: str) -> dict[str, float]:
    """The values by name and label, as Prometheus reads them."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_metrics_are_exactly_those_of_the_table() -> None:
    found = {
        (family.name, family.type, tuple(sample.labels))
        for family in text_string_to_metric_families(exposition(NUMBERS))
        for sample in family.samples
    }
    assert found == {(metric.name, metric.kind.value, metric.labels) for metric in METRICS}


def test_promtool_has_nothing_to_complain_of() -> None:
    command = ["promtool", "check", "metrics"]
    text = exposition(NUMBERS).encode()
    result = subprocess.run(command, input=text, capture_output=True, check=False)
    assert (result.returncode, result.stderr, result.stdout) == (0, b"", b"")


def test_each_state_is_a_number() -> None:
    found = samples(exposition(NUMBERS))
    assert found == {
        "emperord_balancer_build_info 0.1.0": 1,
        "emperord_balancer_alive_timestamp_seconds": 2e9,
        "emperord_balancer_registry_reached": 1,
        "emperord_balancer_table_serial": 7,
        "emperord_balancer_table_timestamp_seconds": 1e9,
        **{f"emperord_balancer_table_trouble {each.value}": each is TableProblem.REFUSED
           for each in TableProblem},
        "emperord_balancer_table_trouble_timestamp_seconds refused": 1.5e9,
        "emperord_balancer_backends up": 2,
        "emperord_balancer_backends drains": 0,
        "emperord_balancer_backends down": 1,
    }  # fmt: skip


def test_what_is_not_known_is_left_out() -> None:
    text = exposition(replace(NUMBERS, serial=0, since=None, last={}, backends=None))
    names = {name.split()[0] for name in samples(text)}
    assert "emperord_balancer_table_timestamp_seconds" not in names
    assert "emperord_balancer_table_trouble_timestamp_seconds" not in names
    assert "emperord_balancer_backends" not in names


async def test_the_file_is_written_at_each_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, now = tmp_path / "folder" / "metrics.prom", [NUMBERS]
    file = MetricsFile(path, lambda: now[-1])

    def told() -> float | None:
        with suppress(OSError, KeyError):
            return samples(path.read_text())["emperord_balancer_table_serial"]
        return None

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(file.run())
        await eventually_async(lambda: "cannot write the metrics" in caplog.text)
        await asyncio.to_thread(path.parent.mkdir)
        file.changed()
        await eventually_async(lambda: told() == 7)
        now.append(replace(NUMBERS, serial=8))
        file.changed()
        await eventually_async(lambda: told() == 8)
        running.cancel()
    assert caplog.text.count("cannot write the metrics") == 1


async def put_a_table(cluster: EtcdCluster) -> None:
    """With a backend that is not registered."""
    table = SlotTable(1, stretched(["192.0.2.11"], 240), {})
    async with Etcd(cluster.access) as engine:
        await engine.put({Keys("/emperord").slots(): encoded(table)}, {})


def test_each_query_of_the_board_tells_of_a_real_agent(tmp_path: Path) -> None:
    with etcd_cluster(size=1) as cluster:
        asyncio.run(put_a_table(cluster))
        config, file = cluster.access_file(tmp_path / "registry.ini"), tmp_path / "agent.prom"
        with config.open("a") as text:
            text.write(f"[balancer]\nlist-file = {tmp_path}/list.lua\nmetrics-file = {file}\n")
        command = [str(BIN / "emperord-balancer"), f"--config={config}"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as agent:
            eventually(file.exists, alive=[agent])
            with served(lambda _: (file.read_bytes(), "text/plain; version=0.0.4")) as port:
                prometheus = Prometheus(tmp_path, port, DOCS / "emperord.rules.yml")
                try:
                    for query in ('emperord_balancer_backends{state="down"} == 1', *QUERIES):
                        eventually(
                            lambda query=query: prometheus.has_data(spelled(query)),  # type: ignore[misc]
                            alive=[prometheus.process, agent], what=query,
                        )  # fmt: skip
                finally:
                    prometheus.stop()
                    agent.terminate()


async def test_the_file_is_written_again_after_a_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now: list[Numbers] = []
    file = MetricsFile(tmp_path / "metrics.prom", lambda: now[-1])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(file.run())
        await eventually_async(lambda: "cannot write the metrics: a fault" in caplog.text)
        now.append(NUMBERS)
        file.changed()
        await eventually_async((tmp_path / "metrics.prom").exists)
        running.cancel()
