"""What the pages say is what the program does."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import msgspec
import pytest

from labsched import config, errors
from labsched.cli.door import labsched
from labsched.cli.main import INTERRUPTED
from labsched.cli.wait import NOT_YET
from labsched.config import schema
from labsched.core.states import MOVES, OUTCOMES, Outcome
from labsched.ephys.probes.files import builtin
from labsched.ephys.readers.flat import KEYS
from labsched.recipes.command import Line
from labsched.wire import messages, requests
from labsched.wire.openapi import ROUTES, document
from tests.docs.pages import PAGES, ROOT, anchors, commands, fences, links, name, spans, table, tokens
from tests.docs.write_cli import MARK, PAGE, helps
from tests.docs.write_cli import commands as every_command

DOCS = ROOT / "docs"
FAILS = DOCS / "how-to/when-something-fails.md"
every_page = pytest.mark.parametrize("page", PAGES, ids=name)


def codes(cell: str) -> list[str]:
    """What stands in `code` in a cell."""
    return re.findall(r"`([^`]+)`", cell)


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{name(page)} links to {link}; {name(target)} has no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            linked = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
            ahead += [target for target in linked if target in PAGES]
    assert reached == set(PAGES)


@every_page
def test_every_command_line_has_verbs_and_options_that_exist(page: Path) -> None:
    for where, words in tokens(page):
        try:
            parse(labsched, words)
        except click.ClickException as error:
            pytest.fail(f"{where}: labsched {shlex.join(words)}: {error.format_message()}")


@every_page
def test_every_command_within_the_text_has_a_verb_and_options_that_exist(page: Path) -> None:
    for words in (found for found in spans(page) if found and found[0] not in ("VERB", "--help", "--version")):
        command: click.Command = labsched
        context = click.Context(labsched)
        rest = list(words)
        while isinstance(command, click.Group) and rest:
            found = command.get_command(context, rest.pop(0))
            assert found is not None, f"{name(page)}: labsched {shlex.join(words)}"
            command = found
        known = {option for param in command.params for option in param.opts} | {"--", "-h", "--help"}
        strange = {word for word in rest[: [*rest, "--"].index("--")] if word.startswith("-")} - known
        assert not strange, f"{name(page)}: labsched {shlex.join(words)}"


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Parse a command line as the program would, and run nothing; raises click's UsageError."""
    context = click.Context(command, parent, info_name=command.name, **command.context_settings)
    if isinstance(command, click.Group) and not set(words) & {"--help", "-h"}:
        rest = words
        while rest and rest[0] == "--socket":
            rest = rest[2:]
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        parse(found, rest, context)
    elif not set(words) & {"--help", "-h"}:
        command.parse_args(context, words)


def test_command_lines_are_found_wherever_they_stand_in_a_line() -> None:
    line = "A=1 labsched wait $(labsched add -q --from x) && sudo -u lab labsched pool set RAM 3 | head  # labsched no"
    assert list(commands(line)) == [["add", "-q", "--from", "x"], ["wait", "1"], ["pool", "set", "RAM", "3"]]
    assert list(commands("sh -c 'labsched status' > labsched")) == []


def test_the_pages_have_command_lines_of_every_verb() -> None:
    shown = {words[0] for page in PAGES for _, words in tokens(page) if words}
    assert not set(labsched.list_commands(click.Context(labsched))) - shown


@pytest.mark.parametrize(("section", "kind"), list(schema.sections().items()))
def test_the_configuration_page_has_every_key_and_its_default(section: str, kind: type[msgspec.Struct]) -> None:
    rows = table(DOCS / "reference/configuration.md", f"## `[{section}]`")
    known = msgspec.structs.asdict(kind())
    assert [codes(row[0])[0] for row in rows] == list(known)
    for key, _, default, _ in rows:
        said = {"none": None, "empty": {}}.get(default)
        if default not in ("none", "empty"):
            said = tomllib.loads(f"x = {codes(default)[0]}")["x"]
        assert said == known[codes(key)[0]], f"{key} is {known[codes(key)[0]]!r} by default"


