"""The configuration: what is wrong in it is told with file, line, section, key, and what to do."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from labsched.config import Config, load, read
from labsched.config.places import find
from labsched.config.sample import dotted, sample, settings, toml
from labsched.config.schema import keys, sections
from labsched.errors import BadRequest

EXAMPLE = Path(__file__).parent.parent / "examples" / "config.toml"


def refused(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadRequest) as caught:
        load(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    return sentence.replace(str(path), "FILE")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\n[sotr]\n", "the configuration FILE, line 2: there is no section sotr; did you mean sort?"),
        (
            "x = 1",
            "the configuration FILE, line 1: there is no section x; known are daemon, limits, pools, prune, notify, "
            "sort",
        ),
        (
            "[daemon]\n[sort]\n# sorce\nsorce = 'x'\n",
            "the configuration FILE, line 4, [sort]: there is no key sorce; did you mean source?",
        ),
        (
            "sort.sorce = 'x'\n",
            "the configuration FILE, line 1, [sort]: there is no key sorce; did you mean source?",
        ),
        (
            "[sort]\nseed = 'one'",
            'the configuration FILE, line 2, [sort]: seed must be a whole number, not "one"',
        ),
        ("[sort]\nprobe = 3", "the configuration FILE, line 2, [sort]: probe must be text in quotes, not 3"),
        (
            "[daemon]\n\nshared_account = 'yes'",
            'the configuration FILE, line 3, [daemon]: shared_account must be true or false, not "yes"',
        ),
        (
            "[daemon]\nsocket_mode = 0o660",
            'the configuration FILE, line 2, [daemon]: socket_mode must be text in quotes, such as "0660", not 432',
        ),
        (
            "[daemon]\nsocket_mode = 'rw'",
            "the configuration FILE, line 2, [daemon]: 'rw' is not a mode such as \"0660\"",
        ),
        (
            "[daemon]\nstop_grace = -1",
            "the configuration FILE, line 2, [daemon]: stop_grace must be 0 to 3600 seconds",
        ),
        (
            "[daemon]\nstop_grace = nan",
            "the configuration FILE, line 2, [daemon]: stop_grace must be 0 to 3600 seconds",
        ),
        ("[daemon]\nnice = -3", "the configuration FILE, line 2, [daemon]: nice must be a whole number >= 0, not -3"),
        ("daemon = 3", "the configuration FILE, line 1: daemon must be a table, not 3"),
        ("[pools]\nRAM = 2\nCPU = '8'", 'the configuration FILE, line 3, [pools]: CPU must be a whole number, not "8"'),
        ("[pools]\nCPU = 1.5", "the configuration FILE, line 2, [pools]: CPU must be a whole number, not 1.5"),
        ("[pools]\nCPU = true", "the configuration FILE, line 2, [pools]: CPU must be a whole number, not true"),
        ("[pools]\nCPU = -1", "the configuration FILE, line 2, [pools]: CPU = -1 must be 0 to 1000000 slots"),
        (
            '[pools]\n"a/b" = 1',
            "the configuration FILE, line 2, [pools]: 'a/b' is not a pool's name: "
            "it is a letter, then letters, digits and . _ -",
        ),
        (
            "[sort]\nklusta_needs = { CPU = 0 }",
            "the configuration FILE, line 2, [sort]: CPU = 0 must be 1 to 1000000 slots",
        ),
        (
            "[sort]\ntarget = '/data/sorted'",
            "the configuration FILE, line 2, [sort]: target must have {block} in it: "
            "without, all blocks would be in one place",
        ),
        (
            "[sort]\nsource = 'x/{blok}'",
            "the configuration FILE, line 2, [sort]: source knows {block} and {name}, and nothing called {blok}",
        ),
        (
            "[sort]\nreference = 'best'",
            "the configuration FILE, line 2, [sort]: there is no reference 'best'; "
            "known are ridge, war, car, whiten, none",
        ),
        (
            "[sort]\nformat = 'mat'",
            "the configuration FILE, line 2, [sort]: there is no format 'mat'; known are kwd, dat",
        ),
        ("[sort]\ndenoise_threads = 0", "the configuration FILE, line 2, [sort]: denoise_threads must be 1 or more"),
        (
            "[sort]\nklusta_time_limit = -5.0",
            "the configuration FILE, line 2, [sort]: klusta_time_limit must be a number of seconds; "
            "leave it out for none",
        ),
        (
            "[sort]\nklusta_memory = 'much'",
            'the configuration FILE, line 2, [sort]: klusta_memory = "much" is not a size such as "500M" or '
            '"12G", of 1 MB or more',
        ),
        (
            "[sort]\ndenoise_memory = 16",
            'the configuration FILE, line 2, [sort]: denoise_memory must be text in quotes, such as "12G", not 16',
        ),
        ("[sort\n", "the configuration FILE is not valid TOML: Expected ']'"),
        ("a = 1\na = 2\n", "the configuration FILE is not valid TOML: Cannot overwrite a value (at line 2, column 6)"),
        (b"[sort]\nprobe = '\xff'", "the configuration FILE is not UTF-8 text"),
        ("a = " + "[" * 5_000, "the configuration FILE is not valid TOML: maximum recursion depth"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_what_to_do(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    said = refused(tmp_path / "c.toml", text)
    assert said.startswith(sentence), said
    assert "\n" not in said


@hypothesis_settings(deadline=None)  # the machine may have other things to do
@given(text=st.text(st.sampled_from("[]{}=.\"'#\n 01aξ,sortpools"), max_size=40))
def test_no_text_is_anything_but_a_configuration_or_a_sentence(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text)
    try:
        assert isinstance(load(path), Config)
    except BadRequest as error:
        assert str(path) in str(error)


values = st.one_of(st.integers(), st.floats(), st.booleans(), st.text("a/{}", max_size=5))


@hypothesis_settings(deadline=None)  # the machine may have other things to do
@given(section=st.sampled_from(["daemon", "prune", "sort"]), data=st.data(), value=values)
def test_no_value_of_any_key_is_more_than_a_sentence(
    section: str, data: st.DataObject, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    key = data.draw(st.sampled_from(type(getattr(Config(), section)).__struct_fields__))
    path = tmp_path_factory.getbasetemp() / "value.toml"
    path.write_text(f"[{section}]\n{key} = {str(value).lower() if not isinstance(value, str) else repr(value)}\n")
    try:
        load(path)
    except BadRequest as error:
        assert f"{path}, line 2, [{section}]: " in str(error), error


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for path, why in [(tmp_path / "gone.toml", "No such file"), (tmp_path, "Is a directory")]:
        with pytest.raises(BadRequest, match=f"cannot read the configuration {path}: {why}"):
            load(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_file_that_is_not_for_us_is_named() -> None:
    script = (
        "import os, tempfile; from pathlib import Path; from labsched.config import load\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    path = Path(folder) / 'c.toml'; path.touch(0o600); os.chmod(folder, 0o755); os.seteuid(65534)\n"
        "    try: load(path)\n"
        "    except Exception as error: print(error)\n"
        "    os.seteuid(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert "Permission denied" in done.stdout, done.stderr


def test_the_example_is_what_the_schema_says() -> None:
    assert EXAMPLE.read_text() == sample(), "write it anew: labsched config sample > examples/config.toml"


def test_the_sample_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(sample())
    (tmp_path / "empty.toml").touch()
    assert load(tmp_path / "c.toml") == load(tmp_path / "empty.toml")


def test_every_line_of_the_sample_that_is_commented_out_is_right_and_none_is_missing(tmp_path: Path) -> None:
    lines = sample().splitlines()
    (tmp_path / "c.toml").write_text("\n".join(re.sub(r"^#(?! )", "", line) for line in lines))
    found = read(tmp_path / "c.toml")
    assert found.mistakes == ()
    given = {setting.key for setting in settings(found, tmp_path) if setting.origin != "default"}
    every = {f"{section}.{key.name}" for section in sections() for key in keys(section)} - {"sort.klusta"}
    assert every | {'sort.klusta."spikedetekt.threshold_strong_std_factor"', "pools.RAM"} <= given
    for section in sections():
        for key in keys(section):
            text = f"#{key.name} = {toml(key.default)}\n"
            assert key.default in (None, {}) or text in sample(), f"{key.name} stands there with another value"


def test_every_key_is_explained_and_shown() -> None:
    for section in sections():
        for key in keys(section):
            assert len(key.text) > 10, f"{section}.{key.name} is not explained"
            assert key.default is not None or key.example is not None, f"{section}.{key.name} has no example"


def test_all_mistakes_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
[pools]
CPU = "many"
GPU = -1
"no name" = 1
[daemon]
nise = 3
nice = 99
stop_grace = [
  1,
]
[sort]
target = "/data"
klusta_needs = { CPU = 0 }
[sort.klusta]
"any.thing" = 1
[mail]
to = "me"
"""
    (tmp_path / "c.toml").write_text(text)
    told = [sentence.partition(", line ")[2] for sentence in read(tmp_path / "c.toml").mistakes]
    assert [sentence.partition(": ")[0] for sentence in told] == [
        "2, [pools]",
        "3, [pools]",
        "4, [pools]",
        "6, [daemon]",
        "7, [daemon]",
        "8, [daemon]",
        "12, [sort]",
        "13, [sort]",
        "16",
    ]


