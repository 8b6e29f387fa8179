"""The alerts and the board of docs/monitoring, in a real Prometheus."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from docs.monitoring_files import ALERTS, PANELS
from emperor.balancer import metrics as agent
from emperor.model.cause import CauseKind, StartMethod
from emperor.model.history import (
    PastStart,
    PastStop,
    Replied,
    Started,
    StartOutcome,
    StopKind,
    Stopped,
    Subject,
)
from emperor.model.lifecycle import Event
from emperor.model.registry_status import MembershipStatus, RegistryStatus
from emperor.model.status import LimitHits, ReportedState, TransitionEvent, Wake
from emperor.web.counters import Counters
from emperor.web.exposition import exposition
from emperor.web.metrics import HELD_SECONDS
from tests.cli.records import NOW, report, running, throttled
from tests.eventually import eventually
from tests.prometheus import Prometheus, served, spelled

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
RULES = DOCS / "emperord.rules.yml"
SUBJECT = Subject("a.example", None)
# The machine is a load balancer too.
AGENT = agent.Numbers(
    "0.1.0", NOW.timestamp(), True, 7, NOW.timestamp(), None, {agent.TableProblem.REFUSED: 1e9},
    {agent.Presence.UP: 2, agent.Presence.DOWN: 1},
)  # fmt: skip
_END = b"# EOF\n"


class Daemon:
    """Metrics of a daemon to which something happens between two scrapes."""

    def __init__(self) -> None:
        self.asked_for = ""
        self._counters = Counters()
        self._scrapes = 0

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The answer to a scrape."""
        self.asked_for = accept
        self._scrapes += 1
        number = self._scrapes
        wake = Wake("hit", None, None, None, None, None, NOW, 2.0, 52.0, 60.0, None, None, 1.0)
        start = PastStart(wake, CauseKind.HIT, StartOutcome.ACCEPTED, "by exec", None)
        starting, running_now = ReportedState.STARTING, ReportedState.RUNNING
        self._counters.read(
            TransitionEvent(
                number, NOW, "a.example", Event.ACCEPTING, starting, running_now, 0.06, ""
            )
        )
        self._counters.take(Started(SUBJECT, number, start, StartMethod.EXEC, 0.06))
        reply = replace(start, wake=replace(wake, first_reply_ms=75.0))
        self._counters.take(Replied(SUBJECT, number, reply, StartMethod.EXEC))
        self._counters.take(Stopped(SUBJECT, PastStop(NOW, StopKind.DIED, "killed", 1.0)))
        self._counters._times[HELD_SECONDS].add(0.06, "200")
        now = report(replace(running("a.example"), starts=number), throttled("b.example"))
        now = replace(
            now,
            emperor=replace(
                now.emperor,
                turned_away=number,
                registry=RegistryStatus(None, None, 3, 1),
                membership=MembershipStatus(True, NOW, number, None),
            ),
            limit_hits=(LimitHits("alice", "memory-max", number),),
        )
        body, kind = exposition(now, self._counters.counted(), 1000, accept)
        return body.removesuffix(_END) + agent.exposition(AGENT).encode() + _END, kind


@pytest.fixture(scope="module")
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture(scope="module")
def prometheus(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with served(daemon.metrics) as port:
        prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), port, RULES)
        try:
            eventually(
                lambda: prometheus.has_data("rate(emperord_turned_away_requests_total[1m]) > 0"),
                alive=[prometheus.process],
                what=f"two scrapes ({prometheus.log})",
            )
            yield prometheus
        finally:
            prometheus.stop()


def test_promtool_checks_the_rules() -> None:
    command = ["promtool", "check", "rules", str(RULES)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"{len(ALERTS)} rules found" in result.stdout


def test_prometheus_asks_for_openmetrics_and_reads_it(
    prometheus: Prometheus, daemon: Daemon
) -> None:
    assert "application/openmetrics-text" in daemon.asked_for
    [target] = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_every_query_of_the_board_returns_data(prometheus: Prometheus, panel: Any) -> None:
    for query, legend in panel.queries:
        eventually(partial(prometheus.has_data, spelled(query)), what=query)
        [first, *_] = prometheus.ask("query", query=spelled(query))["result"]
        assert set(re.findall(r"{{(\w+)}}", legend)) <= first["metric"].keys()


def test_prometheus_has_loaded_each_alert(prometheus: Prometheus) -> None:
    [group] = prometheus.ask("rules")["groups"]
    assert [rule["name"] for rule in group["rules"]] == [alert.name for alert in ALERTS]
    assert all(rule["health"] in ("ok", "unknown") for rule in group["rules"])


def test_an_alert_fires_in_a_real_prometheus(prometheus: Prometheus) -> None:
    for name in ("EmperordTurnsAway", "EmperordLimitHit"):
        firing = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
        eventually(partial(prometheus.has_data, firing), what=firing)


# When each alert fires, and by which series.
LABELS = 'instance="a:1",job="emperord"'


def _slow(name: str, labels: str) -> dict[str, str]:
    return {
        f'{name}_bucket{{{LABELS},{labels},le="{bound}"}}': f"0+{number}x400"
        for bound, number in (("5.0", 10), ("10.0", 60), ("+Inf", 60))
    }


FIRING: dict[str, tuple[str, dict[str, str]]] = {
    "EmperordDown": ("20m", {f'emperord_build_info{{{LABELS},version="1"}}': "1x5 stale"}),
    "EmperordAppsFail": ("20m", {f"emperord_failing_vassals{{{LABELS}}}": "2x400"}),
    "EmperordAppsDie": (
        "1h", {f'emperord_stops_total{{{LABELS},kind="died"}}': "0+1x400"},
    ),
    "EmperordWakesSlow": (
        "1h", _slow("emperord_wake_seconds", 'outcome="accepted",runtime="exec"'),
    ),
    "EmperordBootsQueue": (
        "1h", _slow("emperord_wake_phase_seconds", 'phase="turn",runtime="exec"'),
    ),
    "EmperordTurnsAway": (
        "10m", {f"emperord_turned_away_requests_total{{{LABELS}}}": "0 0 7x400"},
    ),
    "EmperordLimitHit": (
        "10m",
        {f'emperord_limit_hits_total{{{LABELS},limit="pids-max",tenant="alice"}}': "0 0 3x400"},
    ),
    "EmperordInisRefused": ("1h", {f"emperord_refused_inis{{{LABELS}}}": "1x400"}),
    "EmperordRegistryAway": (
        "1h", {f"emperord_registry_reached{{{LABELS}}}": "1 1 0x400"},
    ),
    "EmperordNotRegistered": (
        "1h", {f"emperord_fleet_registered{{{LABELS}}}": "1 1 0x400",
               f"emperord_registry_reached{{{LABELS}}}": "1x400"},
    ),
    "EmperordNotFollowed": ("1h", {f"emperord_not_followed_domains{{{LABELS}}}": "0 0 2x400"}),
    "EmperordAgentDown": (
        "1h", {f"emperord_balancer_alive_timestamp_seconds{{{LABELS}}}": "0 60 120 120x400"},
    ),
    "EmperordAgentCutOff": (
        "1h", {f"emperord_balancer_registry_reached{{{LABELS}}}": "1 1 0x400"},
    ),
    "EmperordTableTrouble": (
        "1h", {f'emperord_balancer_table_trouble{{{LABELS},kind="refused"}}': "0 0 1x400"},
    ),
    "EmperordBackendsDown": (
        "1h", {f'emperord_balancer_backends{{{LABELS},state="down"}}': "0 0 2x400"},
    ),
    "EmperordDrains": ("5h", {f"emperord_draining{{{LABELS}}}": "1x400"}),
    "EmperordMaintenance": ("25h", {f"emperord_vassals_in_maintenance{{{LABELS}}}": "1x2000"}),
}  # fmt: skip


def test_each_alert_fires_and_not_before(tmp_path: Path) -> None:
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": key, "values": of} for key, of in series.items()],
            "promql_expr_test": [
                {"expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                 "eval_time": at, "exp_samples": [{"labels": "{}", "value": 1}]},
                {"expr": f'count(ALERTS{{alertname!="{name}",alertstate="firing"}})',
                 "eval_time": at, "exp_samples": []},
                {"expr": 'count(ALERTS{alertstate="firing"})', "eval_time": "1m",
                 "exp_samples": []},
            ],
        }
        for name, (at, series) in FIRING.items()
    ]  # fmt: skip
    assert FIRING.keys() == {alert.name for alert in ALERTS}
    file = tmp_path / "tests.yml"
    whole = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(whole))
    command = ["promtool", "test", "rules", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + result.stdout


def test_each_alert_has_its_runbook() -> None:
    page = (DOCS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == [alert.name for alert in ALERTS]
    links = re.findall(r"monitoring/README.md#(\w+)", RULES.read_text(encoding="utf-8"))
    assert links == [alert.name.lower() for alert in ALERTS]


def test_the_board_has_each_panel_once() -> None:
    board = json.loads((DOCS / "board.json").read_text(encoding="utf-8"))
    assert [panel["title"] for panel in board["panels"]] == [panel.title for panel in PANELS]
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)
