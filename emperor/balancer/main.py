"""emperord-balancer: command line, log and exit status."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import click

from emperor import __version__
from emperor.balancer.service import read_usable_config, serve
from emperor.linux.journal import log_handler
from emperor.model.registry_access import DEFAULT_FILE
from emperor.model.section import SettingsError

log = logging.getLogger("emperord.main")

_PROGRAM = "emperord-balancer"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_PROGRAM)
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_FILE, show_default=True,
    help="How to reach the registry, and in [balancer] what to do.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Only say whether that file can be used.")
def main(config: Path, check: bool) -> None:
    """Write the list of backends for nginx on a load balancer, as the registry of the fleet has it.

    See emperord-balancer(8).
    """
    root = logging.getLogger()
    root.addHandler(log_handler(os.environ, _PROGRAM))
    root.setLevel(logging.INFO)
    try:
        if check:
            read_usable_config(config)
        else:
            asyncio.run(serve(config))
    except SettingsError as error:
        log.error("%s", error)
        # The unit does not start it again: until somebody mends that, it would fail again.
        sys.exit(os.EX_CONFIG)
