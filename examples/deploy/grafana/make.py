#!/usr/bin/env python3
"""Writes the dashboards, kepler.json and serving.json (kept in the chart, which packs no links): a panel is a line here and a page there."""

import json
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
NODE = 'instance=~"$instance"'


def target(query, legend="", instant=False):
    made = {"datasource": SOURCE, "expr": query, "legendFormat": legend}
    return made | ({"instant": True, "format": "table"} if instant else {})


def panel(
    title,
    queries,
    unit="watt",
    kind="timeseries",
    width=12,
    height=8,
    about="",
    **options,
):
    """One panel; `queries` are pairs of PromQL and legend."""
    instant = kind in {"table", "bargauge"}
    defaults = {"unit": unit}
    if kind == "timeseries":
        defaults |= {
            "min": 0,
            "custom": {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"},
        }
    if kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}} | options
    if kind == "bargauge":
        options = {
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "values": True},
        } | options
    return {
        "title": title,
        "description": about,
        "type": kind,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [target(q, legend, instant) | {"refId": chr(65 + i)} for i, (q, legend) in enumerate(queries)],
    }


def row(title):
    return {
        "title": title,
        "type": "row",
        "gridPos": {"w": 24, "h": 1},
        "collapsed": False,
        "panels": [],
    }


def laid_out(panels):
    """Numbers the panels and puts them side by side, a new line where one does not fit."""
    x = y = line = 0
    for number, each in enumerate(panels, 1):
        width, height = each["gridPos"]["w"], each["gridPos"]["h"]
        if x + width > 24:
            x, y, line = 0, y + line, 0
        each["id"] = number
        each["gridPos"] |= {"x": x, "y": y}
        x, line = x + width, max(line, height)
    return panels


def variable(name, query, label="", many=True):
    return {
        "name": name,
        "label": label or name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "allValue": ".*" if many else None,
        "current": {"text": "All", "value": "$__all"} if many else {},
    }


def textbox(name, value, label):
    return {
        "name": name,
        "label": label,
        "type": "textbox",
        "query": value,
        "current": {"text": value, "value": value},
    }


def dashboard(uid, title, variables, panels, tags):
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }
    return {
        "uid": uid,
        "title": title,
        "tags": tags,
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "panels": laid_out(panels),
    }


def by_zone(family, labels, more=""):
    return f'sum by ({labels}) ({family}{{{NODE},zone=~"$zone"{more}}})'


def of_the_program(selector):
    """What a program itself takes."""
    return [
        panel(
            "CPU of a core",
            [(f"rate(process_cpu_seconds_total{{{selector}}}[5m])", "{{instance}}")],
            unit="percentunit",
            width=8,
        ),
        panel(
            "Memory",
            [(f"process_resident_memory_bytes{{{selector}}}", "{{instance}}")],
            unit="bytes",
            width=8,
        ),
    ]


