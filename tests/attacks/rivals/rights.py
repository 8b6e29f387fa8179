"""Attacks after rights: those of root, of the host, and of the neighbour."""

from docs.attacks import Outcome, held, succeeded
from tests.attacks.rivals.host import ALICE, HERS, MINE, PROOFS, SECRET, STARTUP, Host
from tests.eventually import TookTooLong, eventually


def root_by_configuration(host: Host) -> Outcome:
    host.sh(f"rm -f {PROOFS}/users")
    host.configure(MINE, host.root_lines)
    users = [host.ask(MINE, "import os\ntold.append(os.getuid())").body for _ in range(2)]
    ran = host.sh(f"cat {PROOFS}/users 2>/dev/null || true").split()
    host.configure(MINE, "")
    if "0" in [*ran, *users]:
        return succeeded("a line of his configuration runs as root")
    return held("no line of his configuration runs as root")


def neighbour_by_link(host: Host) -> Outcome:
    """Its start-up file becomes a link to that of the neighbour, beside a module of its own."""
    home, proof = host.home(MINE), f"{PROOFS}/link"
    host.run(
        MINE,
        f"""
import os
open("{home}/colorsys.py", "w").write(
    "import os\\nopen('{proof}', 'a').write(f'{{os.getuid()}} ')")
os.rename("{home}/{STARTUP}", "{home}/kept")
os.symlink("{host.home(HERS)}/{STARTUP}", "{home}/{STARTUP}")
""",
    )
    host.read_again(MINE)
    host.ask(MINE, "")
    users = eventually(lambda: host.sh(f"cat {proof} 2>/dev/null || true").split(), seconds=20)
    host.sh(f"mv {home}/kept {home}/{STARTUP}; rm {home}/colorsys.py")
    host.read_again(MINE)
    hers = host.sh(f"id -u {ALICE}").strip()
    if hers in users:
        return succeeded("a module of his own runs as the neighbour")
    return held("his app runs as himself")


def open_configuration(host: Host) -> Outcome:
    """The file by which the host knows the neighbour's app has mode 0666, by mistake."""
    config, proof = host.config(HERS), f"{PROOFS}/poisoned"
    host.sh(f"rm -f {proof}; cp -a {config} /srv/kept; chmod 0666 {config}")
    said = host.run(
        MINE,
        f"""
try:
    open({config!r}, "a").write({host.proof_lines!r})
    told.append("written")
except OSError as error:
    told.append(error.strerror)
""",
    )
    host.read_again(HERS)
    host.ask(HERS, "", patience=5)
    try:
        users = eventually(lambda: host.sh(f"cat {proof} 2>/dev/null || true").split(), seconds=6)
    except TookTooLong:
        users = []
    host.sh(f"mv /srv/kept {config}; touch {config}")
    host.read_again(HERS)
    host.run(HERS, "")
    if not users:
        said = "he can write to it" if said == "written" else f"he cannot write to it ({said})"
        return held(f"nothing of his runs: {said}")
    return succeeded("his lines run as root" if "0" in users else "his lines run as the neighbour")


def environment(host: Host) -> Outcome:
    seen = host.run(MINE, f"import os\ntold.append(os.environ.get({SECRET!r}, 'no'))")
    names = host.run(MINE, "import os\ntold.append(len(os.environ))")
    if seen == "seen":
        return succeeded(f"the app has a variable that was given to the host alone, of {names}")
    return held(f"the app has {names} variables, and not that of the host")


def setuid(host: Host) -> Outcome:
    printed = host.run(MINE, "import subprocess\ntold.append(subprocess.getoutput('setuid-id'))")
    printed += host.run(MINE, "import subprocess\ntold.append(subprocess.getoutput("
                        "'/usr/local/bin/setuid-id'))")  # fmt: skip
    if "euid=0(root)" in printed:
        return succeeded("a program that is setuid root has the rights of root")
    return held("a program that is setuid root has the rights of the app")


def capabilities(host: Host) -> Outcome:
    code = "told.extend(line for line in open('/proc/self/status') if line.startswith('Cap'))"
    sets = dict(zip(*[iter(host.run(MINE, code).split())] * 2, strict=True))
    if int(sets["CapEff:"], 16):
        return succeeded(f"the app has capabilities: {sets['CapEff:']}")
    if int(sets["CapBnd:"], 16):
        return succeeded(f"the bounding set is {sets['CapBnd:'].lstrip('0')}")
    return held("the bounding set is empty")


def stop(host: Host) -> Outcome:
    if not host.orders:
        return held("it has no command by default")
    pid = host.run(HERS, "import os\ntold.append(os.getpid())")
    host.run(MINE, f"import subprocess\ntold.append(subprocess.getoutput({host.orders['stop']!r}))")
    if host.run(HERS, "import os\ntold.append(os.getpid())") != pid:
        return succeeded("his order has stopped her app")
    return held("his order is refused")


def listing(host: Host) -> Outcome:
    if not host.orders:
        return held("it has no command by default")
    line = host.orders["list"]
    said = host.run(MINE, f"import subprocess\ntold.append(subprocess.getoutput({line!r}))")
    return succeeded("the list names her app") if HERS in said else held("no list names her app")
