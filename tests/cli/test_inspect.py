"""labsched inspect, and the look that submit takes."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Labsched
from tests.ephys.inspect.rows import flat_block, good
from tests.worlds import QUICK, world

SORT = '[sort]\nsource = "mat/{block}"\ntarget = "phy/{block}"\n'


def block(folder: Path) -> Path:
    data = good(6)
    data[2] = 0.0
    return flat_block(folder, data)


def test_without_a_daemon_it_names_them_draws_and_says_what_to_type(scratch: Path, labsched: Labsched) -> None:
    block(scratch / "mat/rat1/site1")
    (scratch / "lab.toml").write_text(SORT)
    ran = labsched("inspect", "rat1/site1", "--config", "lab.toml", "--omit", "Port_6")
    assert ran.code == 0, ran.err
    assert "Port_3  flat  constant" in ran.out
    assert ran.out.endswith("labsched submit rat1/site1 --omit Port_3,Port_6\n")
    assert (scratch / "phy/rat1/site1/site1.inspect.png").stat().st_size > 10_000


def test_json_is_one_value_with_the_command(scratch: Path, labsched: Labsched) -> None:
    block(scratch / "mat/b")
    (scratch / "lab.toml").write_text(SORT)
    ran = labsched("inspect", "b", "--config", "lab.toml", "--json", "--no-picture")
    seen = json.loads(ran.out)
    assert (seen["command"], seen["picture"]) == ("labsched submit b --omit Port_3", None)
    assert not (scratch / "phy").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nothere",), 4, "no block nothere"),
        (("b", "--omit", "Port_9"), 2, "Port_9"),
        (("b", "--probe", "nosuch"), 2, "nosuch"),
        (("empty",), 1, "is empty"),
        (("b", "--picture", "a.png", "--no-picture"), 2, "not both"),
        (("b", "--picture", "a.doc"), 1, "end its name in"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    words: tuple[str, ...], code: int, said: str, scratch: Path, labsched: Labsched
) -> None:
    block(scratch / "mat/b")
    (scratch / "mat/empty").mkdir()
    (scratch / "lab.toml").write_text(SORT)
    ran = labsched("inspect", *words, "--config", "lab.toml")
    assert (ran.code, said in ran.sentence) == (code, True), ran


def test_submit_warns_or_refuses_and_hands_the_setting_on(labsched: Labsched) -> None:
    with world(f"{QUICK}{SORT}") as it:
        block(it.folder / "mat/b")
        env = {"LABSCHED_SOCKET": str(it.folder / "s")}
        ran = labsched("submit", "b", "--bad-channels", "refuse", env=env)
        assert ran.code == 5
        assert "labsched submit b --omit Port_3" in ran.sentence
        assert not it.status().jobs
        ran = labsched("submit", "b", "--hold", env=env)
        assert ran.code == 0
        assert "warning: b: Port_3 is flat: constant" in ran.err
        (row,) = it.status().jobs
        argv = it.job(row.id).stages[0].argv
        assert argv[argv.index("--bad-channels") + 1] == "warn"
        (it.folder / "list.tsv").write_text("b\n")
        it.verb("cancel", row.id)
        ran = labsched("submit", "--from", str(it.folder / "list.tsv"), "--hold", "--bad-channels", "omit", env=env)
        assert (ran.code, ran.err) == (0, "")
        clean = np.asarray(good(6))
        flat_block(it.folder / "mat/c", clean)
        assert labsched("submit", "c", "--hold", env=env).err == ""
