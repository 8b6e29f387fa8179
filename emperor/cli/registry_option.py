"""The option that says how to reach the registry, of the groups of commands that do."""

from pathlib import Path

import click

from emperor.model.registry_access import DEFAULT_FILE

registry_option = click.option(
    "--registry", "access_file", metavar="FILE", type=click.Path(path_type=Path),
    default=DEFAULT_FILE, show_default=True, envvar="EMPERORD_REGISTRY", show_envvar=True,
    help="How to reach the registry.",
)  # fmt: skip
