"""Installs the files of systemd/stage and systemd/stage-balancer below a root folder, and removes
them again.

    install.py put ROOT PREFIX
    install.py verify ROOT PREFIX
    install.py remove ROOT PREFIX

PREFIX/manifest lists the installed files. Files below etc/ belong to the administrator: a file that
was edited or deleted is left alone, as dpkg does with conffiles, and its new version is put beside
it with the suffix .new.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePath

STAGE = Path(__file__).with_name("stage")
STAGE_BALANCER = Path(__file__).with_name("stage-balancer")
PACKAGES = ("emperord", "emperord-balancer")
FOLDER = "folder"
LINK = "link"


def mark(path: Path) -> str | None:
    """FOLDER, LINK, the SHA-256 digest of a file, or None if nothing exists at `path`."""
    if path.is_symlink():
        return LINK
    if path.is_dir():
        return FOLDER
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def read(manifest: Path) -> dict[PurePath, str]:
    """The marks of what the previous installation has put, by path."""
    if not manifest.exists():
        return {}
    lines = (line.split("  ", 1) for line in manifest.read_text().splitlines())
    return {PurePath(path): mark for mark, path in lines}


def stays(there: str | None, before: str | None, new: str) -> bool:
    """Whether a file below etc/ is left alone: it was edited (it is neither the file put `before`
    nor the `new` file) or deleted."""
    if there is None:
        return before is not None
    return there not in (before, new)


def put(tree: Path, root: Path, manifest: Path) -> None:
    """Copy everything in `tree` to `root`, and remove what only the previous installation had."""
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
            print(f"{target} was edited and stays; the new version is {_beside(target).name}")
        now[path] = new
    _remove({path: mark for path, mark in before.items() if path not in now}, root)
    _write(manifest, now)


def _plan(tree: Path, home: PurePath) -> dict[PurePath, str]:
    """What will be put, except settings and folders that may exist already. It goes into the
    manifest first, so that an interrupted installation can be repeated or removed."""
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
    """Replace `target` in one step: processes that run or read the old file keep it."""
    draft = target.with_name(f".{target.name}.draft")
    draft.unlink(missing_ok=True)
    shutil.copy2(source, draft, follow_symlinks=False)
    os.replace(draft, target)


def refuse_to_join_packages(root: Path) -> None:
    """Exits if dpkg has installed a package of emperord below `root`, or keeps its settings there:
    the two would replace and delete each other's files."""
    lists = root / "var/lib/dpkg/info"
    present = " ".join(name for name in PACKAGES if (lists / f"{name}.list").exists())
    if present:
        sys.exit(
            f"cannot install: dpkg has files of {present} on this machine; keep a copy of what you"
            f" have edited in /etc, then run `apt purge {present}`"
        )


def refuse_to_join_others(manifest: Path) -> None:
    """Exits if PREFIX has an emperord that `make install` has not put there."""
    if (manifest.parent / "bin" / "emperord").exists() and not manifest.exists():
        sys.exit(
            f"cannot install: {manifest.parent} was not made by `make install`; remove it first"
        )


def verify(manifest: Path) -> None:
    """Exits if there is no installation to remove."""
    if not manifest.exists():
        sys.exit(f"cannot uninstall: there is no {manifest}, so `make install` was not run")


def remove(root: Path, manifest: Path) -> None:
    """Remove the installed files, and the folders that this leaves empty."""
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
    """Run the command line."""
    os.umask(0o022)
    match arguments:
        case ["put", root, prefix]:
            manifest = _manifest(root, prefix)
            refuse_to_join_packages(Path(root))
            refuse_to_join_others(manifest)
            with tempfile.TemporaryDirectory() as tree:
                subprocess.run([STAGE, tree, prefix, "/usr/local"], check=True)
                subprocess.run([STAGE_BALANCER, tree, "/usr/local"], check=True)
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
