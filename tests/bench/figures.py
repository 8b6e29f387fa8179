"""Writes the figures of a run to the file that the documentation takes its figures from."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from docs.figures import Figures, Machine, read, write
from tests.bench.peers.contest import Comparison
from tests.bench.peers.versions import peers
from tests.bench.report import Row
from tests.bench.rivals import UWSGI


class OtherMachine(Exception):
    """The file has rows of another machine, which are not comparable with the rows of this run."""


def this_machine() -> Machine:
    """This machine, and the versions of the measured programs."""
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
    uwsgi = subprocess.run([UWSGI, "--version"], capture_output=True, text=True, check=True)
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        kernel=".".join(platform.release().split(".")[:2]),
        python=platform.python_version(),
        uwsgi=uwsgi.stdout.strip(),
        nginx=nginx.stderr.strip().rpartition("/")[2],
    )


@dataclass(frozen=True, slots=True)
class Record:
    """The file of figures as it was before a run. `is_whole`: the run has all measurements."""

    path: Path
    before: Figures
    is_whole: bool

    @classmethod
    def of(cls, path: Path, whole: bool) -> Self:
        """Read the file, which need not exist. If the run has only some rows and the file is of
        another machine or other versions, raises OtherMachine."""
        here = this_machine()
        before = read(path) if path.exists() else Figures(here, {}, {})
        if before.machine == here:
            return cls(path, before, whole)
        if not whole:
            raise OtherMachine(
                f"cannot measure some rows: the rows in {path} are of {before.machine}, and this "
                f"is {here}; measure all rows, or write to another file with --figures"
            )
        return cls(path, Figures(here, {}, before.noted), whole)

    def write(
        self, rows: Sequence[Row], comparisons: Sequence[Comparison], is_complete: bool
    ) -> None:
        """Write these rows to the file. A complete run of all rows replaces the file's rows;
        otherwise rows with other names stay."""
        measured = {row.what: row.measured for row in rows}
        compared = {each.what: each.compared for each in comparisons}
        after = self.before.update(measured, compared, self.is_whole and is_complete)
        write(self.path, replace(after, versions=peers() if comparisons else after.versions))
