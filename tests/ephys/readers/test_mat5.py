"""The v5 parser reads what scipy writes, in any shape, and never does more than complain about damage."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import mat5, matlab
from tests.ephys.exports import channel, write5

TYPES = st.sampled_from([np.int16, np.float32, np.float64, np.uint8])
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    values=TYPES.flatmap(lambda kind: arrays.arrays(kind, st.integers(1, 300), elements={"allow_nan": False})),
    compressed=st.booleans(),
    title=st.text("abcXYZ_ 0123456789", max_size=70),
    order=st.permutations(["interval", "values", "title", "scale", "start"]),
)
def test_a_struct_comes_back_as_it_was_written(tmp_path, values, compressed, title, order):
    fields = {"interval": 5e-5, "values": values.reshape(-1, 1), "title": title, "scale": -2.5, "start": 3.0}
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"other": 3.0, "Port_1": {key: fields[key] for key in order}}, do_compression=compressed)
    variables = {each.name: each for each in mat5.variables(path, lambda names: names)}
    port = variables["Port_1"]
    assert sorted(port.names) == sorted(order)
    assert port.fields["interval"].head[0] == 5e-5
    assert port.fields["scale"].head[0] == -2.5
    stored = port.fields["values"]
    raw = b"".join(data for _, data in mat5.pieces(path, port, ("values",)))
    np.testing.assert_array_equal(np.frombuffer(raw, dtype=stored.stored), values)
    assert not variables["other"].names


@quick
@given(cut=st.floats(0, 1), compressed=st.booleans())
def test_a_file_that_is_cut_short_is_called_so(tmp_path, cut, compressed):
    path = write5(tmp_path / "x.mat", {"Port_1": channel(np.arange(3000, dtype="i2"))}, compressed)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * (len(whole) - 1))])
    with pytest.raises(EphysError, match=r"x\.mat"):
        if not matlab.structs(path):
            raise EphysError("x.mat: nothing in it")


@quick
@given(at=st.floats(0.02, 1, exclude_max=True), byte=st.integers(0, 255), compressed=st.booleans())
def test_a_damaged_byte_is_a_sentence_or_no_harm(tmp_path, at, byte, compressed):
    path = write5(tmp_path / "x.mat", {"Port_1": channel(np.arange(400, dtype="i2"))}, compressed)
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] = byte
    path.write_bytes(data)
    try:
        found = matlab.structs(path)
    except EphysError as error:
        assert "x.mat" in str(error)
    else:
        assert all(isinstance(each, matlab.Struct) for each in found)


def test_other_byte_orders_are_read(tmp_path: Path):
    """A big-endian file, put together by hand: scipy writes only the machine's own order."""

    def element(kind: int, data: bytes) -> bytes:
        return kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data + bytes(-len(data) % 8)

    def matrix(klass: int, shape: tuple[int, int], name: bytes, rest: bytes) -> bytes:
        flags = klass.to_bytes(4, "big") + bytes(4)
        dims = b"".join(each.to_bytes(4, "big") for each in shape)
        return element(14, element(6, flags) + element(5, dims) + element(1, name) + rest)

    values = np.arange(-500, 500, dtype=">i2")
    fields = matrix(6, (1, 1), b"", element(9, np.array([5e-5], dtype=">f8").tobytes()))
    fields += matrix(10, (1000, 1), b"", element(3, values.tobytes()))
    names = b"interval".ljust(16, b"\0") + b"values".ljust(16, b"\0")
    width = (5).to_bytes(4, "big") + (4).to_bytes(4, "big") + (16).to_bytes(4, "big") + bytes(4)
    body = matrix(2, (1, 1), b"Port_1", width + element(1, names) + fields)
    path = tmp_path / "x.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + body)
    (port,) = mat5.variables(path, lambda names: names)
    assert port.fields["interval"].head[0] == 5e-5
    raw = b"".join(data for _, data in mat5.pieces(path, port, ("values",)))
    np.testing.assert_array_equal(np.frombuffer(raw, ">i2"), values)
