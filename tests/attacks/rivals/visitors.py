"""Attacks after the neighbour's visitors, and by visitors."""

from docs.attacks import Outcome, held, succeeded
from tests.attacks.rivals.host import ALICE, HERS, MALLORY, MINE, Host
from tests.attacks.rivals.hosts import Passenger
from tests.eventually import TookTooLong, eventually


def socket(host: Host) -> Outcome:
    """Connect to each listening socket of the machine's that may be the neighbour's app."""
    host.run(HERS, "")
    code = f"""
import glob, os, socket
words = ("/run/uwsgi/", "/var/sockets/", "/apps.s/")
lines = [line.split() for line in open("/proc/net/unix") if any(word in line for word in words)]
paths = {{line[7] for line in lines if line[3] == "00010000"}}
for path in sorted(paths):
    if {MINE!r} not in path:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
            told.append("connected")
        except OSError as error:
            told.append(type(error).__name__)
"""
    told = host.run(MINE, code).split()
    # Passenger's names do not tell whose they are, and one of them is its own.
    own = 1 if isinstance(host, Passenger) else 0
    if told.count("connected") > own:
        return succeeded("he connects to her app, past the front")
    return held("none of her sockets takes a connection of his")


def claim(host: Host) -> Outcome:
    """A second app of mallory's names the socket, or the host, of alice's in its configuration."""
    if isinstance(host, Passenger):
        lines = f"ServerName {HERS}\n"
    else:
        lines = f"socket = {_socket_of(host, HERS)}\nchmod-socket = 666\n"
    domain = "aa.example"
    host.put(MALLORY, domain, lines)
    host.sh("sleep 4")  # the Emperor looks every three seconds
    host.ask(domain, "", patience=10)
    host.read_again(HERS)
    seen = [host.ask(HERS, "import os\ntold.append(os.getuid())", patience=10) for _ in range(4)]
    host.remove(domain)
    host.read_again(HERS)
    hers = host.sh(f"id -u {ALICE}").strip()
    if any(each.status == 200 and each.body != hers for each in seen):
        return succeeded("his app answers her visitors")
    if seen[-1].body != hers:
        return succeeded(f"her app no longer answers ({seen[-1].status})")
    return held("her app answers as before")


def _socket_of(host: Host, domain: str) -> str:
    folder = "/var/sockets/{}/socket" if host.name == "emperord" else "/run/uwsgi/{}.socket"
    return folder.format(domain)


def _lone(host: Host, word: str, script: str) -> None:
    """A process of mallory's in a session of its own, with all descriptors of its app."""
    host.run(
        MINE,
        f"""
import os, subprocess
if os.fork() == 0:
    os.setsid()
    for name in os.listdir("/proc/self/fd"):
        try:
            os.set_inheritable(int(name), True)
        except OSError:
            pass
    os.execv("/usr/bin/python3", ["python3", "-c", {script!r}, {word!r}])
""",
    )


def _is_alive(host: Host, word: str) -> bool:
    return host.box.run("pgrep", "--full", "--", f"{word}$").returncode == 0


def _is_gone(host: Host, word: str) -> bool:
    try:
        eventually(lambda: not _is_alive(host, word), seconds=20)
    except TookTooLong:
        return False
    return True


_SQUATTER = """\
import os, socket, threading, time
def serve(number):
    listener = socket.socket(fileno=number)
    listener.setblocking(True)
    while True:
        client, _ = listener.accept()
        client.setblocking(True)
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nstolen")
        client.close()
for number in map(int, os.listdir("/proc/self/fd")):
    try:
        with socket.socket(fileno=os.dup(number)) as found:
            is_listener = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        continue
    if is_listener:
        for _ in range(8):
            threading.Thread(target=serve, args=[number]).start()
    elif number > 2:
        os.close(number)
time.sleep(600)
"""


