"""Has atheris look for bytes at which a target fails, for so many seconds.

    python -m tests.fuzz TARGET SECONDS [OPTION OF LIBFUZZER...]

What it finds is in tests/fuzz/seeds/TARGET, whose files `tests/fuzz/test_seeds.py` gives to the
target from then on.
"""

import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["emperor"]):
    from tests.fuzz.targets import TARGETS

SEEDS = Path(__file__).with_name("seeds")
# A target that takes longer has found something.
LONGEST_SECONDS = 10
# Python makes no number of more than 4300 digits, which must not be out of reach.
LONGEST_BYTES = 8192


def main(name: str, seconds: str, *options: str) -> None:
    """Run it. Does not return: the exit status is not 0 where something was found."""
    logging.disable()
    target, examples = TARGETS[name]
    found = SEEDS / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, example in enumerate(examples):
            Path(corpus, str(number)).write_bytes(example)
        limits = [
            f"-max_total_time={seconds}",
            f"-timeout={LONGEST_SECONDS}",
            f"-max_len={LONGEST_BYTES}",
        ]
        atheris.Setup(
            [sys.argv[0], *limits, f"-artifact_prefix={found}/", *options, corpus], target
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
