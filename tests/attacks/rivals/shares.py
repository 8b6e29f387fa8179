"""Attacks after more than a share of the machine or of its host."""

import statistics

from docs.attacks import Outcome, held, succeeded
from tests.attacks.rivals.host import ALICE, HERS, MALLORY, MINE, PROOFS, Host
from tests.eventually import eventually


def memory(host: Host) -> Outcome:
    """A child that fills 64 MB again and again, 2 GB at most."""
    told = host.run(
        MINE,
        """
import os, time
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    kept = []
    for _ in range(32):
        try:
            kept.append(bytearray(b"x" * (1 << 26)))
        except MemoryError:
            break
        os.write(writing, b".")
    os._exit(0)
os.close(writing)
taken = b""
while more := os.read(reading, 100):
    taken += more
told.append(len(taken) * 64)
os.waitpid(child, 0)
""",
    )
    is_well = host.ask(HERS, "told.append('well')", patience=10).body == "well"
    said = f"he gets {told} of 2,048 MB{'' if is_well else ', and her app does not answer'}"
    return succeeded(said) if int(told) >= 2048 or not is_well else held(said)


def processes(host: Host) -> Outcome:
    """2,000 children that sleep."""
    code = """
import os, signal
children = []
for _ in range(2000):
    try:
        child = os.fork()
    except OSError:
        break
    if child == 0:
        signal.pause()
    children.append(child)
told.append(len(children))
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
    told = host.run(MINE, code)
    said = f"he gets {told} of 2,000"
    return succeeded(said) if int(told) >= 2000 else held(said)


_SPIN = """
import time
began = time.monotonic()
number = 0
while number < 3_000_000:
    number += 1
told.append(time.monotonic() - began)
"""


def cpu(host: Host) -> Outcome:
    """40 children that compute without end; her app computes meanwhile."""
    calm = statistics.median(float(host.run(HERS, _SPIN)) for _ in range(5))
    host.run(
        MINE,
        """
import os
for _ in range(40):
    if os.fork() == 0:
        os.closerange(3, 1000)
        os.execv("/usr/bin/python3", ["python3", "-c", "while True: pass", "cpu-hog"])
""",
    )
    beside = statistics.median(float(host.run(HERS, _SPIN)) for _ in range(5))
    host.box.run("pkill", "-9", "--full", "cpu-hog$")
    said = f"her app takes {beside / calm:.1f} times as long to compute"
    return succeeded(said) if beside > 5 * calm else held(said)


def _first_answers(host: Host, domains: list[str]) -> float:
    """How long the first answers of these apps of alice's take, by the median. A minute stands for
    none."""
    answers = [host.ask(domain, "told.append('well')", patience=60) for domain in domains]
    for domain in domains:
        host.remove(domain)
    return statistics.median(each.seconds if each.body == "well" else 60 for each in answers)


def _sleeping(host: Host, word: str) -> list[str]:
    """The domains of three apps of alice's that nobody has asked yet."""
    domains = [f"{word}{number}.example" for number in range(3)]
    host.add(ALICE, *domains)
    eventually(lambda: host.ask("nobody.example", "").status)  # an Apache that has read that
    return domains


def _beside(calm: float, seconds: float) -> Outcome:
    if seconds >= 60:
        return succeeded(f"no cold start within a minute, without it in {calm:.2f} s")
    said = f"a cold start takes {seconds:.2f} s, without it {calm:.2f} s"
    return succeeded(said) if seconds > 2 + 3 * calm else held(said)


def touches(host: Host) -> Outcome:
    """What restarts its app is touched without end, by a process of its own, while visitors ask."""
    calm = _first_answers(host, _sleeping(host, "calm"))
    hers = _sleeping(host, "beside")
    path = host.restart_file.format(domain=MINE)
    touch = f"import os\nwhile True: os.utime({path!r})"
    ask = f"while :; do python3 /srv/visitor.py {MINE} '' 4 10 >/dev/null; done"
    storm = host.box.start("runuser", "-u", MALLORY, "--", "python3", "-c", touch, "touches")
    crowd = host.box.start("sh", "-c", ask, "visits")
    seconds = _first_answers(host, hers)
    for each, word in ((storm, "touches$"), (crowd, "visits$")):
        host.box.run("pkill", "-9", "--full", word)
        each.communicate()
    return _beside(calm, seconds)


def hung_boots(host: Host) -> Outcome:
    """24 apps that do not come up, each with a visitor."""
    calm = _first_answers(host, _sleeping(host, "quiet"))
    slow = [f"slow{number}.example" for number in range(24)]
    host.add(MALLORY, *slow, boot="import time\ntime.sleep(90)")
    hers = _sleeping(host, "hers")
    crowd = host.box.start(
        "sh", "-c", f'for host in {" ".join(slow)}; do'
        " python3 /srv/visitor.py $host '' 1 80 >/dev/null & done; wait", "visits",
    )  # fmt: skip
    host.sh("sleep 5")  # all visitors have asked
    seconds = _first_answers(host, hers)
    for word in ("/srv/visitor.py", "visits$"):
        host.box.run("pkill", "-9", "--full", word)
    crowd.communicate()
    for domain in slow:
        host.remove(domain)
    return _beside(calm, seconds)


def hung_requests(host: Host) -> Outcome:
    """300 visitors of an app that does not answer; her app runs."""
    host.run(HERS, "")
    gate = f"{PROOFS}/open"
    code = f"import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.1)"
    crowd = host.box.start("/usr/bin/python3", "/srv/visitor.py", MINE, code, "300", "50")
    host.sh("sleep 5")  # all visitors have asked
    answers = [host.ask(HERS, "told.append('well')", patience=10) for _ in range(3)]
    host.sh(f"touch {gate}")
    crowd.communicate()
    well = sum(each.body == "well" for each in answers)
    said = f"{well} of 3 visitors of hers are answered"
    return held(said) if well == 3 else succeeded(said)
