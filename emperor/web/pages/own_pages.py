"""Pages of the administrator's in the place of emperord's own.

A file is checked when it is first used, and again when it has changed. One that cannot be used is
logged with the line, and the page is emperord's own meanwhile.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes

from emperor.linux.root_owned_file import read_roots

log = logging.getLogger("emperord.own_pages")

LARGEST = 256 * 1024
DEEPEST = 10
# What a page may name, with its value where a page is only checked.
PLACEHOLDERS: Mapping[str, str | int] = {
    "status": 503,
    "title": "Starting up",
    "text": "This site is starting.",
    "estimate": "It will take about 4 seconds more.",
    "domain": "www.example.com",
    "request_id": "0123456789abcdef",
    "refresh_seconds": 1,
}
_ALLOWED = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.Not)


class BrokenPage(Exception):
    """A page cannot be used. `line` is 0 if that is about the whole file."""

    def __init__(self, cause: str, line: int = 0) -> None:
        super().__init__(cause)
        self.cause = cause
        self.line = line


def compiled(source: str) -> Template:
    """The template in `source`. It may name placeholders and have `if` blocks, and nothing that
    could take long or reach anything else. Raises BrokenPage."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    try:
        tree = environment.parse(source)
        _check(tree, 0)
        template = environment.from_string(tree)
        template.render(PLACEHOLDERS)
    except TemplateSyntaxError as error:
        raise BrokenPage(error.message or "it is no template", error.lineno) from error
    except (TemplateError, RecursionError, SyntaxError) as error:
        raise BrokenPage(f"it is no template: {error}") from error
    return template


def _check(node: nodes.Node, depth: int) -> None:
    if not isinstance(node, _ALLOWED):
        kind = type(node).__name__.lower()
        raise BrokenPage(
            f"a page may have {{{{ NAME }}}} and {{% if NAME %}}, but no {kind}", node.lineno
        )
    if isinstance(node, nodes.Name) and node.name not in PLACEHOLDERS:
        names = ", ".join(PLACEHOLDERS)
        raise BrokenPage(f"there is no {node.name!r}; there are {names}", node.lineno)
    if depth > DEEPEST:
        raise BrokenPage("its blocks are nested too deep", node.lineno)
    for child in node.iter_child_nodes():
        _check(child, depth + isinstance(node, nodes.If))


def read(folder: Path, path: Path) -> str:
    """The text of a page below `folder`, which only root can change. Raises OSError, and
    BrokenPage."""
    try:
        data = read_roots(path, LARGEST + 1, (0, os.geteuid()))
    except ValueError as error:
        raise BrokenPage(str(error)) from error
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BrokenPage(f"it is a link to a file outside {folder}; copy the file")
    if len(data) > LARGEST:
        raise BrokenPage(f"it has more than {LARGEST // 1024} KB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BrokenPage("it is not UTF-8 text", data.count(b"\n", 0, error.start) + 1) from error


@dataclass(frozen=True, slots=True)
class _Known:
    """What came of a version of a file. None: it cannot be used, for that `problem`, which
    `may_pass` without a change of the file."""

    stamp: tuple[int, ...]
    template: Template | None
    problem: str = ""
    may_pass: bool = False


class OwnPages:
    """The pages in a folder: NAME for all hosts, and VASSAL/NAME for one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, _Known] = {}

    def find(self, name: str, vassal: str | None) -> Template | None:
        """The page of a vassal, or else of all hosts; None: there is none that can be used."""
        for path in self._paths(name, vassal):
            if template := self._template(path):
                return template
        return None

    def _paths(self, name: str, vassal: str | None) -> Iterator[Path]:
        if vassal is not None:
            yield self._folder / vassal / name
        yield self._folder / name

    def _template(self, path: Path) -> Template | None:
        try:
            info = path.stat()
        except OSError:
            self._known.pop(path, None)
            return None
        stamp = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        known = self._known.get(path)
        if known is None or known.stamp != stamp or known.may_pass:
            before, known = known, self._checked(path, stamp)
            self._known[path] = known
            if known.problem and known != before:
                log.warning("cannot use %s; emperord's own page is used", known.problem)
        return known.template

    def _checked(self, path: Path, stamp: tuple[int, ...]) -> _Known:
        try:
            return _Known(stamp, compiled(read(self._folder, path)))
        except (OSError, BrokenPage) as error:
            may_pass = isinstance(error, OSError)
            return _Known(stamp, None, complaint(path, error), may_pass)


def complaint(path: Path, error: OSError | BrokenPage) -> str:
    """What is wrong with a page, with its line."""
    if isinstance(error, OSError):
        return f"{path}: {error.strerror}"
    return f"{path}: line {error.line}: {error.cause}" if error.line else f"{path}: {error.cause}"
