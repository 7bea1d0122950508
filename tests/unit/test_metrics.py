"""Metrics against hand-worked numbers and against definitions written out pixel by pixel."""

import math

import numpy as np
import pytest

from livematte import metrics


def array(rows):
    return np.array(rows, np.float32)


TRUTH = array([[0, 0, 1], [0, 0.5, 1]])
GUESS = array([[0, 0.2, 1], [0.1, 0.5, 0.6]])


def test_sums_and_means_of_three_wrong_pixels():
    assert metrics.sad(GUESS, TRUTH) == pytest.approx(0.7)
    assert metrics.mad(GUESS, TRUTH) == pytest.approx(0.7 / 6)
    assert metrics.mse(GUESS, TRUTH) == pytest.approx((0.04 + 0.01 + 0.16) / 6)


def test_mask_chooses_the_pixels_that_count():
    mask = np.array([[False, True, False], [False, False, True]])
    assert metrics.sad(GUESS, TRUTH, mask) == pytest.approx(0.6)
    assert metrics.mad(GUESS, TRUTH, mask) == pytest.approx(0.3)
    assert metrics.mse(GUESS, TRUTH, mask) == pytest.approx(0.1)


def test_empty_mask_is_no_error():
    nothing = np.zeros((2, 3), bool)
    assert metrics.mad(GUESS, TRUTH, nothing) == metrics.mse(GUESS, TRUTH, nothing) == 0


@pytest.mark.parametrize("metric", [metrics.sad, metrics.mad, metrics.mse, metrics.grad, metrics.conn])
def test_truth_has_no_error(metric):
    truth = np.random.default_rng(1).random((12, 17), dtype=np.float32)
    assert metric(truth, truth) == 0


def gradient_by_hand(alpha, sigma=1.4):
    """Rhemann's benchmark code as its text says it: full kernels, replicated border, plain loops."""
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * 0.01)))

    def gauss(v):
        return math.exp(-(v * v) / (2 * sigma * sigma)) / (sigma * math.sqrt(2 * math.pi))

    size = 2 * half + 1
    kernel = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            u, v = i - half, j - half
            kernel[i, j] = gauss(u) * (-v * gauss(v) / (sigma * sigma))
    kernel /= math.sqrt((kernel * kernel).sum())
    padded = np.pad(alpha.astype(np.float64), half, mode="edge")
    out = np.zeros(alpha.shape)
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            window = padded[y : y + size, x : x + size]
            out[y, x] = math.hypot((window * kernel).sum(), (window * kernel.T).sum())
    return out


def test_grad_is_the_written_out_definition():
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 9, 11), dtype=np.float32)
    expected = np.square(gradient_by_hand(a) - gradient_by_hand(b)).sum()
    assert metrics.grad(a, b) == pytest.approx(expected, rel=1e-4)


def conn_by_hand(alpha, truth):
    """Every pixel's level by flood fill from the largest common region at each threshold."""
    rows, columns = truth.shape
    level = np.full((rows, columns), -1.0)
    for number in range(1, 11):
        t = np.float32(number * 0.1)
        both = {(y, x) for y in range(rows) for x in range(columns) if alpha[y, x] >= t and truth[y, x] >= t}
        regions = []
        for seed in sorted(both):  # in scan order: of regions of one size the first counts
            if seed not in both:
                continue
            both.remove(seed)
            todo, region = [seed], set()
            while todo:
                y, x = todo.pop()
                region.add((y, x))
                for step in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                    if step in both:
                        both.remove(step)
                        todo.append(step)
            regions.append(region)
        largest = max(regions, key=len, default=set())
        for y in range(rows):
            for x in range(columns):
                if level[y, x] < 0 and (y, x) not in largest:
                    level[y, x] = (number - 1) * 0.1
    level[level < 0] = 1

    def phi(a):
        d = a - level
        return 1 - d * (d >= 0.15)

    return np.abs(phi(alpha) - phi(truth)).sum()


@pytest.mark.parametrize("seed", range(5))
def test_conn_is_the_written_out_definition(seed):
    rng = np.random.default_rng(seed)
    truth = np.clip(rng.normal(0.6, 0.4, (8, 9)), 0, 1).astype(np.float32)
    alpha = np.clip(truth + rng.normal(0, 0.2, (8, 9)), 0, 1).astype(np.float32)
    assert metrics.conn(alpha, truth) == pytest.approx(conn_by_hand(alpha, truth), abs=1e-4)


def test_an_island_that_is_not_there_costs_its_area():
    truth = np.zeros((10, 10), np.float32)
    truth[:6, :6] = 1
    alpha = truth.copy()
    alpha[8:, 8:] = 1  # connected to nothing: its level is 0, so phi is 0 where truth's is 1
    assert metrics.conn(alpha, truth) == pytest.approx(4)


def test_dtssd_sees_change_and_not_constant_error():
    truth = np.zeros((2, 2), np.float32)
    off = np.full((2, 2), 0.3, np.float32)
    assert metrics.dtssd(off, off, truth, truth) == 0
    flicker = off.copy()
    flicker[0, 0] = 0.7
    assert metrics.dtssd(flicker, off, truth, truth) == pytest.approx(math.sqrt(0.16 / 4))


def test_messddt_follows_the_motion():
    previous_truth = array([[1, 0, 0, 0]])
    truth = array([[0, 1, 0, 0]])
    previous, now = previous_truth * 0.5, truth * 0.5  # the same error, gone along by one pixel
    flow = np.zeros((1, 4, 2), np.float32)
    assert metrics.messddt(now, previous, truth, previous_truth, flow) == pytest.approx((0.25 + 0.25) / 4)
    flow[..., 0] = 1  # the last pixel leaves the picture
    assert metrics.messddt(now, previous, truth, previous_truth, flow) == pytest.approx(0)


def test_foreground_counts_only_where_alpha_is_above_zero():
    truth = np.zeros((1, 2, 3), np.float32)
    guess = np.full((1, 2, 3), 0.5, np.float32)
    alpha = array([[0, 0.2]])
    assert metrics.foreground_sad(guess, truth, alpha) == pytest.approx(1.5)
    assert metrics.foreground_mse(guess, truth, alpha) == pytest.approx(0.25)
