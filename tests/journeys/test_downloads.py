"""Files that nginx sends for an app, from the app's header to the visitor behind the balancer."""

from docs.examples.rewriting import rewrite
from tests.backend import Backend
from tests.balancer.fleet import Balancer
from tests.eventually import eventually
from tests.http_client import Request, ask

HOST = "files.example"


def test_a_refused_file_is_an_error_that_the_log_explains(backend: Backend) -> None:
    backend.expect("cannot send the file '/protected/a.bin' that files.example names")
    backend.add(HOST, "sender.py")
    for _ in range(2):
        reply = backend.get(HOST, "/?/protected/a.bin")
        assert (reply.status, "does not send for it" in reply.text) == (502, True)
    assert len(backend.lines("cannot send the file")) == 1


def test_a_listed_file_reaches_a_visitor_whole_and_in_part(
    backend: Backend, balancer: Balancer
) -> None:
    backend.expect("cannot send the file")
    backend.add(HOST, "sender.py")
    files = backend.folder / "files"
    files.mkdir()
    content = bytes(range(250)) * 40_000
    (files / "a.bin").write_bytes(content)
    example = r"#www\.example\.com/protected +/srv/www\.example\.com/files;"
    conf = backend.nginx.conf.parent / "emperord" / "downloads.conf"
    rewrite([conf], {example: f"{HOST}/protected {files};"})
    # The balancer's kept connections end with the reload; it asks again.
    balancer.expect("upstream prematurely closed connection")
    backend.nginx.reload()
    request = Request(HOST, "/?/protected/a.bin")
    eventually(lambda: ask(balancer.port, request).status == 200, what="nginx has the list")
    assert ask(balancer.port, request).body == content
    part = ask(balancer.port, Request(HOST, request.path, headers={"Range": "bytes=-10"}))
    assert (part.status, part.body) == (206, content[-10:])
