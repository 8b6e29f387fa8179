"""Files that an app names in X-Accel-Redirect: those of its folders, and nothing else."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import pytest
from aiohttp import web

from docs.examples.rewriting import rewrite
from tests.http_client import Reply, Request, ask
from tests.nginx.conftest import App
from tests.nginx.stub_daemon import Asked, StubDaemon
from tests.nginx_server import Nginx

HOST = "app.example"
REPORT = b"a report\n" * 100_000
SECRET = b"a secret"


@pytest.fixture
def files(folder: Path) -> Path:
    """The folder that app.example may send files of; a secret is beside it."""
    (folder / "secret.txt").write_bytes(SECRET)
    (folder / "filesecret.txt").write_bytes(SECRET)
    files = folder / "files"
    (files / "2026").mkdir(parents=True)
    (files / "2026" / "report 1.pdf").write_bytes(REPORT)
    return files


@pytest.fixture
def nginx(folder: Path, files: Path) -> Iterator[Nginx]:
    """nginx with the first example of downloads.conf, for this host and folder."""
    nginx = Nginx(folder)
    example = r"#www\.example\.com/protected +/srv/www\.example\.com/files;"
    conf = nginx.conf.parent / "emperord" / "downloads.conf"
    rewrite([conf], {example: f"{HOST}/protected {files};"})
    with nginx:
        yield nginx


@pytest.fixture
def warm(app: App) -> App:
    app.open_door()
    return app


@pytest.fixture
def refusing(daemon: StubDaemon) -> StubDaemon:
    """A daemon that answers for refused files, and lets no request run."""

    async def answer(asked: Asked) -> web.Response:
        return web.Response(status=502, text=f"refused {asked.headers['x-refused-file']}\n")

    daemon.answer = answer
    return daemon


async def fetch(
    nginx: Nginx,
    *named: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    also: Sequence[tuple[str, str]] = (),
    host: str = HOST,
) -> Reply:
    """A request to an app that answers with these values of X-Accel-Redirect."""
    query = urlencode([*(("X-Accel-Redirect", value) for value in named), *also])
    request = Request(host, f"/headers?{query}", method, headers or {})
    return await asyncio.to_thread(ask, nginx.port, request)


FILE = "/protected/2026/report%201.pdf"


async def test_a_file_of_the_folder_is_sent_cold_and_warm(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    for _ in ("cold", "warm"):
        reply = await fetch(nginx, FILE)
        assert (reply.status, reply.body) == (200, REPORT)
        assert reply.headers["content-type"] == "application/pdf"
        assert not [name for name in reply.headers if name.startswith("x-accel")]
    assert len(daemon.asked) == 1
    assert len(app.runs) == 2


async def test_a_download_has_what_a_file_of_nginx_has(nginx: Nginx, warm: App) -> None:
    also = [("Content-Type", "text/x-own"), ("Content-Disposition", "attachment")]
    whole = await fetch(nginx, FILE, also=also, method="POST")
    assert (whole.status, whole.body) == (200, REPORT)
    assert whole.headers["content-type"] == "text/x-own"
    assert whole.headers["content-disposition"] == "attachment"
    part = await fetch(nginx, FILE, headers={"Range": "bytes=2-7"})
    assert (part.status, part.body) == (206, REPORT[2:8])
    known = await fetch(nginx, FILE, headers={"If-None-Match": whole.headers["etag"]})
    assert known.status == 304
    head = await fetch(nginx, FILE, method="HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(len(REPORT)))


@pytest.mark.parametrize(
    "named",
    [
        "/other/2026/report%201.pdf", "/protectedx/2026/report%201.pdf", "/protected",
        "/protected/", "/protected/2026/", "//protected/2026/report%201.pdf", "/", "/headers",
        "/emperord-health",
        "@app", "@fallback", "@unsent", "@nodaemon", "@unwell", "@large_head", "@nowhere", "@",
        "@upload", "@unserved", "@no", "@too_many", "@too_many_page", "ask:",
        "files/secret.txt", "secret.txt", "download:/protected/2026/x",
        "http://evil.example/", "/protected/%0d%0aX-Evil:1", "/protected/x%09y",
        "/other/\u00fc.pdf",
    ],
)  # fmt: skip
async def test_anything_else_is_refused_and_no_app_runs_again(
    nginx: Nginx, warm: App, refusing: StubDaemon, named: str
) -> None:
    nginx.expect(r"could not find named location")
    reply = await fetch(nginx, named)
    told = named if named.startswith("/") else "/"
    told = told if told.isascii() else "/other/..."
    assert (reply.status, reply.text) == (502, f"refused {told}\n")
    assert len(warm.runs) == 1
    assert len(refusing.asked) == 1


@pytest.mark.parametrize(
    "named",
    [
        "", "../secret.txt", "/protected/../secret.txt", "/protected/%2e%2e/secret.txt",
        "/protected/2026/..", "/protected/2026/%2e./../secret.txt", "/protected/x%00.pdf",
        "/protected/2026", "/protected/absent.pdf", "@no_file",
        "/protected/2026/report%25201.pdf", "/protected/secret.txt",
    ],
)  # fmt: skip
async def test_what_leads_to_no_file_is_404(
    nginx: Nginx, warm: App, refusing: StubDaemon, named: str
) -> None:
    nginx.expect(r"unsafe URI|open\(\) \S*|No such file")
    reply = await fetch(nginx, named)
    assert reply.status == 404
    assert len(warm.runs) == 1
    assert refusing.asked == []


def link_in(files: Path, link: str) -> str:
    """Put a link that leads to a secret into the folder, or in its place; returns what to name."""
    elsewhere = files.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.txt").write_bytes(SECRET)
    if link == "the folder":
        files.rename(files.parent / "moved")
        files.symlink_to(elsewhere)
        return "/protected/secret.txt"
    if link == "a folder":
        (files / "2027").symlink_to(elsewhere)
        return "/protected/2027/secret.txt"
    (files / "link.txt").symlink_to(elsewhere / "secret.txt")
    return "/protected/link.txt"


@pytest.mark.parametrize("link", ["the folder", "a folder", "a file"])
async def test_no_link_is_followed(
    nginx: Nginx, warm: App, files: Path, refusing: StubDaemon, link: str
) -> None:
    """Not even that of the folder itself: its owner may have put it there."""
    nginx.expect(r"failed \((40: Too many levels of symbolic links|20: Not a directory)")
    reply = await fetch(nginx, link_in(files, link))
    assert reply.status in (403, 404)
    assert SECRET not in reply.body


def share_socket(folder: Path, app: App) -> None:
    """Let other.example have that app too."""
    neighbour = folder / "sockets" / "other.example"
    neighbour.mkdir()
    (neighbour / "socket").symlink_to(app.socket)


async def test_a_neighbour_cannot_send_those_files(
    nginx: Nginx, warm: App, folder: Path, refusing: StubDaemon
) -> None:
    await asyncio.to_thread(share_socket, folder, warm)
    reply = await fetch(nginx, FILE, host="other.example")
    assert (reply.status, reply.text) == (502, f"refused {FILE}\n")
    assert refusing.asked[0].domain == "other.example"


@pytest.mark.parametrize("first", ["", "/protected/absent.pdf", "relative"])
@pytest.mark.parametrize("second", ["@app", "@fallback", "/headers", "secret.txt"])
async def test_two_headers_lead_to_no_second_run(
    nginx: Nginx, warm: App, refusing: StubDaemon, first: str, second: str
) -> None:
    """nginx obeys one of them and its variables may have the other."""

    async def answer(_asked: Asked) -> web.Response:
        return web.Response(status=502, text="failed\n")

    nginx.expect(r"unsafe URI|open\(\) \S*|No such file")
    refusing.answer = answer
    for named in ((first, second), (second, first)):
        reply = await fetch(nginx, *named)
        assert reply.status in (404, 502)
        assert SECRET not in reply.body
    assert len(warm.runs) == 2


async def test_without_emperord_a_refused_file_is_an_error_too(nginx: Nginx, warm: App) -> None:
    nginx.expect(r"activate.sock failed \(2: No such file or directory\)")
    reply = await fetch(nginx, "/other/file")
    assert reply.status == 502
    assert len(warm.runs) == 1
