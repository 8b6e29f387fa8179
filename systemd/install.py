"""Puts what systemd/stage lays out in its place below a root folder, and takes it away again.

    install.py put ROOT PREFIX
    install.py verify ROOT PREFIX
    install.py remove ROOT PREFIX

PREFIX/manifest says what was put. Files below etc/ are the administrator's: one that was edited or
deleted stays so, as dpkg treats its conffiles, and what is new stands beside it as .new.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePath

STAGE = Path(__file__).with_name("stage")
FOLDER = "folder"
LINK = "link"


def mark(path: Path) -> str | None:
    """What stands there: FOLDER, LINK, the digest of a file, or nothing."""
    if path.is_symlink():
        return LINK
    if path.is_dir():
        return FOLDER
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def read(manifest: Path) -> dict[PurePath, str]:
    """The marks of what was put by the installation before, by path."""
    if not manifest.exists():
        return {}
    lines = (line.split("  ", 1) for line in manifest.read_text().splitlines())
    return {PurePath(path): mark for mark, path in lines}


def stays(there: str | None, before: str | None, new: str) -> bool:
    """Whether a file of the administrator's is left alone: it is neither what was put `before` nor
    the `new` one, or was deleted."""
    if there is None:
        return before is not None
    return there not in (before, new)


def put(tree: Path, root: Path, manifest: Path) -> None:
    """Make ROOT hold what TREE holds, and nothing of an older installation that TREE lacks."""
    before = read(manifest)
    now: dict[PurePath, str] = {}
    for source in sorted(tree.rglob("*")):
        path = source.relative_to(tree)
        target = root / path
        new = mark(source)
        assert new is not None
        if new == FOLDER:
            if not target.is_dir() or path in before:
                target.mkdir(mode=0o755, parents=True, exist_ok=True)
                now[path] = new
            if target == manifest.parent:
                _write(manifest, before | now | _plan(tree, path))
            continue
        if not _is_settings(path) or not stays(mark(target), before.get(path), new):
            _replace(source, target)
        elif target.exists() and before.get(path) != new:
            _replace(source, _beside(target))
            print(f"{target} was edited and stays; what is new stands in {_beside(target).name}")
        now[path] = new
    _remove({path: mark for path, mark in before.items() if path not in now}, root)
    _write(manifest, now)


def _plan(tree: Path, home: PurePath) -> dict[PurePath, str]:
    """What will be put besides settings, and folders that may have been there: listed before, so
    that an installation which is interrupted can be repeated, and taken away."""
    marks = {path.relative_to(tree): mark(path) or "" for path in tree.rglob("*")}
    return {
        path: mark
        for path, mark in marks.items()
        if home in path.parents or (mark != FOLDER and not _is_settings(path))
    }


def _write(manifest: Path, entries: dict[PurePath, str]) -> None:
    manifest.write_text("".join(f"{mark}  {path}\n" for path, mark in sorted(entries.items())))


def _is_settings(path: PurePath) -> bool:
    return path.parts[0] == "etc"


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _replace(source: Path, target: Path) -> None:
    """In one step: whoever runs or reads the old one goes on with it."""
    draft = target.with_name(f".{target.name}.draft")
    draft.unlink(missing_ok=True)
    shutil.copy2(source, draft, follow_symlinks=False)
    os.replace(draft, target)


def refuse_to_join_others(manifest: Path) -> None:
    """Exits where PREFIX was filled by somebody else."""
    if (manifest.parent / "bin" / "emperord").exists() and not manifest.exists():
        sys.exit(
            f"cannot install: {manifest.parent} was not made by `make install`; remove it first, by"
            " `apt remove emperord` if it is the package's"
        )


def verify(manifest: Path) -> None:
    """Exits unless something was put there."""
    if not manifest.exists():
        sys.exit(f"cannot uninstall: there is no {manifest}, so nothing was installed by make")


def remove(root: Path, manifest: Path) -> None:
    """Take away what was put, and what that leaves empty."""
    verify(manifest)
    entries = read(manifest)
    home = PurePath(manifest.parent.relative_to(root))
    around = {home, *home.parents} & entries.keys()
    _remove({path: entries[path] for path in entries.keys() - around}, root)
    manifest.unlink()
    _remove({path: entries[path] for path in around}, root)


def _remove(entries: dict[PurePath, str], root: Path) -> None:
    for path, put in sorted(entries.items(), reverse=True):
        target = root / path
        there = mark(target)
        if there == FOLDER:
            if put == FOLDER and not any(target.iterdir()):
                target.rmdir()
        elif not _is_settings(path):
            target.unlink(missing_ok=True)
        else:
            _beside(target).unlink(missing_ok=True)
            if there == put:
                target.unlink()
            elif there:
                print(f"{target} was edited and stays")


def main(arguments: list[str]) -> None:
    """The command line."""
    os.umask(0o022)
    match arguments:
        case ["put", root, prefix]:
            manifest = _manifest(root, prefix)
            refuse_to_join_others(manifest)
            with tempfile.TemporaryDirectory() as tree:
                subprocess.run([STAGE, tree, prefix, "/usr/local"], check=True)
                put(Path(tree), Path(root), manifest)
        case ["verify", root, prefix]:
            verify(_manifest(root, prefix))
        case ["remove", root, prefix]:
            remove(Path(root), _manifest(root, prefix))
        case _:
            sys.exit(__doc__)


def _manifest(root: str, prefix: str) -> Path:
    return Path(root, prefix.lstrip("/"), "manifest")


if __name__ == "__main__":
    main(sys.argv[1:])
