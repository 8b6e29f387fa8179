"""Runs the fuzzer for a minute on each target, schemathesis on the control API, the tests of
hypothesis with drawn examples, and the fault suite with drawn seeds, for so many minutes or until a
failure. It prints each seed with the command that repeats its run.

    python -m tests.soak MINUTES
"""

import os
import random
import subprocess
import sys
import time

from tests.fuzz.targets import TARGETS

STRIKES = 20
FAULTS = ["tests/faults/test_faults.py", "-k", "accounted_for"]
FUZZ_SECONDS = "60"
EXAMPLES = ["tests/model", "tests/supervisor", "tests/uwsgi", "tests/linux", "tests/balancer"]
EXAMPLES += ["tests/fuzz", "-m", "hypothesis", "--hypothesis-profile=drawn"]


def commands(seed: int) -> list[tuple[dict[str, str], list[str]]]:
    """What is run with that seed: variables of the environment, and arguments of Python."""
    faults = {"FAULT_SEEDS": str(seed), "FAULT_STRIKES": str(STRIKES)}
    # A run is as long as its strikes, each of which has its own limits.
    pytest = ["-m", "pytest", "-q"]
    return [
        *(({}, ["-m", "tests.fuzz", name, FUZZ_SECONDS, f"-seed={seed}"]) for name in TARGETS),
        ({}, [*pytest, "tests/fuzz/api.py", f"--hypothesis-seed={seed}"]),
        ({}, [*pytest, *EXAMPLES, f"--hypothesis-seed={seed}"]),
        (faults, [*pytest, *FAULTS, "--timeout=0"]),
    ]


def main(minutes: str) -> int:
    """Run until the time is over. The exit status is 1 after a failure."""
    until = time.monotonic() + 60 * float(minutes)
    rounds = 0
    while not rounds or time.monotonic() < until:
        seed = random.SystemRandom().randrange(10**6)
        for variables, arguments in commands(seed):
            command = [sys.executable, *arguments]
            words = [f"{name}={value}" for name, value in variables.items()]
            text = " ".join(["env", *words, *command] if words else command)
            print(f"seed {seed}: {text}", flush=True)
            if subprocess.run(command, env=os.environ | variables, check=False).returncode:
                print(f"seed {seed} failed; to repeat it: {text}")
                return 1
        rounds += 1
    print(f"{rounds} seeds passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
