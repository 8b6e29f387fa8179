"""`emperorctl registry keygen`: a pair of keys, with which entries are signed and checked."""

from pathlib import Path

import click

from emperor.cli.failure import Failed
from emperor.model.signers import is_name_of_signer


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def keygen(name: str, file: Path) -> None:
    """Write a new private key to FILE, and print the line of the public key for `signers-file`.

    NAME tells whose key it is, ops-2026 for instance. FILE is for `signer-key-file`, on the machine
    where inis are put into the registry. The line goes to all machines, which take no other entries
    then. It may say for whom the key may sign: owners=shop domains=shop.example,*.shop.example
    """
    if not is_name_of_signer(name):
        raise click.BadParameter(f"{name!r} is no name of letters, digits and _.@+-")
    # It takes a tenth of a second, which --help need not wait for.
    from emperor.registry.signatures import new_key  # noqa: PLC0415

    key = new_key(name)
    try:
        key.save(file)
    except FileExistsError as error:
        raise Failed(
            f"cannot write {file}: it is there, and may be a key in use; name another file"
        ) from error
    except OSError as error:
        raise Failed(f"cannot write {file}: {error.strerror}") from error
    click.echo(key.public_line)
