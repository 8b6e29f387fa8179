"""`emperorctl sites`: gives nginx the administrator's files for single hosts, if it accepts them.

nginx reads the copies in emperord/sites-enabled only. So a file with a mistake has no effect, and a
start of nginx does not fail for it.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.check import STYLE
from emperor.cli.failure import Failed
from emperor.cli.terminal import show, terminal
from emperor.linux.root_owned_file import read_roots
from emperor.model.domain import is_domain
from emperor.model.nginx_conf import refusal
from emperor.model.sites import BrokenBase, Choice, Complaint, Sites, choose, server_block
from emperor.model.text import one_line, plain
from emperor.uwsgi.findings import Severity

WRITTEN = "sites"
ENABLED = "sites-enabled"
LARGEST = 1 << 20
_PLACE = re.compile(rf"(?P<text>.*) in \S+/{ENABLED}/(?P<domain>\S+)\.inc:(?P<line>\d+)")


class Nginx:
    """The nginx whose configuration is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def test(self, sites: Sites) -> Complaint | None:
        """What nginx says of its configuration with these files. Nothing in use is touched: it
        reads a folder of links to its configuration. Raises Failed."""
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name)
            _link(self._folder, copy, but="emperord")
            (copy / "emperord").mkdir()
            _link(self._folder / "emperord", copy / "emperord", but=ENABLED)
            enabled = copy / "emperord" / ENABLED
            enabled.mkdir()
            for file, text in _files(sites).items():
                (enabled / file).write_text(text, encoding="utf-8")
            result = _run("-T", "-c", str(copy / "nginx.conf"))
            if result.returncode:
                return _complaint(result.stderr.replace(name, str(self._folder)))
            if sites and f"# configuration file {enabled}/" not in result.stdout:
                line = f"include emperord/{ENABLED}/*.conf;"
                raise Failed(
                    f"{self._folder}/nginx.conf reads no site; add `{line}` to its http {{ }}"
                )
        return None

    def reload(self) -> None:
        """Have nginx read its configuration again. Raises Failed."""
        result = _run("-s", "reload", "-c", str(self._folder / "nginx.conf"))
        if result.returncode:
            raise Failed(f"cannot reload nginx: {one_line(refusal(result.stderr))}")


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            ["nginx", "-e", "stderr", *arguments],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except OSError as error:
        raise Failed(f"cannot run nginx: {error.strerror}") from error


def _link(source: Path, target: Path, but: str) -> None:
    """Make links in `target` to all that `source` has, except `but`."""
    for entry in source.iterdir():
        if entry.name != but:
            (target / entry.name).symlink_to(entry.absolute())


def _files(sites: Sites) -> Mapping[str, str]:
    """The content of each file in emperord/sites-enabled."""
    files = {f"{domain}.inc": text for domain, text in sites.items()}
    return files | {f"{domain}.conf": server_block(domain) for domain in sites}


def _complaint(stderr: str) -> Complaint:
    text = refusal(stderr)
    place = _PLACE.fullmatch(text)
    return (
        Complaint(place["text"], place["domain"], int(place["line"])) if place else Complaint(text)
    )


def read_sites(folder: Path) -> tuple[Sites, Mapping[str, Complaint]]:
    """The files of single hosts in `folder`, and why others are not taken: a name that is no host
    name, or a file that others than root can change. Raises Failed."""
    sites: dict[str, str] = {}
    complaints: dict[str, Complaint] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise Failed(f"cannot read {folder}: {error.strerror}") from error
    for name in names:
        domain = name.removesuffix(".conf")
        if name.startswith(".") or domain == name:
            continue
        try:
            if not is_domain(domain):
                raise ValueError("its name is no host name; call it DOMAIN.conf")
            if domain.split(".")[0] == "_":
                raise ValueError("it is no single host; write a file for each host")
            sites[domain] = _read(folder / name)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            complaints[domain] = Complaint(f"cannot use it: {reason}")
    return sites, complaints


def _read(path: Path) -> str:
    """The text of a file that only root can change. Raises OSError and ValueError."""
    data = read_roots(path, LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError("it has more than 1 MB")
    return data.decode()


def _enabled(folder: Path) -> Sites:
    """The files of single hosts that nginx has now."""
    return {
        path.stem: path.read_text(encoding="utf-8", errors="replace")
        for path in folder.glob("*.inc")
    }


def install(folder: Path, sites: Sites) -> None:
    """Make `folder` have these files and no others. At each moment it has every file that another
    one includes."""
    files = _files(sites)
    folder.mkdir(mode=0o755, exist_ok=True)
    stale = [path for path in folder.iterdir() if path.name not in files]
    for path in sorted(stale, key=lambda path: path.suffix != ".conf"):
        path.unlink()
    for name, text in files.items():
        draft = folder / f".{name}"
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / name)


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Test the files, and change nothing.")
@click.option(
    "--nginx-dir", metavar="DIR", type=click.Path(path_type=Path), default=Path("/etc/nginx"),
    show_default=True, help="The folder of nginx.conf.",
)  # fmt: skip
def sites(only_check: bool, nginx_dir: Path) -> None:
    """Give nginx the files of single hosts, DIR/emperord/sites/DOMAIN.conf.

    nginx tests each file first. Those that pass are copied to DIR/emperord/sites-enabled, which
    nginx reads, and nginx is reloaded. A file that does not pass is named with its line, and the
    exit status is 1; the version of it that passed last stays in service.
    """
    if os.geteuid():
        raise Failed("cannot test nginx's configuration: only root may; use sudo")
    place = nginx_dir / "emperord"
    try:
        wanted, complaints = read_sites(place / WRITTEN)
        before = _enabled(place / ENABLED)
        nginx = Nginx(nginx_dir)
        kept = {domain: before[domain] for domain in complaints if domain in before}
        chosen = choose({**wanted, **kept}, before, nginx.test)
        if not only_check:
            install(place / ENABLED, chosen.sites)
            nginx.reload()
    except BrokenBase as error:
        raise Failed(f"nginx refuses its own configuration: {one_line(str(error))}") from error
    except OSError as error:
        raise Failed(f"cannot use {error.filename or place}: {error.strerror}") from error
    _report(place / WRITTEN, chosen, {**chosen.complaints, **complaints})


def _report(folder: Path, chosen: Choice, complaints: Mapping[str, Complaint]) -> None:
    console = terminal()
    for domain, complaint in complaints.items():
        path = plain(str(folder / f"{domain}.conf"))
        place = f"{path}:{complaint.line}" if complaint.line else path
        severity = (Severity.ERROR.value, STYLE[Severity.ERROR])
        rest = "; an earlier version of it is in service" if domain in chosen.sites else ""
        show(
            console, [Text.assemble(f"{place}: ", severity, f": {one_line(complaint.text)}{rest}")]
        )
    count = len({*chosen.sites, *complaints})
    show(console, [Text(f"{count - len(complaints)} of {count} files are as nginx accepts them.")])
    if complaints:
        raise Failed(f"nginx does not get {len(complaints)} of the files in {folder}")