def test_the_origin_of_a_key_is_the_line_where_it_begins(tmp_path: Path) -> None:
    text = """\
# a comment
prune.keep = 7  # dotted
sort = { source = "a/{block}", klusta = { "a.b" = 1 } }
[ "pools" ]
CPU = 3
"R-1" = 0
[daemon]
socket_group = '''
[nice]
nice = 3'''
nice = 4
"""
    file = tmp_path / "c.toml"
    file.write_text(text)
    found = {setting.key: setting.origin.rpartition(":")[2] for setting in settings(read(file), file)}
    assert {key: line for key, line in found.items() if line != "default"} == {
        "prune.keep": "2",
        "sort.source": "3",
        'sort.klusta."a.b"': "3",
        "pools.CPU": "5",
        "pools.R-1": "6",
        "daemon.socket_group": "8",
        "daemon.nice": "11",
    }


keys_of_toml = st.text(st.sampled_from("ab-. \"'#[=ξ"), min_size=1, max_size=4)
values_of_toml = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.text(st.sampled_from("a\"\\\n[]=#'"), max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys_of_toml, inner, max_size=3)),
    max_leaves=6,
)


@hypothesis_settings(deadline=None)  # the machine may have other things to do
@given(data=st.dictionaries(keys_of_toml, values_of_toml, max_size=5))
def test_every_key_of_a_file_is_found_in_the_line_where_it_stands(data: dict[str, object]) -> None:
    lines, expected = [], {}
    for key, value in data.items():
        if isinstance(value, list):  # over several lines
            expected[(key,)] = len(lines) + 2
            lines += ["# [x]", f"{dotted(key)} = [", *(f"  {toml(one)}," for one in value), "]"]
        elif not isinstance(value, dict):
            expected[(key,)] = len(lines) + 1
            lines.append(f"{dotted(key)} = {toml(value)}")
    for key, value in data.items():
        if isinstance(value, dict):
            expected[(key,)] = len(lines) + 1
            lines.append(f"[{dotted(key)}]")
            for name, one in value.items():
                expected[(key, name)] = len(lines) + 1
                lines.append(f"{dotted(name)} = {toml(one)}")
    text = "\n".join(lines)
    assert tomllib.loads(text) == data
    found = find(text)
    assert {place: line for place, line in found.items() if place in expected} == expected


