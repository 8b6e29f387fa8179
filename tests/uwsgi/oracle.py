"""How the real uWSGI reads an ini, to compare with how we do."""

import subprocess
import sys
from pathlib import Path

from tests.eventually import PATIENCE_SECONDS

UWSGI = Path(sys.executable).with_name("uwsgi")
_TOKEN = "\x02"


def resolved(folder: Path, name: str) -> list[tuple[str, str]]:
    """The options of the ini `name` in `folder` as uWSGI resolves them, in their order. Each log
    record begins with a token, so that no value can pass for the next option."""
    hooks = ["--hook-asap=callint:show_config", "--hook-asap=callint:_exit 0"]
    log_date = f"--log-date={_TOKEN}"
    done = subprocess.run(
        [UWSGI, *hooks, log_date, "--ini", name],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    records = done.stderr.decode(errors="replace").split(f"{_TOKEN} - ")
    start = records.index("\n;uWSGI instance configuration\n[uwsgi]\n")
    end = records.index(";end of configuration\n\n")
    ours = 4  # both hooks, log-date and `ini`
    options = records[start + 1 + ours : end]
    pairs = (option.removesuffix("\n").partition(" = ") for option in options)
    return [(key, value) for key, _, value in pairs]
