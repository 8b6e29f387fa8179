"""`python -m docs.site [FOLDER]` builds the site into build/site or that folder.

A warning of Sphinx, as for a link to a page or heading that is not there, is an error. All are
printed, and the exit status is 1 then.
"""

import sys
from pathlib import Path

from sphinx.cmd.build import main

DOCS = Path(__file__).parents[1]


def build(folder: Path) -> int:
    """Build into `folder`, and return the exit status. What Sphinx keeps for its next run is
    beside the folder."""
    kept = folder.with_name(f"{folder.name}.kept")
    options = ["--quiet", "--fail-on-warning", "--keep-going"]
    places = ["-c", str(DOCS / "site"), "-d", str(kept), str(DOCS), str(folder)]
    status: int = main([*options, *places])
    return status


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if sys.argv[1:] else DOCS.parent / "build" / "site"))
