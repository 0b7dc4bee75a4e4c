"""From labels to shanks, or to a sentence that names what does not fit."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.ephys.errors import EphysError
from labsched.ephys.probes import builtin, natural, resolve
from labsched.ephys.probes.graph import components

PORTS = [f"Port_{k + 1}" for k in range(16)]


def rig(folder: Path, ports: dict[str, object], probe: str = "buzsaki16", more: str = "") -> Path:
    path = folder / "lab.toml"
    lines = "\n".join(f"{label} = {json.dumps(site)}" for label, site in ports.items())
    path.write_text(f'probe = "{probe}"\n{more}\n[ports]\n{lines}\n')
    return path


def straight() -> dict[str, object]:
    return {label: k + 1 for k, label in enumerate(PORTS)}


def connected(group) -> bool:
    return len(components(group.channels, group.graph)) == 1


def test_a_rig_decides_which_site_a_port_is(tmp_path):
    ports = {label: 16 - k for k, label in enumerate(PORTS)}
    layout = resolve(rig(tmp_path, ports), PORTS)
    assert layout.labels == tuple(PORTS)
    assert layout.sites == tuple(str(16 - k) for k in range(16))
    first, second = layout.groups
    assert first.labels == tuple(f"Port_{16 - k}" for k in range(8))
    assert first.channels == tuple(15 - k for k in range(8))
    assert first.geometry[0] == (0.0, 0.0)
    assert second.geometry[0] == (200.0, 0.0)


def test_data_order_is_kept_as_it_is_given():
    shuffled = [PORTS[k] for k in (3, 0, 7, 1, 2, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8)]
    layout = resolve("buzsaki16", shuffled)
    assert layout.labels == tuple(shuffled)
    assert layout.sites[:3] == ("4", "1", "8")
    assert layout.groups[0].channels == (1, 3, 4, 0, 7, 6, 5, 2)


def test_an_omitted_channel_leaves_and_its_neighbours_are_joined():
    line = resolve("linear16-50", PORTS, ["Port_5"])
    assert len(line.labels) == 15
    assert "Port_5" not in line.labels
    (group,) = line.groups
    assert group.graph == tuple((k, k + 1) for k in range(14))
    assert group.geometry[4] == (0.0, 250.0)


def test_omitting_is_the_same_whether_the_label_has_left_the_data_or_not():
    kept = [label for label in PORTS if label != "Port_5"]
    assert resolve("buzsaki16", PORTS, ["Port_5"]) == resolve("buzsaki16", kept, ["Port_5"])


def test_a_shank_without_channels_disappears_with_a_note():
    layout = resolve("buzsaki16", PORTS, PORTS[:8])
    assert [group.number for group in layout.groups] == [1]
    assert layout.groups[0].channels == tuple(range(8))
    assert any("shank 0" in note for note in layout.notes)


def test_no_probe_is_one_line_of_neighbours_with_a_note():
    layout = resolve(None, ["Port_10", "Port_2", "Port_1"])
    (group,) = layout.groups
    assert group.labels == ("Port_1", "Port_2", "Port_10")
    assert group.channels == (2, 1, 0)
    assert group.graph == ((0, 1), (1, 2))
    assert layout.notes


@pytest.mark.parametrize("name", builtin())
def test_every_built_in_probe_makes_connected_shanks(name):
    count = int(resolve_size(name))
    layout = resolve(name, [f"Port_{k}" for k in range(count)])
    assert sum(len(group.channels) for group in layout.groups) == count
    assert all(connected(group) for group in layout.groups)


def resolve_size(name: str) -> str:
    with pytest.raises(EphysError) as said:
        resolve(name, ["only"])
    return str(said.value).split(" has ")[1].split()[0]


def test_a_tetrode_is_all_pairs_and_a_staggered_shank_has_triangles():
    tetrode = resolve("tetrode4", PORTS[:4]).groups[0]
    assert len(tetrode.graph) == 6
    assert len(resolve("poly2-16-50", PORTS).groups[0].graph) > 2 * 14


@given(st.sets(st.sampled_from(PORTS), max_size=15), st.sampled_from(["buzsaki16", "poly2-16-50", "qtrode16"]))
def test_whatever_is_omitted_each_shank_stays_connected_and_whole(omit, name):
    layout = resolve(name, PORTS, omit)
    assert layout.labels == tuple(label for label in PORTS if label not in omit)
    channels = sorted(k for group in layout.groups for k in group.channels)
    assert channels == list(range(len(layout.labels)))
    for group in layout.groups:
        assert connected(group)
        assert group.labels == tuple(layout.labels[k] for k in group.channels)
        assert all(a < b for a, b in group.graph)


def test_the_prb_that_is_written_reads_back_as_the_same_layout(tmp_path):
    layout = resolve("buzsaki16", PORTS, ["Port_3", "Port_12"])
    layout.write_prb(tmp_path / "b.prb")
    again = resolve(tmp_path / "b.prb", layout.labels)
    for one, other in zip(layout.groups, again.groups, strict=True):
        assert (one.number, one.graph) == (other.number, other.graph)
        assert dict(zip(one.channels, one.geometry, strict=True)) == dict(
            zip(other.channels, other.geometry, strict=True)
        )


def test_natural_order_counts():
    assert sorted(["b10", "b9", "a2", "10", "9"], key=natural) == ["9", "10", "a2", "b9", "b10"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Port_3": 99}, "wires Port_3 to site 99"),
        ({"Port_3": 4}, "Port_3 and Port_4 to the same site 4"),
        ({"Port_3": 1.5}, "Port_3 = 1.5"),
        ({"Port_3": True}, "Port_3 = True"),
        ({"Port_3": None}, "no port is wired to site 3"),
        ({"Port_17": 3, "Port_3": None}, "maps no site to Port_3"),
    ],
)
def test_a_wrong_rig_is_named(tmp_path, change, said):
    ports = {label: site for label, site in (straight() | change).items() if site is not None}
    with pytest.raises(EphysError, match=said):
        resolve(rig(tmp_path, ports), PORTS)


def test_a_port_twice_is_named_with_its_lines(tmp_path):
    path = rig(tmp_path, straight())
    path.write_text(path.read_text() + "Port_7 = 2\n")
    with pytest.raises(EphysError, match="has Port_7 twice, in lines 10 and 20"):
        resolve(path, PORTS)


def test_a_port_that_the_data_lacks_is_named(tmp_path):
    with pytest.raises(EphysError, match="maps Port_16, which the data does not have"):
        resolve(rig(tmp_path, straight()), PORTS[:15])


def test_a_label_that_the_rig_lacks_may_be_omitted(tmp_path):
    path = rig(tmp_path, straight())
    with pytest.raises(EphysError, match="maps no site to Trigger"):
        resolve(path, [*PORTS, "Trigger"])
    assert len(resolve(path, [*PORTS, "Trigger"], ["Trigger"]).labels) == 16


def test_a_site_may_be_called_unconnected(tmp_path):
    ports = straight()
    del ports["Port_3"]
    kept = [label for label in PORTS if label != "Port_3"]
    layout = resolve(rig(tmp_path, ports, more="unconnected = [3]"), kept)
    assert len(layout.groups[0].channels) == 7
    assert connected(layout.groups[0])
    with pytest.raises(EphysError, match="site 4 unconnected and wires a port"):
        resolve(rig(tmp_path, straight(), more="unconnected = [4]"), PORTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('probe = "buzsaki16"\n', r"no \[ports\]"),
        ("[ports]\nPort_1 = 1\n", "names no probe"),
        ('probe = "buzsaki16"\n[ports]\nPort_1 = = 1\n', "not valid TOML.*line 3"),
        ('probe = "lab.toml"\n[ports]\nPort_1 = 1\n', "rig"),
        ('probe = "buzsaki16"\nprots = 3\n', "'prots' that means nothing"),
        ('probe = "none.json"\n[ports]\nPort_1 = 1\n', "no probe file .*none.json"),
        ('probe = "buzsaky16"\n[ports]\nPort_1 = 1\n', "did you mean buzsaki16"),
    ],
)
def test_a_rig_that_cannot_be_read_says_why(tmp_path, text, said):
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(EphysError, match=said):
        resolve(tmp_path / "lab.toml", PORTS)


def test_an_unknown_probe_lists_the_known_ones():
    with pytest.raises(EphysError, match=r"unknown probe nonsense.*buzsaki16.*tetrode4"):
        resolve("nonsense", PORTS)


def test_a_count_that_differs_is_named():
    with pytest.raises(EphysError, match="has 16 sites but the data has 15 channels"):
        resolve("buzsaki16", PORTS[:15])


def test_omitting_everything_is_refused():
    with pytest.raises(EphysError, match="every channel is omitted"):
        resolve("buzsaki16", PORTS, PORTS)


def test_a_label_that_comes_twice_is_named():
    with pytest.raises(EphysError, match="more than one channel called Port_1"):
        resolve(None, ["Port_1", "Port_2", "Port_1"])


def test_a_probe_is_found_by_name_in_the_folder_that_is_given(tmp_path):
    rig(tmp_path, straight())
    assert resolve("lab", PORTS, folder=tmp_path) == resolve("lab.toml", PORTS, folder=tmp_path)


def test_a_probeinterface_file_with_two_probes_gives_a_group_a_shank(tmp_path):
    from probeinterface import ProbeGroup, generate_linear_probe, write_probeinterface

    group = ProbeGroup()
    for k in range(2):
        probe = generate_linear_probe(num_elec=4, ypitch=50)
        probe.move([500 * k, 0])
        probe.set_contact_ids([f"{'ab'[k]}{i}" for i in range(4)])
        probe.set_device_channel_indices([7 - 4 * k - i for i in range(4)])
        group.add_probe(probe)
    write_probeinterface(tmp_path / "two.json", group)
    layout = resolve(tmp_path / "two.json", PORTS[:8])
    # device channel 0 is the last contact of the second probe
    assert layout.sites[0] == "b3"
    assert [len(g.channels) for g in layout.groups] == [4, 4]
    assert layout.groups[1].geometry[0] == (500.0, 150.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n "b": }', "not valid JSON: .* line 2"),
        ("[]", "not a probeinterface file"),
        ('{"specification": "probeinterface", "version": "0.2.20", "probes": [{"ndim": 2}]}', "not a valid"),
        ('{"specification": "probeinterface", "version": "0.2.20", "probes": []}', "no contacts|not a valid"),
    ],
)
def test_a_json_that_is_no_probe_says_why(tmp_path, text, said):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(EphysError, match=said):
        resolve(tmp_path / "p.json", PORTS)


def test_a_file_that_is_not_text_is_a_sentence(tmp_path):
    (tmp_path / "p.prb").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(EphysError, match="is not text"):
        resolve(tmp_path / "p.prb", PORTS)
