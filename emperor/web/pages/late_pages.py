"""Imports `own_pages` where there is a folder of them. It needs Jinja2, which takes 2 MB, and a
tenth of the time of all imports.
"""

import logging
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

    from emperor.web.pages.own_pages import OwnPages

log = logging.getLogger("emperord.late_pages")


class LatePages:
    """The own pages in a folder, from when there is such a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: OwnPages | None = None
        self._has_failed = False
        self._load()

    def find(self, name: str, vassal: str | None) -> "Template | None":
        """The page of a vassal, or else of all hosts; None: there is none that can be used."""
        self._load()
        return self._own.find(name, vassal) if self._own else None

    def _load(self) -> None:
        if self._own or self._has_failed or not os.path.isdir(self._folder):
            return
        try:
            self._own = import_module("emperor.web.pages.own_pages").OwnPages(self._folder)
        except (ImportError, OSError) as error:
            # The folder is newer than the daemon, and the libraries on the disk are newer still.
            self._has_failed = True
            log.warning(
                "cannot use the pages of %s: %s; run `emperorctl upgrade`", self._folder, error
            )
