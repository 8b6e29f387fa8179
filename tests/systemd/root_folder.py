"""A root folder into which the trees of several versions are installed."""

from pathlib import Path

from systemd.install import put

SETTINGS = "etc/uwsgi/emperord.ini"
CODE = "opt/emperord/lib/module.py"


class Machine:
    """A root folder, and trees that are put into it as versions come and go."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self._trees = folder / "trees"

    @property
    def manifest(self) -> Path:
        return self.root / "opt/emperord/manifest"

    def put(self, **files: str) -> None:
        """A version whose files are `settings`, `code` and others of /etc, by name."""
        tree = self._trees / str(len(list(self._trees.glob("*"))))
        places = {"settings": SETTINGS, "code": CODE}
        for name, text in files.items():
            place = tree / places.get(name, f"etc/{name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        put(tree, self.root, self.manifest)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def files(self) -> dict[str, str]:
        """The text of each file but the manifest."""
        return {
            str(path.relative_to(self.root)): path.read_text()
            for path in self.root.rglob("*")
            if path.is_file() and path != self.manifest
        }
