"""Sphinx reads this file by its name: what the site is made of, and how it looks.

docs/README.md is the start page, and the order of its links is the order of the navigation. The
site loads nothing from elsewhere: no fonts, scripts or pictures.
"""

from pathlib import Path

from sphinx.application import Sphinx

import emperor
from docs.site.markdown import LIST, NO_PAGES, for_the_site

project = "emperord"
release = emperor.__version__
html_title = f"emperord {release}"
extensions = ["myst_parser"]
root_doc = LIST.removesuffix(".md")
exclude_patterns = list(NO_PAGES)
# GitHub makes an anchor of each heading, and pages link to them.
myst_heading_anchors = 6
html_theme = "furo"
html_copy_source = False
html_use_index = False
html_show_copyright = False
highlight_language = "none"


def setup(app: Sphinx) -> None:
    """Sphinx calls this once it has read the settings."""
    app.connect("source-read", _read)
    app.connect("build-finished", _add_index)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = for_the_site(source[0], Path(app.env.doc2path(page)), Path(app.srcdir))


def _add_index(app: Sphinx, failure: Exception | None) -> None:
    """Servers and people open index.html first."""
    if failure is None:
        start = Path(app.outdir, f"{root_doc}.html")
        start.with_name("index.html").write_bytes(start.read_bytes())
