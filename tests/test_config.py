"""The configuration: what is wrong in it is told with file, line, section, key, and what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.config import Config, load
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
        ("x = 1", "the configuration FILE, line 1: there is no section x; known are daemon, pools, sort"),
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
            "the configuration FILE, line 2, [sort]: there is no reference 'best'; known are none, car, war",
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


@given(section=st.sampled_from(["daemon", "sort"]), data=st.data(), value=values)
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


def test_the_example_says_what_holds_without_it(tmp_path: Path) -> None:
    example = load(EXAMPLE)
    assert example.daemon == Config().daemon
    assert example.pools == {"RAM": 2}
    (tmp_path / "empty.toml").write_text("")
    without = load(tmp_path / "empty.toml").sort
    assert example.sort.source == str(EXAMPLE.parent / "data/mat/{block}")
    assert without.source == str(tmp_path / "data/mat/{block}")
    for name in set(type(without).__struct_fields__) - {"source", "target"}:
        assert getattr(example.sort, name) == getattr(without, name)


def test_every_line_of_the_example_that_is_commented_out_is_right_too(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text().splitlines()[2:]
    (tmp_path / "c.toml").write_text("\n".join(line.removeprefix("# ") for line in lines))
    loaded = load(tmp_path / "c.toml")
    assert loaded.pools == {"RAM": 2, "CPU": 8, "GPU": 1, "LICENSE": 3}
    assert loaded.sort.klusta == {"spikedetekt.threshold_strong_std_factor": 4.5}
    assert loaded.sort.klusta_time_limit == 864_000


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
