"""`emperorctl registry key`: where in etcd the entries of domains are."""

import click

from emperor.cli.failure import Failed
from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.session import as_domain
from emperor.model.registry_keys import Keys
from emperor.model.section import SettingsError
from emperor.registry.access import load_access


@click.command()
@click.argument("domains", metavar="DOMAIN...", type=as_domain, nargs=-1, required=True)
@click.pass_obj
def key(options: RegistryOptions, domains: tuple[str, ...]) -> None:
    """Print the key in etcd of each DOMAIN, for its permissions: `etcdctl role grant-permission`.

    It asks nobody; the domain need not be there yet.
    """
    try:
        keys = Keys(load_access(options.access_file).prefix)
    except SettingsError as error:
        raise Failed(str(error)) from error
    for domain in domains:
        click.echo(keys.vassal(domain))