def test_the_configuration_page_has_every_section() -> None:
    said = re.findall(r"^## `\[([\w.]+)\]`$", (DOCS / "reference/configuration.md").read_text(), re.MULTILINE)
    assert [section for section in said if "." not in section] == list(config.Config.__struct_fields__)


def test_the_examples_in_toml_are_valid() -> None:
    for page in PAGES:
        for fence in fences(page):
            if fence.language == "toml":
                tomllib.loads(fence.text)


def test_the_page_of_the_command_line_is_what_help_prints() -> None:
    _, mark, said = PAGE.read_text().partition(MARK)
    assert mark
    # other versions of click may break the lines elsewhere
    assert said.split() == helps().split(), "write it anew: python -m tests.docs.write_cli"


def test_the_page_of_the_command_line_says_which_verbs_have_json_and_quiet() -> None:
    rows = table(PAGE, "## What `-q` and `--json` print")
    shown = {verb: (quiet, json) for verbs, quiet, json in rows for verb in codes(verbs)}
    top = click.Context(labsched)
    for verb, (quiet, json) in shown.items():
        command: click.Command = labsched
        for word in verb.split():
            assert isinstance(command, click.Group)
            found = command.get_command(top, word)
            assert found is not None
            command = found
        options = {option for param in command.params for option in param.opts}
        assert ("-q" in options) == (not quiet.startswith("("))
        assert ("--json" in options) == bool(json)
        if json:
            assert hasattr(messages, codes(json)[0])
    verbs = {path.partition(" ")[2] for path, command, _ in every_command() if not isinstance(command, click.Group)}
    assert set(shown) == verbs


def test_the_table_of_exit_codes_is_the_programs() -> None:
    rows = table(FAILS, "## When a command of labsched fails")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    used = {0, NOT_YET, INTERRUPTED, *(kind.exit_code for kind in kinds)}
    assert [int(row[0]) for row in rows] == sorted(used)
    for text in (labsched.help or "", (ROOT / "README.md").read_text()):
        said = " ".join(text.split()).partition("Exit codes: ")[2].partition(".")[0]
        assert [int(part.split()[0]) for part in said.split(";")] == sorted(used)


def test_the_table_of_http_errors_is_the_programs() -> None:
    for statuses, _, code in table(DOCS / "reference/protocol.md", "## Errors"):
        for status in statuses.split(", "):
            assert errors.for_status(int(status), "").exit_code == int(code)


def test_the_protocol_page_has_every_field_of_every_message() -> None:
    page = DOCS / "reference/protocol.md"
    text = page.read_text()
    for kind in (requests.Verb, requests.Edit, requests.PoolSet, requests.Submit, requests.Prune, requests.NotifyAdd,
                 requests.NotifyPick, messages.Status,
                 messages.JobRow, messages.Pool, messages.Job, messages.Stage, messages.Attempt,
                 messages.Event):  # fmt: skip
        head = "## Bodies" if kind.__module__ == requests.__name__ else "## Answers"
        below = text.partition(f"\n{head}\n")[2].partition(f"\n`{kind.__name__}`\n")[2]
        rows = [line.split("|")[1] for line in below.partition("\n\n`")[0].splitlines() if line.startswith("| `")]
        assert sorted(field for row in rows for field in codes(row)) == sorted(kind.__struct_fields__), kind.__name__


def test_the_protocol_page_has_every_route() -> None:
    source = (ROOT / "labsched/daemon/api.py").read_text()
    gets, _, posts = source.partition("post: dict")
    route = re.compile(r'"([\w/{}.]+)": self\.')
    routes = {f"GET /v1/{what}" for what in route.findall(gets)} | {f"POST /v1/{what}" for what in route.findall(posts)}
    said = {codes(row[0])[0] for row in table(DOCS / "reference/protocol.md", "## Requests")}
    assert said == {route.replace("{verb}", "VERB").replace("{name}", "NAME") for route in routes}