def test_files_of_other_systems_load(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes("\ufeff[pools]\r\nCPU = 3\r\n[sort]\r\nsource = 'µ/{block}'\r\n".encode())
    loaded = load(tmp_path / "c.toml")
    assert loaded.pools == {"CPU": 3}
    assert loaded.sort.source == str(tmp_path / "µ/{block}")


def test_a_tilde_is_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    file = tmp_path / "config.toml"
    file.write_text('[sort]\nsource = "~/mat/{block}"\nprobe = "~/rig.toml"\n')
    sort = load(file).sort
    assert (sort.source, sort.probe) == (f"{tmp_path}/me/mat/{{block}}", f"{tmp_path}/me/rig.toml")


def test_relative_paths_start_at_the_file_and_names_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "rig.toml").touch()
    path = tmp_path / "lab" / "c.toml"
    monkeypatch.chdir(tmp_path)
    for probe, meant in [
        ("rig.toml", str(tmp_path / "lab/rig.toml")),
        ("rigs/a.toml", str(tmp_path / "lab/rigs/a.toml")),
        ("/abs/rig.toml", "/abs/rig.toml"),
        ("buzsaki32", "buzsaki32"),
    ]:
        path.write_text(f"[sort]\nprobe = '{probe}'\ntarget = '/abs/{{name}}'\n")
        loaded = load(Path("lab/c.toml")).sort
        assert (loaded.probe, loaded.target) == (meant, "/abs/{name}")
        assert loaded.source == str(tmp_path / "lab/data/mat/{block}")
    assert load(None).sort.source == str(tmp_path / "data/mat/{block}")
