"""Asks the uWSGI programs that inis choose for their options and their Python, each once."""

from dataclasses import dataclass
from pathlib import Path

from emperor.handover.gate import Gate
from emperor.uwsgi.plugins import Lacking, Plugins
from emperor.uwsgi.resolver import CannotResolve, Resolver

_NONE = Plugins()


@dataclass(frozen=True, slots=True)
class Uwsgi:
    """A uWSGI: its options, the version of its Python as 3.11, the names of its loggers and of its
    kinds of alarms, and the plugins that it cannot load."""

    options: frozenset[str]
    python: str | None
    loggers: frozenset[str]
    alarms: frozenset[str]
    lacking: Lacking


class Programs:
    """The binary `default`, and the binaries that inis name."""

    def __init__(self, default: Path) -> None:
        self._resolver = Resolver(default, Path("/"), Gate())
        self._asked: dict[tuple[str, Plugins], Uwsgi] = {}

    async def asked(self, binary: str = "", plugins: Plugins = _NONE) -> Uwsgi:
        """What a uWSGI knows with these plugins; the default one for an empty `binary`. Raises
        CannotResolve."""
        key = binary, plugins
        if key not in self._asked:
            resolver = self._resolver.running(binary)
            options = await resolver.options(plugins)
            if "socket" not in options:
                raise CannotResolve("it has no option `socket`, so it is no uWSGI")
            python, loggers = await resolver.python(plugins), await resolver.loggers(plugins)
            alarms, lacking = await resolver.alarms(plugins), await resolver.lacking(plugins)
            self._asked[key] = Uwsgi(options, python, loggers, alarms, lacking)
        return self._asked[key]
