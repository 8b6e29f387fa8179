"""`python -m tests.scale`: the made-up day of a fleet of the size that docs/scale.md tells of."""

import sys
import tempfile
import time
from pathlib import Path

import click

from tests.scale.day import Size
from tests.scale.story import play

_DEFAULT = Size()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--backends", default=_DEFAULT.backends)
@click.option("--domains", default=_DEFAULT.domains)
@click.option("--awake", default=_DEFAULT.awake, help="Apps awake on average.")
@click.option("--changes", default=_DEFAULT.changes, help="Inis that change in a second.")
@click.option("--seed", default=_DEFAULT.seed)
def main(backends: int, domains: int, awake: int, changes: float, seed: int) -> None:
    """Print what a day asks of a fleet and of its registry."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"\r\033[K{time.monotonic() - began:4.0f} s  {what}", end="", file=sys.stderr)

    size = Size(backends=backends, domains=domains, awake=awake, changes=changes, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        findings = list(play(size, Path(folder), tell))
    tell("done\n")
    for finding in findings:
        digits = 0 if finding.value >= 100 or finding.value == int(finding.value) else 2
        print(f"{finding.value:>12,.{digits}f} {finding.unit:3} {finding.what}")


if __name__ == "__main__":
    main()
