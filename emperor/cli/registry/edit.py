"""`emperorctl registry edit`: get, an editor, put, if nobody else has changed it meanwhile."""

import tempfile
from pathlib import Path

import click

from emperor.cli.arguments import complete_domain
from emperor.cli.failure import Failed
from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.drafts import CONFIG, Draft, checked
from emperor.cli.registry.get import found_ini
from emperor.cli.registry.put import Terms, put_one, told
from emperor.cli.registry.session import Session, as_domain, run, written


@click.command()
@click.argument(
    "domain", metavar="DOMAIN", type=as_domain, shell_complete=complete_domain
)  # fmt: skip
@click.option("--force", is_flag=True, help="Put an ini that is broken, or cannot be checked.")
@CONFIG
@click.pass_obj
def edit(options: RegistryOptions, domain: str, force: bool, config: str | None) -> None:
    """Open the ini of DOMAIN in your editor ($EDITOR), and put what you save.

    It is refused if somebody else has changed it meanwhile. A draft that is refused stays in a
    file, whose name is printed.
    """
    _, entry = run(lambda session: found_ini(session, domain), options.access_file)
    text = click.edit(entry.ini, extension=".ini", require_save=False)
    if text is None or text == entry.ini:
        click.echo(f"{entry.domain}: not changed")
        return
    draft = Draft(entry.domain, entry.owner, text.encode(), Path(f"{entry.domain}.ini"))

    async def _put(session: Session) -> str:
        change = put_one(session, draft, Terms(entry.serial))
        return told(draft.domain, await written(change, f"put {domain}", domain), session)

    try:
        checked(draft, options.run_dir, config, is_forced=force)
        click.echo(run(_put, options.access_file))
    except Failed as error:
        with tempfile.NamedTemporaryFile(
            "wb", prefix=f"{entry.domain}-", suffix=".ini", delete=False
        ) as file:
            file.write(draft.data)
        click.echo(f"emperorctl: your draft is {file.name}", err=True)
        raise error from error.__cause__
