import importlib
import re

import click
import pytest

from labsched.cli.door import labsched
from labsched.cli.verbs import VERBS
from tests.cli.conftest import Labsched

EVERY = [*VERBS, "pool set", "pool pause", "pool resume"]


def load(verb: str) -> click.Command:
    module, _, function = VERBS[verb][0].partition(":")
    command = getattr(importlib.import_module(module), function)
    assert isinstance(command, click.Command)
    return command


def help_of(verb: str) -> str:
    first, *rest = verb.split()
    command = load(first)
    # As the group has it: click keeps the help option that it makes first.
    context = click.Context(command, info_name=f"labsched {first}", **labsched.context_settings)
    for word in rest:
        assert isinstance(command, click.Group)
        command = command.commands[word]
        context = click.Context(command, context, info_name=word)
    return command.get_help(context)


@pytest.mark.parametrize("verb", EVERY)
def test_every_verb_has_help_with_an_example_of_itself(verb: str) -> None:
    text = help_of(verb)
    assert "--socket" in text
    assert re.search(rf"Example:\n(    .*\n)*? .*labsched {verb}", text), text


@pytest.mark.parametrize("verb", EVERY)
def test_every_option_says_what_it_does(verb: str) -> None:
    first, *rest = verb.split()
    command = load(first)
    for word in rest:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    silent = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert not silent


@pytest.mark.parametrize("verb", EVERY)
def test_help_says_what_a_job_and_a_block_are(verb: str) -> None:
    text = help_of(verb)
    for word, meaning in (("JOB", "JOB is a job's number"), ("BLOCK", "BLOCK is a block's name")):
        if re.search(rf"\[OPTIONS\].* {word}\b", text):
            assert meaning in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_reads_or_queues_has_json_and_quiet(verb: str) -> None:
    options = {name for p in load(verb).params for name in p.opts}
    wanted = verb in ("status", "show", "history", "pools", "wait", "doctor", "submit", "add")
    assert {"--json", "--quiet", "-q"} <= options or not wanted


def test_the_overview_lists_every_verb_and_imports_none() -> None:
    context = click.Context(labsched, info_name="labsched", **labsched.context_settings)
    text = labsched.get_help(context)
    assert all(f"\n  {verb} " in text and words in text for verb, (_, words) in VERBS.items())


def test_help_is_printed_with_exit_code_0_and_no_words_are_wrong_usage(labsched: Labsched) -> None:
    assert labsched("--help").code == labsched("pool", "set", "--help").code == labsched("-h").code == 0
    for words in ((), ("pool",)):
        ran = labsched(*words)
        assert (ran.code, ran.out[:6]) == (2, "Usage:")
