"""labsched completion: what a shell needs to complete verbs, options, jobs, pools and blocks."""

import click

from labsched.cli.context import socket_option

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
@socket_option
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Example:
      echo 'eval "$(labsched completion bash)"' >> ~/.bashrc
      echo 'eval "$(labsched completion zsh)"' >> ~/.zshrc
      labsched completion fish > ~/.config/fish/completions/labsched.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from labsched.cli.door import COMPLETE

    kind = get_completion_class(shell)
    assert kind is not None
    # Not the shell's own source(): bash's would run bash to look at its version.
    click.echo(ShellComplete.source(kind(click.Group("labsched"), {}, "labsched", COMPLETE)).rstrip("\n"))
