"""What the real uWSGI makes of an ini: the judge of how we read one."""

import subprocess
import sys
from pathlib import Path

UWSGI = Path(sys.executable).with_name("uwsgi")
_MARK = "\x02"


def resolved(folder: Path, name: str) -> list[tuple[str, str]]:
    """The options of the ini `name` in `folder`, in their order, as uWSGI has them when it would
    start; each log record is marked, so that any value can be told from the next option."""
    hooks = ["--hook-asap=callint:show_config", "--hook-asap=callint:_exit 0"]
    mark = f"--log-date={_MARK}"
    done = subprocess.run(
        [UWSGI, *hooks, mark, "--ini", name],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        timeout=30,
    )
    records = done.stderr.decode(errors="replace").split(f"{_MARK} - ")
    start = records.index("\n;uWSGI instance configuration\n[uwsgi]\n")
    end = records.index(";end of configuration\n\n")
    ours = 4  # both hooks, the mark and `ini`
    options = records[start + 1 + ours : end]
    pairs = (option.removesuffix("\n").partition(" = ") for option in options)
    return [(key, value) for key, _, value in pairs]
