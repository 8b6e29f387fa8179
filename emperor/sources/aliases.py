"""The further host names of inis, by what their texts say, whether they are served or not."""

from collections.abc import Iterable

_NONE = frozenset[str]()


class Aliases:
    """The aliases of each file."""

    def __init__(self) -> None:
        self._by_file: dict[str, frozenset[str]] = {}
        # Several files may name the same host.
        self._files: dict[str, dict[str, None]] = {}

    def note(self, file: str, aliases: Iterable[str]) -> frozenset[str]:
        """Replace those of a file. Returns those that are new."""
        before, now = self._by_file.pop(file, _NONE), frozenset(aliases)
        if not (before or now):
            return _NONE  # as of thousands
        for alias in before - now:
            files = self._files[alias]
            del files[file]
            if not files:
                del self._files[alias]
        for alias in now - before:
            self._files.setdefault(alias, {})[file] = None
        if now:
            self._by_file[file] = now
        return now - before

    def file_with(self, host: str) -> str | None:
        """A file that names `host`; None: no file does."""
        return next(iter(self._files.get(host, ())), None)
