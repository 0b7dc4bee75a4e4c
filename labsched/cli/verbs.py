"""The table of verbs, and the click group that imports one only when it is run."""

import importlib
from typing import Any

import click

#: Section -> verb -> (module:function, what `labsched --help` says). No verb's module is imported for the overview.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Queue something": {
        "submit": ("labsched.cli.submit:submit", "Queue blocks: de-noise, then sort."),
        "add": ("labsched.cli.add:add", "Queue any command."),
    },
    "Look": {
        "inspect": ("labsched.cli.inspect:inspect", "Name the bad channels of a block, and draw it."),
        "status": ("labsched.cli.status:status", "Show what runs, what waits and why, and what failed."),
        "show": ("labsched.cli.show:show", "Show all about one job."),
        "report": ("labsched.cli.report:report", "Open the report on a sorted block."),
        "logs": ("labsched.cli.logs:logs", "Print what a job's stages print."),
        "events": ("labsched.cli.events:events", "Print what changes, as it changes."),
        "history": ("labsched.cli.history:history", "List the jobs that have ended."),
        "usage": ("labsched.cli.usage:usage", "Show who used what, by month."),
        "pools": ("labsched.cli.pools:pools", "Show the pools and what is used of them."),
        "open": ("labsched.cli.open:open_", "Look at a sorted block in phy."),
        "export": ("labsched.cli.export:export", "Write a sorted block for phy, NWB or SpikeInterface."),
        "wait": ("labsched.cli.wait:wait", "Wait until jobs have ended; the exit code says how."),
    },
    "Change": {
        "cancel": ("labsched.cli.change:cancel", "End jobs, running or waiting."),
        "hold": ("labsched.cli.change:hold", "Keep waiting jobs from starting."),
        "release": ("labsched.cli.change:release", "Let held jobs start."),
        "retry": ("labsched.cli.change:retry", "Run again what did not succeed."),
        "edit": ("labsched.cli.edit:edit", "Change a job's priority, needs, limits or time."),
        "pool": ("labsched.cli.pools:pool", "Change a pool: set, pause, resume."),
    },
    "Around it": {
        "notify": ("labsched.cli.notify:notify", "Be told what happens: by mail, chat, or a command of yours."),
        "daemon": ("labsched.cli.daemon:daemon", "Run the daemon, in the foreground."),
        "sorter": ("labsched.cli.sorter:sorter", "List the sorters beside klusta; install one."),
        "config": ("labsched.cli.config:config", "Check or show the configuration; have it read again."),
        "doctor": ("labsched.cli.doctor:doctor", "Check the installation, and say what to do."),
        "backup": ("labsched.cli.backup:backup", "Copy the queue, while it is in use."),
        "restore": ("labsched.cli.restore:restore", "Go back to a backup of the queue."),
        "prune": ("labsched.cli.prune:prune", "Remove old jobs, with their logs."),
        "run": ("labsched.cli.run:run", "De-noise and sort one block here and now, without a daemon."),
        "metrics": ("labsched.cli.metrics:metrics", "Print figures for Prometheus."),
        "progress": ("labsched.cli.progress:progress", "Tell from inside a stage how far it is."),
        "completion": ("labsched.cli.completion:completion", "Print the completion script of a shell."),
    },
}

VERBS: dict[str, tuple[str, str]] = {verb: entry for verbs in SECTIONS.values() for verb, entry in verbs.items()}


class Group(click.Group):
    """A group that says what there is where no command is named, and that this is wrong usage."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit(2)
        return super().parse_args(ctx, args)


class Lazy(Group):
    """A group whose commands are the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, function = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), function)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, VERBS, n=1)
            hint = f"did you mean {near[0]}?" if near else "labsched --help lists what there is"
            ctx.fail(f"there is no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(f"{verb:<10}", words) for verb, (_, words) in verbs.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem

        return [CompletionItem(verb, help=VERBS[verb][1]) for verb in VERBS if verb.startswith(incomplete)]
