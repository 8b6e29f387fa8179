"""An ini in a folder, as the reader and the resolver get it."""

from pathlib import Path

from emperor.uwsgi.ini import Ini, parse

NAME = "www.a.example.ini"


def write(folder: Path, text: str) -> Ini:
    """Write an ini with these lines below [uwsgi] to the folder. Returns what it says."""
    (folder / NAME).write_text(f"[uwsgi]\n{text}\n")
    return parse((folder / NAME).read_bytes(), NAME, str(folder))
