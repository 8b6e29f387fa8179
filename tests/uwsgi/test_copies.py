"""Copies of the last good ini, which the user of the app can read and nobody but root can write."""

import stat
import subprocess
from dataclasses import replace
from pathlib import Path

from emperor.linux.accounts import SystemAccounts
from emperor.linux.stamps import stamp_of
from emperor.model.ports import KeptText
from emperor.uwsgi.copies import IniCopies, remove_copy
from tests.traces import public_folder
from tests.uwsgi.house import DOMAIN, spec

TEXT = b"[uwsgi]\nfile = /srv/a.py\n"


def _as(user: str, command: str, path: str) -> subprocess.CompletedProcess[bytes]:
    setpriv = ["setpriv", f"--reuid={user}", "--regid=33", "--clear-groups"]
    words = [*setpriv, "sh", "-c", command, "sh", path]
    return subprocess.run(words, check=False, capture_output=True)


def test_the_user_of_the_app_reads_a_copy_and_cannot_fill_it() -> None:
    tenant = SystemAccounts().user("www-data")
    with public_folder() as folder:
        copies = IniCopies(folder / "vassals", folder)
        kept = KeptText(TEXT, stamp_of(Path(__file__).stat()))
        path = copies.make_if_changed(replace(spec("file = /srv/a.py"), identity=tenant), kept, "1")
        assert path == f"{folder}/inis/1/{DOMAIN}.ini"
        assert _as("www-data", 'cat "$1"', path).stdout == TEXT
        for command in ('echo >> "$1"', 'chmod u+w "$1"', 'rm -f "$1"', 'mv "$1" "$1.b"'):
            assert _as("www-data", command, path).returncode != 0, command
        assert _as("nobody", 'cat "$1"', path).returncode != 0
        info = Path(path).stat()
        assert (info.st_uid, stat.S_IMODE(info.st_mode) & 0o227) == (0, 0)
        remove_copy(path)
        assert not (folder / "inis").exists()