def test_the_openapi_document_has_every_route_and_every_schema_that_it_names() -> None:
    source = (ROOT / "labsched/daemon/api.py").read_text()
    gets, _, posts = source.partition("post: dict")
    route = re.compile(r'"([\w/{}.]+)": self\.')
    routes = {("GET", what) for what in route.findall(gets)} | {("POST", what) for what in route.findall(posts)}
    assert {(route.method, route.path) for route in ROUTES} == routes
    made = document()
    named = set(re.findall(r"#/components/schemas/([\w.]+)", msgspec.json.encode(made).decode()))
    assert named <= set(made["components"]["schemas"])
    assert made["components"]["schemas"]["Verb"]["required"] == ["jobs"]


def test_the_openapi_document_has_every_parameter_of_the_protocol_page() -> None:
    said = {
        codes(row[0])[0]: set(re.findall(r"`(\w+)[=`]", row[1]))
        for row in table(DOCS / "reference/protocol.md", "## Requests")
    }
    for route in ROUTES:
        if route.method == "GET":
            assert set(route.query) == said[f"GET /v1/{route.path}"], route.path


def test_the_arrows_of_the_states_are_the_codes() -> None:
    rows = table(DOCS / "states.md", "## A stage")
    said = {row[0]: (row[1], row[2], {word.strip() for word in row[3].split(",")} - {""}) for row in rows}
    assert said == {
        move.value: (old.value, new.value, {str(outcome) for outcome in OUTCOMES.get(move, ())})
        for move, (old, new) in MOVES.items()
    }
    for function in (said for row in rows for said in codes(row[5])):
        module, _, verb = function.rpartition(".")
        source = ROOT / "labsched" / f"{module.replace('.', '/')}.py"
        assert verb in ("Began", "Ended", "Returned") or f"def {verb}(" in source.read_text()
    assert re.findall(r"^\| (\w+) \|", _outcomes(), re.MULTILINE)[1:] == [str(outcome) for outcome in Outcome]


def _outcomes() -> str:
    return (DOCS / "states.md").read_text().partition("\nOutcomes:\n\n")[2].partition("\n\n")[0]


def test_the_drawing_of_the_states_has_every_arrow() -> None:
    drawing = next(fences(DOCS / "states.md")).text
    assert sorted(re.findall(r"\b[a-z]\b", drawing)) == [move.value for move in MOVES]


def test_the_keys_of_a_line_of_jobs_are_the_codes() -> None:
    rows = table(DOCS / "how-to/queue-any-command.md", "## Many at once")
    assert sorted(codes(row[0])[0] for row in rows) == sorted(Line.__struct_fields__)


def test_the_examples_of_lines_of_jobs_are_understood() -> None:
    from labsched.recipes.command import read_jobs

    found = [fence for fence in fences(DOCS / "how-to/queue-any-command.md") if fence.language == "json"]
    assert [len(read_jobs(fence.text.split("\n"), "/")) for fence in found] == [3]


def test_the_keys_of_a_flat_files_toml_are_the_codes() -> None:
    rows = table(DOCS / "how-to/input-formats.md", "## Flat files")
    assert sorted(codes(row[0])[0] for row in rows) == sorted(KEYS)


@pytest.mark.parametrize("page", ["docs/how-to/describe-a-rig.md", "examples/probes/README.md"])
def test_the_built_in_probes_are_listed(page: str) -> None:
    text = (ROOT / page).read_text()
    listed = [word for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for word in codes(row)]
    assert sorted(set(listed) & set(builtin())) == sorted(builtin())
    assert not {word for word in listed if re.match(r"(linear|poly|buz|tetrode|qtrode)", word)} - set(builtin())


def test_decisions_are_numbered_and_have_four_parts() -> None:
    pages = sorted((DOCS / "decisions").glob("0*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for page in pages:
        heads = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
        assert heads == ["Context", "Decision", "What was tried", "Consequences"], name(page)
        assert page.read_text().startswith(f"# {page.name[:4]} ")


def test_what_the_code_says_of_the_pages_is_there() -> None:
    for source in sorted((ROOT / "labsched").rglob("*.py")):
        for said in re.findall(r"docs/[\w/.-]*\w\.md", source.read_text()):
            assert (ROOT / said).exists(), f"{name(source)} names {said}"


def test_the_changelog_is_in_the_form_that_it_names() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", head) for head in heads[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds
