"""Renders the shipped nginx configuration for a folder and ports of its own.

The demo and the tests run the files of `nginx/` and not copies of them that drift: the paths and
ports of a production machine are replaced, nothing else.
"""

import re
import shutil
from pathlib import Path

SHIPPED = Path(__file__).parents[2] / "nginx"


def render(folder: Path, http: int, https: int, address: str = "127.0.0.1") -> Path:
    """The path of a nginx.conf below `folder` that serves the sockets in `folder`/sockets, asks
    `folder`/run/activate.sock and listens on the ports `http` and `https` of `address`. Logs,
    pid file and temporary files lie beside it.

    Raises LookupError when a path or port that it replaces is not in the shipped files.
    """
    place = folder / "nginx"
    shutil.copytree(SHIPPED / "emperord", place / "emperord")
    shutil.copy(SHIPPED / "backend.conf", place / "nginx.conf")
    (place / "temp").mkdir()
    replaced = {
        r"\blisten 80\b": f"listen {address}:{http}",
        r"\blisten 443\b": f"listen {address}:{https}",
        r"/run/nginx\.pid\b": f"{place}/nginx.pid",
        r"/var/log/nginx\b": f"{place}",
        r"/var/lib/nginx\b": f"{place}/temp",
        r"/run/emperord\b": f"{folder}/run",
        r"/var/sockets\b": f"{folder}/sockets",
    }
    unused = set(replaced)
    for file in (place / "nginx.conf", *(place / "emperord").iterdir()):
        text = file.read_text()
        for pattern, by in replaced.items():
            text, times = re.subn(pattern, by, text)
            if times:
                unused.discard(pattern)
        file.write_text(text)
    if unused:
        raise LookupError(f"cannot render {SHIPPED}: not found there: {', '.join(sorted(unused))}")
    return place / "nginx.conf"
