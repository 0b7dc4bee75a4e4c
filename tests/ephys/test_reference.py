"""References are matrices that do what their names say."""

import numpy as np
import pytest

from labsched.ephys import reference
from labsched.ephys.errors import EphysError
from tests.ephys.exports import noise


def test_car_subtracts_the_mean_of_the_others():
    data = noise(100, 5).astype(float)
    found = reference.matrix("car", np.cov(data)) @ data
    for channel in range(5):
        others = np.delete(data, channel, axis=0).mean(axis=0)
        np.testing.assert_allclose(found[channel], data[channel] - others)


def test_war_is_the_residual_of_least_squares():
    data = noise(5000, 6).astype(float)
    data -= data.mean(axis=1, keepdims=True)
    found = reference.matrix("war", data @ data.T / 5000) @ data
    for channel in range(6):
        others = np.delete(data, channel, axis=0)
        weights = np.linalg.lstsq(others.T, data[channel], rcond=None)[0]
        np.testing.assert_allclose(found[channel], data[channel] - weights @ others, atol=0.05)
    assert found.std() < 0.6 * data.std()


def test_war_survives_flat_and_copied_channels_and_leaves_a_lone_one():
    data = noise(1000, 4).astype(float)
    data[1] = 3.0
    data[3] = data[2]
    matrix = reference.matrix("war", np.cov(data))
    assert np.isfinite(matrix).all()
    np.testing.assert_allclose(matrix[1], [0, 1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(matrix[[0, 2, 3], 1], 0, atol=1e-9)
    np.testing.assert_array_equal(reference.matrix("war", np.array([[4.0]])), [[1.0]])
    np.testing.assert_array_equal(reference.matrix("car", np.array([[4.0]])), [[1.0]])
    np.testing.assert_array_equal(reference.matrix("war", np.zeros((2, 2))), np.eye(2))


def test_war_is_accurate_where_one_channel_is_a_thousand_times_louder():
    data = noise(5000, 4).astype(float)
    data[2] *= 1000
    data -= data.mean(axis=1, keepdims=True)
    found = reference.matrix("war", data @ data.T / 5000) @ data
    quiet = noise(5000, 4).astype(float)
    quiet -= quiet.mean(axis=1, keepdims=True)
    alone = reference.matrix("war", quiet @ quiet.T / 5000) @ quiet
    assert np.std(found[2] / 1000) == pytest.approx(np.std(alone[2]), rel=0.001)
    assert np.std(found[0]) == pytest.approx(np.std(alone[0]), rel=0.001)


def test_whiten_leaves_no_correlation_and_every_channel_its_size():
    draw = np.random.default_rng(5)
    data = draw.standard_normal((8, 8)) @ draw.standard_normal((8, 20000)) * np.arange(1, 9)[:, None] + 100
    covariance = np.cov(data)
    matrix = reference.matrix("whiten", covariance)
    found = np.cov(matrix @ data)
    np.testing.assert_allclose(np.sqrt(np.diag(found)), np.sqrt(np.diag(covariance)), rtol=1e-3)
    np.testing.assert_allclose(np.corrcoef(matrix @ data), np.eye(8), atol=2e-3)
    assert (np.diag(matrix) > 0).all()  # each is still itself


def test_whiten_survives_flat_and_copied_channels_and_leaves_a_lone_one():
    data = noise(1000, 4).astype(float)
    data[1] = 3.0
    data[3] = data[2]
    matrix = reference.matrix("whiten", np.cov(data))
    assert np.isfinite(matrix).all() and np.abs(matrix).max() < 40
    np.testing.assert_allclose(matrix[1], [0, 1, 0, 0], atol=1e-5)
    np.testing.assert_allclose(reference.matrix("whiten", np.array([[4.0]])), [[1.0]], rtol=1e-5)


def test_ridge_takes_the_common_noise_and_leaves_a_spike_that_neighbours_see():
    draw = np.random.default_rng(2)
    common, own = draw.standard_normal(40000), draw.standard_normal((16, 40000))
    gains = draw.uniform(0.6, 1.4, 16)
    data = 22 * gains[:, None] * common + 8 * own
    # A cell that three neighbouring channels see: a spike each 50 samples
    seen = np.zeros(16)
    seen[4:7] = (60, 120, 60)
    data[:, ::50] -= seen[:, None]
    matrix = reference.matrix("ridge", np.cov(data))
    left = matrix @ (22 * gains)
    assert np.abs(left).max() < 4
    assert (matrix @ seen)[5] > 0.75 * 120
    assert (reference.matrix("war", np.cov(data)) @ seen)[5] < (matrix @ seen)[5]


def test_ridge_works_on_any_number_of_channels_and_on_flat_and_copied_ones():
    draw = np.random.default_rng(3)
    for channels in (1, 2, 4, 128):
        data = 22 * draw.standard_normal(20000) + 8 * draw.standard_normal((channels, 20000))
        left = reference.matrix("ridge", np.cov(data).reshape(channels, channels)) @ data
        assert left.std() < (14 if channels > 1 else 25)
    np.testing.assert_array_equal(reference.matrix("ridge", np.zeros((2, 2))), np.eye(2))
    data[1], data[3] = 0, data[2]
    matrix = reference.matrix("ridge", np.cov(data))
    np.testing.assert_allclose(matrix[1], np.eye(128)[1], atol=1e-9)
    assert (matrix @ data)[2].std() > 4


def test_ridge_narrows_spikes_more_where_shanks_are_small():
    draw = np.random.default_rng(4)
    data = 22 * draw.standard_normal(20000) + 8 * draw.standard_normal((16, 20000))
    # A cell that all four sites of a tetrode see
    data[:4, ::50] -= np.array([[90], [120], [100], [60]])
    covariance, seen = np.cov(data), np.zeros(16)
    seen[:4] = 90, 120, 100, 60
    one_shank, tetrodes = (reference.matrix("ridge", covariance, (n,) * 16) @ seen for n in (16, 4))
    np.testing.assert_array_equal(one_shank, reference.matrix("ridge", covariance) @ seen)
    assert abs(tetrodes[3] / tetrodes[1]) < abs(one_shank[3] / one_shank[1])


def test_an_unknown_reference_lists_those_there_are():
    with pytest.raises(EphysError, match="unknown reference 'median': it is one of ridge, war, car, whiten, none"):
        reference.check("median")
