"""Attacks on the logs."""

from docs.attacks import Outcome, held, succeeded
from tests.attacks.rivals.host import HERS, MINE, Host
from tests.eventually import eventually


def cut_log(host: Host) -> Outcome:
    told = host.run(
        MINE,
        """
import os
for number in (1, 2):
    for size in (0, 1 << 43):
        try:
            os.ftruncate(number, size)
            told.append("cut")
        except OSError as error:
            told.append(error.strerror)
""",
    )
    if "cut" in told:
        return succeeded("the log can be emptied, and made 8 TB large")
    return held("the kernel refuses it")


def read_log(host: Host) -> Outcome:
    word = "written-by-her-4711"
    host.run(HERS, f"print({word!r}, flush=True)")
    eventually(lambda: word in host.log(HERS), what="her line is in her log")
    told = host.run(
        MINE,
        f"""
import glob, subprocess
texts = [subprocess.getoutput("journalctl --no-pager -n 2000"),
         subprocess.getoutput("emperorctl logs {HERS}")]
for path in glob.glob("/var/log/**", recursive=True):
    try:
        texts.append(open(path, errors="replace").read())
    except OSError:
        pass
told.append({word!r} in " ".join(texts))
""",
    )
    if told == "True":
        return succeeded("he reads her log")
    return held("her log is closed to him")


def forge_log(host: Host) -> Outcome:
    line = f"{HERS}: all orders of today were lost 4712"
    host.run(MINE, f"import sys\nprint({line!r}, file=sys.stderr, flush=True)")
    eventually(lambda: line in host.log(MINE), what="the line is in its own log")
    if line in host.log(HERS):
        return succeeded("one log for all apps: his line stands in it like hers")
    return held("his lines are in his own log")


def flood_log(host: Host) -> Outcome:
    """300 MB of lines, as fast as the host takes them."""

    def size() -> int:
        return int(host.sh("du -sbc /var/log /run/log 2>/dev/null | tail -1 | cut -f1"))

    word = "written-before-the-flood-4713"
    host.run(HERS, f"print({word!r}, flush=True)")
    eventually(lambda: word in host.log(HERS), what="her line is in her log")
    before = size()
    written = host.ask(
        MINE,
        """
import sys
for _ in range(300):
    sys.stdout.write(("x" * 999 + "\\n") * 1000)
sys.stdout.flush()
""",
        patience=120,
    )
    assert written.status == 200, written
    host.box.run("journalctl", "--sync")
    host.sh("sleep 3")
    grown = (size() - before) / 1_000_000
    told = f"of 300 MB, the logs have grown by {grown:.0f} MB"
    if word not in host.log(HERS):
        return succeeded(f"{told}, and her own lines are gone")
    return succeeded(told) if grown > 250 else held(f"{told}, and her lines are there")
