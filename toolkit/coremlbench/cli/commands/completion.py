"""``coremlbench completion``: the line that switches tab completion on."""

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
    """  # noqa: D301  \\b is click's mark for lines that are not to be joined
    kind = get_completion_class(shell)
    assert kind is not None  # the choice above names click's own
    root = context.find_root()
    click.echo(kind(root.command, {}, "coremlbench", "_COREMLBENCH_COMPLETE").source())
