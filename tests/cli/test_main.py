import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsched import __version__
from labsched.cli.verbs import VERBS
from tests.cli.canned import answering
from tests.cli.conftest import Labsched, environment
from tests.cli.samples import STATUS
from tests.worlds import World, command, world

#: None of these may be loaded by what people type all day: each costs milliseconds, some of them hundreds.
HEAVY = {
    *("sqlalchemy", "alembic", "aiohttp", "asyncio", "numpy", "h5py", "scipy", "psutil", "jinja2"),
    *(
        "argparse",
        "email",
        "http",
        "importlib.metadata",
        "json",
        "logging",
        "pathlib",
        "shutil",
        "signal",
        "subprocess",
    ),
    *("tempfile", "tomllib", "urllib.parse", "zoneinfo"),
    *("labsched.config", "labsched.daemon", "labsched.engines", "labsched.ephys", "labsched.store"),
    *("labsched.core.model", "labsched.core.plan"),
}
#: Nor these, where there is nothing to queue.
FOR_A_SUBMIT = {"dataclasses", "labsched.core.spec", "labsched.recipes", "labsched.wire.requests"}


@pytest.fixture(scope="module")
def lab() -> Iterator[World]:
    with world() as it:
        it.wait(*it.submit(command("echo", "hello")))
        yield it


