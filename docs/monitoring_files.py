"""The alerts and the board of docs/monitoring, from the tables ALERTS and PANELS.

A test runs each query in a real Prometheus, and has each alert fire.
"""

import json
import textwrap
from dataclasses import dataclass
from typing import Any

_RUNBOOKS = "https://github.com/emperord/emperord/blob/main/docs/monitoring/README.md"
_P95 = "histogram_quantile(0.95, sum by (instance, le) (rate({}[15m])))"
_WAKES = 'emperord_wake_seconds_bucket{outcome="accepted"}'
_TURNS = 'emperord_wake_phase_seconds_bucket{phase="turn"}'


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: it fires when `query` has had a result for the time `lasts`. Its runbook is the
    section of its name in docs/monitoring/README.md."""

    name: str
    severity: str
    lasts: str
    query: str
    summary: str


ALERTS = (
    Alert("EmperordDown", "critical", "5m",
          "last_over_time(emperord_build_info[1d]) unless on (instance) emperord_build_info",
          "emperord on {{ $labels.instance }} tells no metrics any more"),
    Alert("EmperordAppsFail", "warning", "15m", "emperord_failing_vassals > 0",
          "{{ $value }} apps of {{ $labels.instance }} cannot start"),
    Alert("EmperordAppsDie", "warning", "0m",
          'sum by (instance) (increase(emperord_stops_total{kind="died"}[1h])) > 10',
          "apps of {{ $labels.instance }} have died {{ $value | humanize }} times within an hour"),
    Alert("EmperordWakesSlow", "warning", "15m", f"{_P95.format(_WAKES)} > 5",
          "one wake of twenty on {{ $labels.instance }} takes {{ $value | humanizeDuration }}"),
    Alert("EmperordBootsQueue", "warning", "15m", f"{_P95.format(_TURNS)} > 5",
          "apps of {{ $labels.instance }} wait {{ $value | humanizeDuration }} for their turn"),
    Alert("EmperordTurnsAway", "critical", "0m",
          "increase(emperord_turned_away_requests_total[10m]) > 0",
          "{{ $labels.instance }} has answered requests 503, because too many were held"),
    Alert("EmperordLimitHit", "warning", "0m",
          "sum by (instance, tenant, limit) (increase(emperord_limit_hits_total[15m])) > 0",
          "apps of {{ $labels.tenant }} on {{ $labels.instance }} have reached"
          " {{ $labels.limit }}"),
    Alert("EmperordInisRefused", "warning", "30m", "emperord_refused_inis > 0",
          "{{ $value }} inis of {{ $labels.instance }} are not served"),
    Alert("EmperordRegistryAway", "warning", "10m", "emperord_registry_reached == 0",
          "{{ $labels.instance }} does not reach the registry: new hosts get 503, and no change"
          " arrives"),
    Alert("EmperordNotRegistered", "warning", "5m",
          "emperord_fleet_registered == 0 unless on (instance) emperord_registry_reached == 0",
          "{{ $labels.instance }} is not registered with its fleet, where it counts as down"),
    Alert("EmperordNotFollowed", "warning", "30m", "emperord_not_followed_domains > 0",
          "{{ $value }} domains of {{ $labels.instance }} are not as the registry has them"),
    Alert("EmperordAgentDown", "warning", "5m",
          "time() - emperord_balancer_alive_timestamp_seconds > 120",
          "emperord-balancer on {{ $labels.instance }} does not run: its nginx gets no new table"),
    Alert("EmperordAgentCutOff", "warning", "10m", "emperord_balancer_registry_reached == 0",
          "emperord-balancer on {{ $labels.instance }} does not reach the registry: its nginx gets"
          " no new table"),
    Alert("EmperordTableTrouble", "warning", "5m", "emperord_balancer_table_trouble == 1",
          "nginx on {{ $labels.instance }} does not have the registry's table: {{ $labels.kind }}"),
    Alert("EmperordBackendsDown", "warning", "10m", 'emperord_balancer_backends{state="down"} > 0',
          "{{ $value }} backends are down, as emperord-balancer on {{ $labels.instance }} sees it"),
    Alert("EmperordDrains", "info", "4h", "emperord_draining == 1",
          "{{ $labels.instance }} has been draining for hours: was `undrain` forgotten?"),
    Alert("EmperordMaintenance", "info", "1d", "emperord_vassals_in_maintenance > 0",
          "{{ $value }} sites of {{ $labels.instance }} have been closed for a day"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot of the board: the question it answers, a unit of Grafana's, and each query with the
    legend of its lines. `$instance` are the machines that are chosen on the board."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def _of(name: str, labels: str = "") -> str:
    return f'{name}{{instance=~"$instance"{labels}}}'


def _rate(name: str, by: str, labels: str = "") -> str:
    return f"sum by ({by}) (rate({_of(name, labels)}[$__rate_interval]))"


def _quantile(share: float, name: str, by: str = "", labels: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(f'{name}_bucket', f'le{by}', labels)})"


_ACCEPTED = ', outcome="accepted"'
PANELS = (
    Panel("Which states are the vassals in?", "short",
          ((f"sum by (state) ({_of('emperord_vassals')})", "{{state}}"),)),
    Panel("How much memory do they take?", "bytes",
          ((_of("emperord_resident_memory_bytes"), "{{instance}}"),)),
    Panel("What were starts for?", "ops",
          ((_rate("emperord_starts_total", "cause"), "{{cause}}"),)),
    Panel("What came of starts?", "ops",
          ((_rate("emperord_starts_total", "outcome"), "{{outcome}}"),)),
    Panel("How long does a visitor wait for a wake?", "s",
          ((_quantile(0.5, "emperord_wake_seconds", labels=_ACCEPTED), "half take less"),
           (_quantile(0.95, "emperord_wake_seconds", labels=_ACCEPTED), "19 of 20 take less"))),
    Panel("Is a fork from a base faster than an exec?", "s",
          ((_quantile(0.5, "emperord_wake_seconds", ", runtime", _ACCEPTED), "{{runtime}}"),)),
    Panel("Which phase of a wake takes the time?", "s",
          ((f"{_rate('emperord_wake_phase_seconds_sum', 'phase')}"
            f" / {_rate('emperord_wake_phase_seconds_count', 'phase')}", "{{phase}}"),)),
    Panel("How long are requests held, and with which status are they answered?", "s",
          ((_quantile(0.95, "emperord_held_seconds", ", status"), "{{status}}"),)),
    Panel("How many requests are held, and turned away?", "short",
          ((f"sum({_of('emperord_held_requests')})", "held"),
           (_rate("emperord_turned_away_requests_total", "instance"), "turned away, a second"))),
    Panel("How does the service of apps end?", "ops",
          ((_rate("emperord_stops_total", "kind"), "{{kind}}"),)),
    Panel("Who reaches which limit?", "short",
          ((f"sum by (tenant, limit) (increase({_of('emperord_limit_hits_total')}[1h]))",
            "{{tenant}}: {{limit}}"),)),
    Panel("What needs a person?", "short",
          ((f"sum({_of('emperord_failing_vassals')})", "apps that fail"),
           (f"sum({_of('emperord_refused_inis')})", "inis not served"),
           (f"sum({_of('emperord_vassals_in_maintenance')})", "sites in maintenance"),
           (f"sum({_of('emperord_draining')})", "machines that drain"))),
    Panel("Is the registry reached, and followed?", "short",
          ((f"sum({_of('emperord_registry_reached')})", "machines that reach it"),
           (f"sum({_of('emperord_pulled_inis')})", "inis that came from it"),
           (f"sum({_of('emperord_not_followed_domains')})", "domains that differ"))),
    Panel("Are the backends registered with the fleet?", "short",
          ((f"sum({_of('emperord_fleet_registered')})", "registered"),
           (f"count({_of('emperord_fleet_registered')})", "machines"),
           (_rate("emperord_fleet_failures_total", "instance"), "{{instance}} fails, a second"))),
    Panel("Which table of slots does each balancer have?", "short",
          ((_of("emperord_balancer_table_serial"), "{{instance}}"),)),
    Panel("How are the backends of the table?", "short",
          ((f"max by (state) ({_of('emperord_balancer_backends')})", "{{state}}"),)),
    Panel("What keeps a table from a balancer?", "short",
          ((f"sum by (kind) ({_of('emperord_balancer_table_trouble')})", "{{kind}}"),
           (f"sum(1 - {_of('emperord_balancer_registry_reached')})", "registry not reached"))),
    Panel("Which apps have the most memory?", "bytes",
          ((f"topk(10, {_of('emperord_vassal_resident_memory_bytes')})", "{{vassal}}"),)),
    Panel("Which apps take the most CPU?", "percentunit",
          ((f"topk(10, {_rate('emperord_vassal_cpu_seconds_total', 'vassal')})", "{{vassal}}"),)),
)  # fmt: skip


def rules() -> str:
    """The whole of emperord.rules.yml."""
    return (
        "# Written by `make docs` from docs/monitoring_files.py; do not edit.\n"
        "groups:\n  - name: emperord\n    rules:\n" + "".join(map(_rule, ALERTS))
    )


def _rule(alert: Alert) -> str:
    # A JSON string is a YAML string too.
    return textwrap.indent(
        f"- alert: {alert.name}\n"
        f"  expr: {json.dumps(alert.query)}\n"
        f"  for: {alert.lasts}\n"
        f"  labels:\n    severity: {alert.severity}\n"
        f"  annotations:\n    summary: {json.dumps(alert.summary)}\n"
        f"    runbook_url: {_RUNBOOKS}#{alert.name.lower()}\n",
        " " * 6,
    )


def board() -> str:
    """The whole of board.json, as Grafana imports it."""
    source = {"type": "prometheus", "uid": "${source}"}
    whole = {
        "title": "emperord",
        "uid": "emperord",
        "schemaVersion": 38,
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": _variables(source)},
        "panels": [_panel(number, panel, source) for number, panel in enumerate(PANELS)],
    }
    return json.dumps(whole, indent=2) + "\n"


def _variables(source: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "instance", "label": "Machine", "type": "query", "datasource": source,
            "query": "label_values({__name__=~'emperord_(balancer_)?build_info'}, instance)",
            "multi": True, "includeAll": True, "refresh": 2,
            "current": {"text": "All", "value": "$__all"},
        },
    ]  # fmt: skip


def _panel(number: int, panel: Panel, source: dict[str, str]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
        for place, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": number % 2 * 12, "y": number // 2 * 8, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [target | {"datasource": source} for target in targets],
    }
