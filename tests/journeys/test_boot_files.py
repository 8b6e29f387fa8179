"""The files that the boot of an app reads are remembered, for its next start to read them ahead."""

import json
from collections.abc import Callable
from pathlib import Path

from emperor.uwsgi.boot_files import VARIABLE, listed
from tests.backend import Backend
from tests.eventually import eventually

_APP = """
import json, os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    links = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    return [json.dumps([sorted(os.environ), links]).encode()]
"""


def test_the_files_of_a_boot_are_remembered(start: Callable[..., Backend], folder: Path) -> None:
    (folder / "app").mkdir()
    (folder / "app" / "seen.py").write_text(_APP)

    backend = start(learns=True)
    lines = f"[uwsgi]\nchdir = {folder}/app\nmodule = seen\n[emperor]\nuid = games\n"
    backend.drop("a.localhost", lines)
    backend.until("a.localhost", "parked")
    variables, _ = json.loads(backend.get("a.localhost").body)
    assert VARIABLE not in variables
    path = folder / "state" / "read-ahead" / "a.localhost"
    eventually(path.exists, what="the list of the files")
    _, links = json.loads(backend.get("a.localhost").body)
    assert not [link for link in links if "emperord-files" in link]
    files = listed(path)
    assert len(files) > 30
    names = {Path(file).name.partition(".")[0] for file in files}
    assert names >= {"seen", "libc"}
    assert names & {"uwsgi", "pyuwsgi"}, "the program, or the module of a base"
    backend.call("POST", "/v1/vassals/a.localhost/sleep")
    backend.until("a.localhost", "parked")
    assert backend.get("a.localhost").status == 200
