"""What is read past HDF5's library is what the library reads."""

from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labsched.ephys.denoise import denoise
from labsched.ephys.errors import EphysError
from labsched.ephys.readers import hdf5
from tests.ephys.exports import block, channel, noise, write73

LAYOUTS = {
    "in one piece": {},
    "chunks": {"chunks": (1, 777)},
    "packed": {"chunks": (1, 1000), "compression": "gzip"},
    "packed and shuffled": {"chunks": (1, 513), "compression": "gzip", "shuffle": True},
    "one large chunk": {"chunks": (1, 100_000), "compression": "gzip"},
}


def written(path, values, options, transposed=False):
    with h5py.File(path, "w", userblock_size=512) as file:
        if options.get("chunks"):
            many = min(options["chunks"][1], values.size)
            options = {**options, "chunks": (many, 1) if transposed else (1, many)}
        file.create_dataset("values", data=values[:, None] if transposed else values[None], **options)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("transposed", [False, True])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(2, 5000),
    dtype=st.sampled_from(["<i2", "<f4", "<f8", "<i4"]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6),
)
def test_every_layout_is_read_as_the_library_reads_it(tmp_path, layout, transposed, count, dtype, cuts):
    values = (np.random.default_rng(count).standard_normal(count) * 3000).astype(dtype)
    with h5py.File(written(tmp_path / "a", values, LAYOUTS[layout], transposed)) as file:
        fetch = hdf5.direct(file["values"])
        assert fetch is not None
        for one, two in cuts:
            start, stop = sorted((int(one * count), int(two * count)))
            np.testing.assert_array_equal(fetch(start, stop), values[start:stop])


def test_several_threads_may_read_at_once(tmp_path):
    values = np.random.default_rng(0).integers(-9000, 9000, 100_000).astype("i2")
    with h5py.File(written(tmp_path / "a", values, LAYOUTS["packed"])) as file, ThreadPoolExecutor(4) as pool:
        fetch = hdf5.direct(file["values"])
        starts = np.random.default_rng(1).integers(0, 97_000, 400).tolist()
        for start, found in zip(starts, pool.map(lambda a: fetch(a, a + 3000), starts), strict=True):
            np.testing.assert_array_equal(found, values[start : start + 3000])


@pytest.mark.parametrize(
    "options", [{"compression": "lzf", "chunks": (1, 100)}, {"fletcher32": True, "chunks": (1, 99)}]
)
def test_what_is_packed_otherwise_is_left_to_the_library(tmp_path, options):
    values = np.arange(1000, dtype="i2")
    with h5py.File(written(tmp_path / "a", values, options)) as file:
        assert hdf5.direct(file["values"]) is None
    with h5py.File(written(tmp_path / "b", values.astype(">i2"), {})) as file:
        assert hdf5.direct(file["values"]) is None


def test_chunks_that_were_never_written_are_zeros(tmp_path):
    with h5py.File(tmp_path / "a", "w") as file:
        made = file.create_dataset("values", (1, 3000), dtype="i2", chunks=(1, 1000), fillvalue=7)
        made[0, 1000:2000] = 5
        assert hdf5.direct(made)(500, 2500).tolist() == [7] * 500 + [5] * 1000 + [7] * 500


def test_a_chunk_that_cannot_be_unpacked_is_a_sentence_that_names_the_file(tmp_path):
    source = tmp_path / "mat"
    source.mkdir()
    rows = noise(200_000, 3)
    path = write73(
        source / "a.mat", {f"Port_{i}": channel(r) for i, r in enumerate(rows)}, chunks=(1, 50_000), compression="gzip"
    )
    with h5py.File(path) as file:
        info = file["Port_1/values"].id.get_chunk_info(2)
    with path.open("r+b") as file:
        file.seek(info.byte_offset + info.size // 2)
        file.write(b"\xff" * 200)
    with pytest.raises(EphysError, match=r"a\.mat: it is damaged \(a chunk cannot be unpacked: .*export it"):
        denoise(source, tmp_path / "out", "b", threads=2)
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_result(tmp_path, layout):
    plain = block(tmp_path / "plain", samples=70_000, stagger=True)
    rows, late = noise(70_000, 4), 1 / 20000 / 4
    structs = {f"Port_{1 + i}": channel(r, start=i * late, times=True) for i, r in enumerate(rows)}
    other = tmp_path / "other"
    other.mkdir()
    write73(other / "one.mat", structs, **LAYOUTS[layout] | ({"chunks": (1, 5000)} if LAYOUTS[layout] else {}))
    one, two = (denoise(each, tmp_path / f"o{each.name}", "b", threads=2) for each in (plain, other))
    assert one.data.read_bytes() == two.data.read_bytes()