@pytest.mark.parametrize("verb", ["status", "logs", "history", "pools", "add", "submit"])
def test_what_people_type_all_day_loads_nothing_heavy_and_no_other_verb(verb: str, lab: World) -> None:
    words = {"logs": ["1"], "add": ["--hold", "--", "true"], "submit": ["block", "--no-check", "--hold"]}.get(verb, [])
    code = (
        "import sys; from labsched.cli.door import main; code = main(sys.argv[1:]); "
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    env = {**environment(lab.folder), "LABSCHED_SOCKET": f"{lab.folder}/s"}
    done = subprocess.run([sys.executable, "-c", code, verb, *words], env=env, capture_output=True, text=True)
    code_, *modules = done.stderr.split()
    assert code_ == "0", done.stderr
    assert f"labsched.cli.{verb}" in modules
    unwanted = HEAVY if verb in ("add", "submit") else HEAVY | FOR_A_SUBMIT
    assert not {name for name in modules if name in unwanted or name.startswith(tuple(f"{one}." for one in unwanted))}
    others = {f"labsched.cli.{name}" for name in [*VERBS, "watching"]} - {f"labsched.cli.{verb}"}
    assert not others & set(modules)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("statsu",), 2, "did you mean status?"),
        (("frobnicate",), 2, "labsched --help"),
        (("status", "--wtach"), 2, "--wtach"),
        (("show",), 2, "missing argument"),
        (("show", "1", "2"), 2, "unexpected extra argument"),
        (("logs", "1", "-n", "x"), 2, "not a whole number"),
        (("logs", "1", "-n", "-1"), 2, "-1 is not from 0"),
        (("history", "-n", "0"), 2, "0 is not from 1"),
        (("wait", "1", "--timeout", "soon"), 2, "is not a time"),
        (("pool", "set", "RAM", "-1"), 2, "is not from 0"),
        (("pool", "set", "RAM", "many"), 2, "not a whole number"),
        (("pool", "pause", "a/b"), 2, "not a pool's name"),
        (("add",), 2, "give one after --"),
        (("add", "--", "no-such-program-at-all"), 2, "no command 'no-such-program-at-all'"),
        (("add", "--", "./gone"), 2, "there is no program"),
        (("add", "--", "/"), 2, "not a program that you may run"),
        (("add", "--need", "CPU=many", "--", "true"), 2, "is not a need"),
        (("add", "--name", "last", "--", "true"), 2, "cannot be named last"),
        (("add", "--time", "0", "--", "true"), 2, "makes no sense"),
        (("add", "--from", "gone.jsonl"), 2, "cannot read gone.jsonl"),
        (("add", "--from", "-", "--", "true"), 2, "the file says it all"),
        (("add", "--from", "-"), 2, "names nothing to queue"),
        (("submit",), 2, "name a block"),
        (("submit", "../etc"), 2, "is not a block's name"),
        (("submit", "a;rm -rf b"), 2, "is not a block's name"),
        (("submit", "$(x)"), 2, "is not a block's name"),
        (("submit", "a", "a"), 2, "named twice"),
        (("submit", "a", "b", "--target", "/t"), 2, "{block}"),
        (("submit", "a", "--from", "-"), 2, "not both"),
        (("submit", "a", "--reference", "best"), 2, "--reference"),
        (("progress", "1.5"), 2, "how far"),
        (("progress", "0.5"), 2, "not a stage"),
        (("completion", "tcsh"), 2, "'tcsh'"),
        (("run", "../x"), 2, "is not a block's name"),
        (("run", "x", "--config", "gone.toml"), 2, "cannot read the configuration"),
        (("run", "x"), 4, "there is no block x"),
        *[((verb, "1"), 3, "no daemon") for verb in ("show", "logs", "wait", "cancel", "hold", "release", "retry")],
        *[((verb,), 3, "no daemon") for verb in ("status", "history", "pools")],
        (("status", "-w"), 3, "no daemon"),
        (("submit", "a"), 3, "no daemon"),
        (("add", "--", "true"), 3, "no daemon"),
        (("pool", "set", "RAM", "3"), 3, "no daemon"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence_and_with_its_code(
    words: tuple[str, ...], code: int, said: str, labsched: Labsched
) -> None:
    ran = labsched(*words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.sentence


def test_what_the_daemon_does_not_know_is_not_found(scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "socket", {}):
        ran = labsched("show", "99")
    assert (ran.code, ran.sentence) == (4, "there is no such thing here")


def test_an_answer_of_another_kind_is_a_sentence(scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "socket", {"status": b'{"hello": 1}', "pools": b"<html>"}):
        for verb in ("status", "pools"):
            ran = labsched(verb)
            assert (ran.code, "makes no sense" in ran.sentence) == (1, True)


def test_a_socket_that_nobody_listens_on_and_one_that_is_none(scratch: Path, labsched: Labsched) -> None:
    (scratch / "file").touch()
    assert labsched("status", "--socket", str(scratch / "file")).code == 3
    assert labsched("status", "--socket", "x" * 200).code == 3


def test_the_socket_may_be_named_before_or_after_the_verb(scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "other", {"status": STATUS}):
        other = str(scratch / "other")
        assert labsched("--socket", other, "status").code == labsched("status", "--socket", other).code == 0
        assert labsched("status", env={"LABSCHED_SOCKET": other}).code == 0
        assert labsched("--socket", str(scratch / "gone"), "status", "--socket", other).code == 0


@pytest.mark.skipif(os.getuid() == 0, reason="root may use every socket")
def test_a_socket_that_one_may_not_use_is_refused(scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "socket", {"status": STATUS}):
        (scratch / "socket").chmod(0)
        ran = labsched("status")
    assert (ran.code, "group" in ran.sentence) == (5, True)


def test_a_reader_that_goes_away_is_no_error(scratch: Path) -> None:
    with answering(scratch / "socket", {"status": STATUS}):
        reader, writer = os.pipe()
        os.close(reader)
        words = [sys.executable, "-m", "labsched", "status"]
        done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, env=environment(scratch))
        os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_full_disk_behind_stdout_is_a_sentence(scratch: Path) -> None:
    with answering(scratch / "socket", {"status": STATUS}), Path("/dev/full").open("wb") as full:
        words = [sys.executable, "-m", "labsched", "status"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, env=environment(scratch))
    assert (done.returncode, done.stderr) == (1, b"error: cannot write the output: No space left on device\n")


def test_a_locale_without_our_marks_still_shows_the_table(scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "socket", {"status": STATUS}):
        ran = labsched("status", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert ran.code == 0
    assert "?denoise" in ran.out


@pytest.mark.parametrize(
    "words",
    [
        *[("show", "\udcff"), ("cancel", "1", "--reason", "\udcff"), ("retry", "1", "--from", "\udcff")],
        *[("history", "--name", "\udcff"), ("logs", "1", "--stage", "\udcff"), ("pool", "pause", "\udcff")],
        *[
            ("submit", "\udcff"),
            ("add", "--", "true", "\udcff"),
            ("add", "--name", "\udcff", "--", "true"),
            ("\udcff",),
        ],
    ],
)
def test_bytes_that_are_not_text_are_wrong_usage(words: tuple[str, ...], scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "socket", {}):
        ran = labsched(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.sentence


def test_the_version(labsched: Labsched) -> None:
    assert labsched("--version").out == f"labsched {__version__}\n"


def test_bad_lines_of_a_file_are_all_named_and_nothing_is_sent(scratch: Path, labsched: Labsched) -> None:
    (scratch / "blocks.tsv").write_text("good/one\tPort_1\n\n# no\n../bad\tPort_2\ngood/two\tA\tB\n")
    with answering(scratch / "socket", {}) as asked:
        ran = labsched("submit", "--from", "blocks.tsv")
    assert (ran.code, asked) == (2, [])
    assert "blocks.tsv, line 4: " in ran.err and "blocks.tsv, line 5: " in ran.err
    assert "nothing was queued" in ran.sentence


def test_one_bad_line_is_named_in_the_last_line(labsched: Labsched) -> None:
    ran = labsched("add", "--from", "-", stdin=b'{"argv": ["true"]}\n{"argv": ["true"], "nmae": "x"}\n')
    assert ran.code == 2
    assert ran.sentence.startswith("-, line 2: ") and ran.sentence.endswith("nothing was queued")


def test_a_file_that_is_not_text_is_named_with_the_line(labsched: Labsched) -> None:
    ran = labsched("submit", "--from", "-", stdin=b"good\tA\nbad\xff\tB\n")
    assert (ran.code, "line 2" in ran.sentence) == (2, True)


def test_a_command_of_a_file_that_cannot_be_run_is_named_with_its_line(labsched: Labsched) -> None:
    ran = labsched("add", "--from", "-", stdin=b'{"argv": ["true"]}\n{"argv": ["no-such-program"]}\n')
    assert (ran.code, "line 2: there is no command 'no-such-program'" in ran.sentence) == (2, True)
