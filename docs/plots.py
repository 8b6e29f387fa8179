"""Draws the plots of docs/benchmarks.md as SVG, with matplotlib, which is in the extra `bench`.

The same figures give the same bytes with the same matplotlib. Each plot notes of which figures it
is, so that a test finds an old one without matplotlib, whose versions draw differently.
"""

from collections.abc import Mapping

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.benchmarks_page import SECTIONS, best, digest, is_ours, picture, rows_of
from docs.figures import Compared, Figures, Side, text_of

_OURS, _PEER, _FLOOR = "#2b6cb0", "#a0aec0", "#edf2f7"
_WIDTH, _BAR, _REST = 8.0, 0.27, 0.65
# Beyond this ratio of the largest to the least, a linear axis shows nothing of the small ones.
_TOO_FAR = 30.0


def draw(figures: Figures) -> None:
    """Write the plots whose figures have changed."""
    for section in SECTIONS:
        rows = rows_of(section, figures)
        path = picture(section)
        if not rows or (path.exists() and digest(rows) in path.read_text(encoding="utf-8")):
            continue
        path.parent.mkdir(exist_ok=True)
        with matplotlib.rc_context(
            {"svg.hashsalt": "emperord", "svg.fonttype": "none", "font.size": 9}
        ):
            metadata = {"Title": section.title, "Description": digest(rows), "Date": None}
            figure = _figure(rows)
            figure.savefig(path, format="svg", metadata=metadata | {"Creator": None})


def _figure(rows: Mapping[str, Compared]) -> Figure:
    bars = [len(_measured(row)) for row in rows.values()]
    heights = [_BAR * count + _REST for count in bars]
    figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (what, row) in zip(axes, rows.items(), strict=True):
        _bars(axis, what, row)
    return figure


def _measured(row: Compared) -> dict[str, tuple[Side, float, float, float]]:
    return {
        name: (side, side.median, side.least, side.most)
        for name, side in row.sides.items()
        if side.median is not None and side.least is not None and side.most is not None
    }


def _bars(axis: Axes, what: str, row: Compared) -> None:
    sides = _measured(row)
    winners = best(row)
    names = list(sides)
    medians = [median for _, median, _, _ in sides.values()]
    spread = [
        [median - least for _, median, least, _ in sides.values()],
        [most - median for _, median, _, most in sides.values()],
    ]
    colours = [
        _OURS if is_ours(name) else _FLOOR if side.is_floor else _PEER
        for name, (side, *_) in sides.items()
    ]
    axis.barh(
        names, medians, xerr=spread, color=colours, edgecolor="#718096", linewidth=0.5,
        error_kw={"ecolor": "#4a5568", "elinewidth": 0.8, "capsize": 2},
    )  # fmt: skip
    positive = [median for median in medians if median > 0]
    if positive and max(positive) / min(positive) > _TOO_FAR:
        axis.set_xscale("symlog" if len(positive) < len(medians) else "log")
    axis.margins(x=0.25)
    for place, (name, (_, median, _, most)) in enumerate(sides.items()):
        weight = "bold" if name in winners else "normal"
        axis.annotate(
            text_of(median, row.unit), (most, place), xytext=(5, 0), va="center",
            textcoords="offset points", fontsize=8, fontweight=weight,
        )  # fmt: skip
    axis.invert_yaxis()
    axis.set_title(f"{what}, {row.unit}" if row.unit else what, loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
