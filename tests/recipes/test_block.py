"""A block as a job, and the lab's file of blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.core.model import Retry
from labsched.errors import BadRequest
from labsched.recipes.block import BlockRequest, check_name, expand, parse_omit, read_table

SETTINGS = {
    "source": "/data/mat/{block}",
    "target": "/data/phy/{block}",
    "probe": "rig.toml",
    "reference": "war",
    "format": "kwd",
    "seed": 1,
    "denoise_needs": {"RAM": 1},
    "klusta_needs": {"CPU": 3},
    "klusta_up_to": {"CPU": 8},
    "denoise_threads": 2,
    "denoise_memory": None,
    "klusta_memory": "12G",
    "denoise_time_limit": None,
    "klusta_time_limit": 60.0,
    "denoise_retry": 2,
    "klusta_retry": 0,
    "klusta": {"spikedetekt.filter_low": 300},
}


def words(block: str, **more: object) -> list[tuple[str, ...]]:
    request = BlockRequest(block=block, **more)  # type: ignore[arg-type]
    return [stage.argv for stage in expand(request, SETTINGS, "/usr/bin/python3", {}).job.stages]


def after(option: str, argv: tuple[str, ...]) -> str:
    return argv[argv.index(option) + 1]


def test_a_block_becomes_two_stages_with_its_folders_and_slots():
    denoise, klusta = words("rat12/2024-03-10", omit=("Port_2", "Port_3"))
    assert after("--source", denoise) == "/data/mat/rat12/2024-03-10"
    assert after("--target", denoise) == after("--target", klusta) == "/data/phy/rat12/2024-03-10"
    assert after("--name", denoise) == after("--name", klusta) == "2024-03-10"
    assert after("--omit", denoise) == "Port_2,Port_3"
    assert after("--threads", klusta) == "granted"
    assert "--overwrite" not in klusta
    assert "--overwrite" in words("b", again=True)[1]


def test_what_was_killed_is_tried_again_where_the_configuration_says_so():
    denoise, klusta = expand(BlockRequest(block="b"), SETTINGS, "/usr/bin/python3", {}).job.stages
    assert denoise.retry == Retry(2, codes=(137, 143))
    assert klusta.retry is None
    assert (denoise.memory, klusta.memory) == (None, 12_000_000_000)


def test_what_a_person_says_goes_before_the_configuration():
    denoise, _ = words("b", probe="tetrode4", reference="car", source="/elsewhere/{name}", target="/out")
    assert after("--probe", denoise) == "tetrode4"
    assert after("--reference", denoise) == "car"
    assert after("--source", denoise) == "/elsewhere/b"
    assert after("--target", denoise) == "/out"


@pytest.mark.parametrize(
    "block",
    ["", "..", "../b", "a/../b", "/etc/b", "b/", "a//b", ".hidden", "-rf", "a/-b", " b", "b ", "b;ls", "$(ls)", "`ls`",
     "a|b", "a>b", "a*", "a?", "a'b", 'a"b', "a\\b", "a\nb", "a\0b", "a{block}b", "~root", "a&b", "a:b"],
)  # fmt: skip
def test_a_name_that_could_leave_its_folder_or_mean_something_to_a_shell_is_refused(block):
    with pytest.raises(BadRequest, match="name"):
        check_name(block)


@pytest.mark.parametrize("block", ["Pen03_Rgt_AP2350_ML1400__Site04_Z2023__B957_cat_P03_S04_Epc17-18", "r 1/Süd+2,5"])
def test_names_that_labs_give_are_taken(block):
    assert check_name(block) == block


@given(st.text())
def test_no_name_leads_out_of_the_folder_of_blocks(block):
    try:
        check_name(block)
    except BadRequest:
        return
    assert not block.startswith(("/", "-", "."))
    assert not {"..", ".", ""} & set(block.split("/"))


def test_the_labs_file_has_comments_blank_lines_and_channels_after_a_tab():
    rows = read_table(["# the lab's", "", "B1\tPort_20,Port_21, Port_2\r", "  ", "B2", "B3\t"])
    assert [(row.block, row.omit, row.line) for row in rows] == [
        ("B1", ("Port_20", "Port_21", "Port_2"), 3),
        ("B2", (), 5),
        ("B3", (), 6),
    ]


def test_every_bad_line_is_named_by_its_number():
    with pytest.raises(BadRequest) as caught:
        read_table(["B1", "B2 Port_1,Port_2", "../B\tPort_1", "B1\tPort_1", "B3\ta\tb"])
    told = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in told] == ["line 2", "line 3", "line 4", "line 5"]
    assert "no tab" in told[0]
    assert "already" in told[2]


def test_channels_are_named_once_in_their_order():
    assert parse_omit(("b, a", "a,,c")) == ("b", "a", "c")


@pytest.mark.parametrize(("sorter", "needs"), [("mountainsort5", {"CPU": 3}), ("kilosort4", {"GPU": 1})])
def test_another_sorter_is_the_second_stage_with_its_own_slots_and_options(sorter: str, needs: dict[str, int]) -> None:
    own = {"mountainsort5": {"detect_threshold": 5.0, "filter": True}}
    settings = SETTINGS | {"sorters": "/opt/s", "kilosort4_needs": {"GPU": 1}, "sorter_options": own}
    stage = expand(BlockRequest(block="b", sorter=sorter), settings, "/usr/bin/python3", {}).job.stages[1]
    assert (stage.name, stage.needs) == (sorter, needs)
    assert stage.argv[3:7] == ("sort", sorter, "--sorters", "/opt/s")
    said = [word for word, before in zip(stage.argv[1:], stage.argv, strict=False) if before == "--set"]
    assert said == (["detect_threshold=5.0", "filter=true"] if sorter == "mountainsort5" else [])


def test_an_unknown_sorter_is_refused() -> None:
    with pytest.raises(BadRequest, match="there is no sorter 'kilosort9'; known are klusta, mountainsort5"):
        expand(BlockRequest(block="b", sorter="kilosort9"), SETTINGS, "/usr/bin/python3", {})
