"""``coremlbench completion``: the script that enables tab completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print the script that completes commands and options with the tab key.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: coremlbench completion bash >> ~/.bashrc
    zsh:  coremlbench completion zsh >> ~/.zshrc
    fish: coremlbench completion fish > ~/.config/fish/completions/coremlbench.fish
    """  # noqa: D301 - \b tells click to keep the lines
    completion_class = get_completion_class(shell)
    assert completion_class is not None  # click.Choice above allows shells that click supports only
    root = context.find_root()
    click.echo(completion_class(root.command, {}, "coremlbench", "_COREMLBENCH_COMPLETE").source())
