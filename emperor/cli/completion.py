"""`emperorctl completion`: the script with which a shell completes commands and domains."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash  eval "$(emperorctl completion bash)"                in ~/.bashrc
    zsh   eval "$(emperorctl completion zsh)"                 in ~/.zshrc
    fish  emperorctl completion fish > ~/.config/fish/completions/emperorctl.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    group = context.find_root().command
    click.echo(kind(group, {}, "emperorctl", "_EMPERORCTL_COMPLETE").source())
