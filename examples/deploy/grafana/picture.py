#!/usr/bin/env python3
"""picture.py PROMETHEUS MINUTES FOLDER: each dashboard's panels, drawn from what a Prometheus has. Needs matplotlib and Pillow."""

import io
import json
import re
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.gridspec import GridSpec
from PIL import Image

HERE = Path(__file__).parent
COLUMNS, ROW_INCHES, WIDTH_INCHES = 24, 0.26, 15
UNITS = {"watt": "W", "kwatth": "kWh", "massg": "g CO2", "reqps": "1/s", "s": "s", "bytes": "MiB", "percentunit": "%"}
SCALES = {"bytes": 1 / (1 << 20), "percentunit": 100}
LONGEST = 30
TABLE = {"legendFormat": "{{zone}}: {{origin}}, {{model}}"}


def ask(server, path, **query):
    with urllib.request.urlopen(f"{server}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        return json.load(answer)["data"]


def series(server, panel, minutes, now):
    """Name and points of everything that a panel shows."""
    for target in panel["targets"]:
        query = re.sub(r"\$(instance|zone|namespace|pod)\b", ".*", target["expr"].replace("$carbon", "400"))
        found = ask(server, "query_range", query=query, start=now - minutes * 60, end=now, step=minutes)["result"]
        for each in found:
            points = [(float(t) - now, float(v)) for t, v in each["values"] if v != "NaN"]
            # A quantile of nothing is no number at any time.
            if points:
                yield name(each["metric"], TABLE if panel["type"] == "table" else target), points


def name(labels, target):
    """As Grafana names a series: by the panel's own pattern, else by all labels."""
    pattern = target.get("legendFormat") or ", ".join(f"{{{{{key}}}}}" for key in labels if key != "__name__")
    made = re.sub(r"\{\{ *(\w+) *\}\}", lambda match: labels.get(match[1], ""), pattern)
    return made if len(made) <= LONGEST else f"{made[: LONGEST - 2]}.."


def draw(axes, panel, shown):
    unit = panel["fieldConfig"]["defaults"].get("unit", "")
    scale = SCALES.get(unit, 1)
    axes.set_title(f"{panel['title']} ({UNITS[unit]})" if unit in UNITS else panel["title"], fontsize=8, loc="left")
    axes.tick_params(labelsize=6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    shown = sorted(shown, key=lambda each: -each[1][-1][1])[:10]
    if not shown:
        axes.text(0.5, 0.5, "none on this machine", ha="center", va="center", fontsize=7, color="grey", transform=axes.transAxes)
        axes.set_axis_off()
    elif panel["type"] == "timeseries":
        for label, points in shown:
            axes.plot([t / 60 for t, _ in points], [v * scale for _, v in points], label=label, linewidth=0.8)
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
        axes.set_xlabel("minutes", fontsize=6, loc="right", labelpad=1)
        axes.yaxis.offsetText.set_fontsize(6)
        axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    elif panel["type"] == "table":
        axes.set_axis_off()
        for row, (label, _) in enumerate(shown):
            axes.text(0, 0.85 - 0.15 * row, label, fontsize=6, transform=axes.transAxes)
    else:
        axes.barh([label for label, _ in shown][::-1], [points[-1][1] * scale for _, points in shown][::-1], height=0.5)
        axes.xaxis.offsetText.set_fontsize(6)


def main(server, minutes, folder):
    plt.rcParams["font.family"] = "DejaVu Sans"
    # What it has last, be that long ago
    now = ask(server, "status/tsdb")["headStats"]["maxTime"] / 1000
    for board in ("kepler", "serving"):
        panels = [panel for panel in json.loads((HERE / f"{board}.json").read_text())["panels"] if "targets" in panel]
        height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
        figure = plt.figure(figsize=(WIDTH_INCHES, height * ROW_INCHES))
        grid = GridSpec(height, COLUMNS, figure=figure, left=0.04, right=0.88, top=0.98, bottom=0.03, wspace=2.5, hspace=2)
        for panel in panels:
            at = panel["gridPos"]
            # The names beside the curves take the last third of a panel's place.
            first = at["x"] + (0 if panel["type"] in ("timeseries", "table") else 2)
            axes = figure.add_subplot(grid[at["y"] : at["y"] + at["h"] - 2, first : at["x"] + at["w"] * 2 // 3])
            draw(axes, panel, list(series(server, panel, int(minutes), now)))
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=90)
        Image.open(drawn).convert("RGB").quantize(48).save(Path(folder, f"{board}.png"), optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
