"""Renders the shipped nginx configuration of a backend for another folder, address and ports."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from docs.examples.rewriting import listeners, rewrite

SHIPPED = Path(__file__).parents[2] / "nginx"


def render(folder: Path, http: int, https: int, addresses: Sequence[str] = ("127.0.0.1",)) -> Path:
    """Write a nginx.conf below `folder` and return its path.

    This nginx listens on the ports `http` and `https` of `addresses`: an IPv4 address, and perhaps
    an IPv6 address in brackets. It passes requests to the sockets in `folder`/sockets, asks
    emperord at `folder`/run/activate.sock, and trusts balancers at 127.0.0.1 and ::1. Logs, pid
    file and temporary files are beside nginx.conf. Raises LookupError when a path or port to
    replace is not in the shipped files.
    """
    place = folder / "nginx"
    shutil.copytree(SHIPPED / "emperord", place / "emperord")
    shutil.copy(SHIPPED / "backend.conf", place / "nginx.conf")
    (place / "temp").mkdir()
    rewrite(
        (place / "nginx.conf", *(place / "emperord").iterdir()),
        {
            **listeners(addresses, http, https),
            r"/run/nginx\.pid\b": f"{place}/nginx.pid",
            r"/var/log/nginx\b": f"{place}",
            r"/var/lib/nginx\b": f"{place}/temp",
            r"/run/emperord\b": f"{folder}/run",
            r"/var/sockets\b": f"{folder}/sockets",
            r"#(set_real_ip_from )?192\.0\.2\.1\b": r"\g<1>127.0.0.1",
            r"#(set_real_ip_from )?2001:db8::1\b": r"\g<1>::1",
        },
    )
    return place / "nginx.conf"