def energy():
    pod = 'pod_namespace=~"$namespace",pod_name=~"$pod"'
    top = "topk(10, {})"
    panels = [
        row("Node"),
        panel(
            "Power",
            [
                (
                    f'sum by (zone) (kepler_node_cpu_watts{{{NODE},zone=~"$zone"}})',
                    "{{zone}}",
                )
            ],
            width=8,
            kind="stat",
        ),
        panel(
            "Measured or estimated",
            [(f"kepler_node_power_source_info{{{NODE}}}", "")],
            unit="none",
            kind="table",
            width=8,
            about="Where each zone's figures come from: a meter, or a power model and which.",
        ),
        panel(
            "Expected error of estimated zones",
            [
                (
                    f"kepler_node_power_expected_error_watts{{{NODE}}}",
                    "{{instance}} {{zone}}",
                )
            ],
            kind="stat",
            width=8,
            about="Mean absolute error of the power model on machines that it had not seen. Empty where all is measured.",
        ),
        panel(
            "Power by zone",
            [
                (
                    by_zone("kepler_node_cpu_watts", "instance, zone"),
                    "{{instance}} {{zone}}",
                )
            ],
            about="Zones overlap (psys contains package contains core): they are not added up.",
        ),
        panel(
            "Active and idle power",
            [
                (by_zone("kepler_node_cpu_active_watts", "zone"), "{{zone}} active"),
                (by_zone("kepler_node_cpu_idle_watts", "zone"), "{{zone}} idle"),
            ],
        ),
        panel(
            "CPU in use",
            [(f"kepler_node_cpu_usage_ratio{{{NODE}}}", "{{instance}}")],
            unit="percentunit",
        ),
        panel(
            "Active power that nothing accounts for",
            [
                (
                    f'rate(kepler_node_residual_joules_total{{{NODE},zone=~"$zone"}}[5m])',
                    "{{zone}} {{cause}}",
                )
            ],
            about="Idle + workloads + this = measured. It is shown by cause, and never spread over those that were seen.",
        ),
        row("Namespaces and pods"),
        panel(
            "Power by namespace",
            [
                (
                    top.format(by_zone("kepler_pod_cpu_watts", "pod_namespace, zone")),
                    "{{pod_namespace}} {{zone}}",
                )
            ],
        ),
        panel(
            "Power by pod",
            [
                (
                    top.format(
                        by_zone(
                            "kepler_pod_cpu_watts",
                            "pod_namespace, pod_name, zone",
                            "," + pod,
                        )
                    ),
                    "{{pod_namespace}}/{{pod_name}} {{zone}}",
                )
            ],
        ),
        panel(
            "Energy by namespace, last day",
            [
                (
                    'sum by (container_namespace) (increase(kepler_container_joules_total{container_namespace=~"$namespace"}[24h])) / 3.6e6',
                    "{{container_namespace}}",
                )
            ],
            unit="kwatth",
            kind="bargauge",
        ),
        panel(
            "Carbon of the last day",
            [
                (
                    'sum by (container_namespace) (increase(kepler_container_joules_total{container_namespace=~"$namespace"}[24h])) / 3.6e6 * $carbon',
                    "{{container_namespace}}",
                )
            ],
            unit="massg",
            kind="bargauge",
            about="Energy times the carbon factor above, in grams of CO2 for a kilowatt-hour.",
        ),
        row("Containers, processes, virtual machines"),
        panel(
            "Containers",
            [
                (
                    top.format(
                        by_zone(
                            "kepler_container_cpu_watts",
                            "container_name, container_id, zone",
                        )
                    ),
                    "{{container_name}} {{zone}}",
                )
            ],
        ),
        panel(
            "Processes",
            [
                (
                    top.format(by_zone("kepler_process_cpu_watts", "comm, zone", ',state="running"')),
                    "{{comm}} {{zone}}",
                )
            ],
        ),
        panel(
            "Virtual machines",
            [
                (
                    top.format(by_zone("kepler_vm_cpu_watts", "vm_name, zone")),
                    "{{vm_name}} {{zone}}",
                )
            ],
        ),
        panel(
            "Graphics processors",
            [
                (
                    "sum by (instance, package) (rate(kepler_node_gpu_joules_total{" + NODE + "}[5m]))",
                    "{{instance}} {{package}}",
                )
            ],
        ),
        row("The exporter itself"),
        *of_the_program(f'{NODE},job=~".*kepler.*",job!~".*model-server.*"'),
        panel(
            "Tasks looked at",
            [(f"kepler_exporter_tasks{{{NODE}}}", "{{instance}}")],
            unit="none",
            width=8,
        ),
    ]
    variables = [
        variable("instance", "label_values(kepler_node_cpu_watts, instance)", "Node"),
        variable("zone", "label_values(kepler_node_cpu_watts, zone)", "Zone"),
        variable(
            "namespace",
            "label_values(kepler_pod_cpu_watts, pod_namespace)",
            "Namespace",
        ),
        variable(
            "pod",
            'label_values(kepler_pod_cpu_watts{pod_namespace=~"$namespace"}, pod_name)',
            "Pod",
        ),
        textbox("carbon", "400", "g CO2 per kWh"),
    ]
    return dashboard("kepler-energy", "Kepler: energy", variables, panels, ["kepler", "energy"])


def serving():
    prefix, own = "kepler_model_server_", 'job=~".*kepler-model-server.*"'
    count, bucket = (
        f"{prefix}request_duration_seconds_count",
        f"{prefix}request_duration_seconds_bucket",
    )
    late = "histogram_quantile({}, sum by (le, route) (rate(" + bucket + "[5m])))"
    panels = [
        row("Requests"),
        panel(
            "Requests by route",
            [(f"sum by (route) (rate({count}[5m]))", "{{route}}")],
            unit="reqps",
        ),
        panel(
            "Answers by status",
            [(f"sum by (status) (rate({count}[5m]))", "{{status}}")],
            unit="reqps",
        ),
        panel("Latency, median", [(late.format(0.5), "{{route}}")], unit="s"),
        panel("Latency, 99th percentile", [(late.format(0.99), "{{route}}")], unit="s"),
        panel(
            "Errors",
            [(f"sum by (at) (rate({prefix}errors_total[5m]))", "{{at}}")],
            unit="reqps",
            about="request: a client asked for what there is not; server: the server is at fault.",
        ),
        panel(
            "Share of answers that are errors",
            [
                (
                    f'sum(rate({count}{{status=~"5.."}}[5m])) / sum(rate({count}[5m])) or sum(rate({count}[5m])) * 0',
                    "5xx",
                )
            ],
            unit="percentunit",
        ),
        row("Models"),
        panel(
            "Models served",
            [(f"max by (pipeline) ({prefix}models)", "{{pipeline}}")],
            unit="none",
            kind="stat",
            width=8,
        ),
        panel(
            "Requests met by model",
            [
                (
                    f"topk(10, sum by (model) (rate({prefix}model_requests_total[5m])))",
                    "{{model}}",
                )
            ],
            unit="reqps",
            width=8,
        ),
        panel(
            "Time spent predicting, by model",
            [
                (
                    f"topk(10, sum by (model) (rate({prefix}inference_seconds_total[5m])))",
                    "{{model}}",
                )
            ],
            unit="percentunit",
            width=8,
        ),
        row("Replicas"),
        panel(
            "Replicas that answer",
            [(f"sum(up{{{own}}})", "up"), (f"count(up{{{own}}})", "known")],
            unit="none",
            width=8,
            about="The autoscaler's work shows here: replicas that Prometheus knows, and those that answer.",
        ),
        *of_the_program(own),
    ]
    return dashboard("kepler-serving", "Kepler: model server", [], panels, ["kepler", "models"])


if __name__ == "__main__":
    for name, made in {"kepler": energy(), "serving": serving()}.items():
        (HERE / "../helm/kepler/files/dashboards" / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")
