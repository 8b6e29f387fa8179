"""Writes what the documentation takes from a source: lifecycle.md, settings.md, from-uwsgi.md,
api.md, metrics.md, causes.md and emperorctl.md from the code, pictures from a template, the code
and what emperorctl has printed, and tables of figures, benchmarks.md and its plots from
docs/figures.json.

`make docs` runs it, and a test fails when a page differs from what it would write. The plots need
matplotlib, which only `make bench` installs.
"""

import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from docs import attacks, figures, monitoring_files
from docs.api_page import api
from docs.benchmarks_page import benchmarks
from docs.captures import PICTURES, terminal
from docs.causes_page import causes
from docs.cli_page import commands
from docs.from_uwsgi_page import from_uwsgi
from docs.lifecycle_page import lifecycle
from docs.metrics_page import metrics
from docs.settings_page import config, settings
from docs.states_picture import states
from docs.template_pictures import drawn, slots

DOCS = Path(__file__).parent


def _filled(page: Path) -> str:
    """The whole of a page whose tables of figures stand between comments."""
    return figures.filled(page, figures.read(figures.FIGURES))


# The pages that quote figures.
QUOTING = (
    DOCS.parent / "README.md", DOCS / "fleet.md", DOCS / "reliability.md", DOCS / "scale.md",
    DOCS / "console.md",
)  # fmt: skip
_DRAWN = ("journey", "fleet", "pull")
PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "lifecycle.md": lifecycle,
    DOCS / "settings.md": settings,
    DOCS / "from-uwsgi.md": from_uwsgi,
    DOCS / "api.md": api,
    DOCS / "metrics.md": metrics,
    DOCS / "causes.md": causes,
    DOCS / "emperorctl.md": commands,
    DOCS / "benchmarks.md": benchmarks,
    DOCS / "monitoring" / "emperord.rules.yml": monitoring_files.rules,
    DOCS / "monitoring" / "board.json": monitoring_files.board,
    DOCS / "examples" / "emperord.ini": config,
    **{PICTURES / f"{name}.svg": partial(drawn, name) for name in _DRAWN},
    PICTURES / "slots.svg": slots,
    PICTURES / "states.svg": states,
    PICTURES / "status.svg": partial(terminal, "status", "emperorctl status"),
    PICTURES / "why.svg": partial(terminal, "why", "emperorctl why shop.example.com"),
    PICTURES / "top.svg": partial(terminal, "top", "emperorctl top"),
    PICTURES / "check.svg": partial(terminal, "check", "emperorctl check draft.example.com.ini"),
    **{page: partial(_filled, page) for page in QUOTING},
    DOCS / "security.md": partial(attacks.filled, DOCS / "security.md"),
}


def write_all() -> None:
    """Write all pages, and, with matplotlib, the plots whose figures have changed."""
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
    if find_spec("matplotlib") is None:
        print("The plots are as before: matplotlib is not installed.", file=sys.stderr)
        return
    from docs.plots import draw  # noqa: PLC0415

    draw(figures.read(figures.FIGURES))


if __name__ == "__main__":
    write_all()