def next_owner(host: Host) -> Outcome:
    """The app passes to alice while a process of mallory's lives that accepts where it can."""
    domain, word = MINE, "lone-squatter"
    _lone(host, word, _SQUATTER)
    eventually(lambda: _is_alive(host, word), what="the process runs")
    host.give(domain, ALICE)
    is_gone = _is_gone(host, word)
    code = "import os\ntold.append(os.getuid())"
    answers = [host.ask(domain, code, patience=5).body for _ in range(40)]
    host.box.run("pkill", "-9", "--full", f"{word}$")
    host.give(domain, MALLORY)
    if stolen := answers.count("stolen"):
        return succeeded(f"his process answers {stolen} of 40 requests to the next owner's app")
    if own := answers.count(host.sh(f"id -u {MALLORY}").strip()):
        return succeeded(f"his app goes on, and answers {own} of 40 requests")
    if is_gone:
        return held("his process is ended")
    return held("his process lives on, and gets no request")


def outlives(host: Host) -> Outcome:
    domain, word = "leaving.example", "lone-child"
    host.add(MALLORY, domain)
    host.run(
        domain,
        f"""
import os
if os.fork() == 0:
    os.setsid()
    os.closerange(3, 1000)
    os.execv("/usr/bin/python3", ["python3", "-c", "import time; time.sleep(600)", {word!r}])
""",
    )
    eventually(lambda: _is_alive(host, word), what="the process runs")
    host.remove(domain)
    is_gone = _is_gone(host, word)
    host.box.run("pkill", "-9", "--full", f"{word}$")
    return held("it is ended with his app") if is_gone else succeeded("it lives on")


_SPOOFED = (
    "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-User", "X-Forwarded-Port", "X-Scheme",
    "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "Remote-User", "True-Client-IP",
)  # fmt: skip


def headers(host: Host) -> Outcome:
    sent = [f"{name}: spoofed" for name in _SPOOFED]
    code = "told.extend(k for k in environ if k[:5] == 'HTTP_' and environ[k] == 'spoofed')"
    seen = host.ask(HERS, code, *sent).body.split()
    if seen:
        return succeeded(f"{len(seen)} of {len(_SPOOFED)} headers reach the app as they were sent")
    return held("none reaches the app as it was sent")


_RAW = f"""\
import socket, sys
client = socket.create_connection(("127.0.0.1", 80), 5)
body = sys.argv[1].encode()
client.sendall(b"POST / HTTP/1.1\\r\\nHost: {MINE}\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body))
client.sendall(body)
read = b""
try:
    while more := client.recv(65536):
        read += more
except TimeoutError:
    pass
print(read.decode(errors="replace"))
"""


def two_answers(host: Host) -> Outcome:
    """An answer with status 103, whose body looks like the answer to another request."""
    code = (
        'head = ("103 Early Hints", [])\n'
        'told.append("HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nforged")'
    )
    read = host.box.must("/usr/bin/python3", "-c", _RAW, code)
    lines = [line.split(" ", 1)[1] for line in read.splitlines() if line.startswith("HTTP/1")]
    if "forged" in read and lines[-1].startswith("200"):
        return succeeded("a front that keeps connections takes its body for the next answer")
    return held(f"the visitor gets {lines[0] if lines else 'no answer'}")


_BODY = """\
import os, select, socket
def free():
    return sum(info.f_bavail * info.f_frsize for info in map(os.statvfs, ("/var", "/tmp")))
client = socket.create_connection(("127.0.0.1", 80), 20)
head = b"POST / HTTP/1.1\\r\\nHost: made-up.example\\r\\nContent-Length: 100000000\\r\\n\\r\\n"
client.sendall(head)
sent, before = 0, free()
try:
    while sent < 90_000_000 and not select.select([client], [], [], 0)[0]:
        sent += client.send(bytes(65536))
except OSError:
    pass
select.select([client], [], [], 2)
print((before - free()) // 1_000_000)
"""


def body(host: Host) -> Outcome:
    """90 of the 100 MB of a body for a host that is not served, and no more of it."""
    stored = int(host.box.must("/usr/bin/python3", "-c", _BODY))
    said = f"of 90 MB for a made-up host, {max(stored, 0)} MB are stored"
    return succeeded(said) if stored > 80 else held(said)
