"""Metrics against hand-worked numbers, against definitions written out pixel by pixel and, on larger
pictures, against SciPy's filters and scikit-image's regions.
"""

import math

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label

from livematte.matting import metrics


@pytest.fixture(scope="module")
def photograph():
    """A soft-edged matte of 160 x 200 and an answer with noise, a hole and an island."""
    rng = np.random.default_rng(7)
    truth = np.zeros((160, 200), np.float32)
    truth[40:, 60:140] = 1
    truth = cv2.GaussianBlur(truth, (0, 0), 3)
    alpha = np.clip(truth + rng.normal(0, 0.06, truth.shape), 0, 1).astype(np.float32)
    alpha[90:110, 90:110] = 0.2
    alpha[5:25, 5:35] = 0.9
    return alpha, truth


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


def test_grad_of_a_whole_picture_is_scipys(photograph):
    x = np.arange(-4, 5)  # ceil(1.4 * sqrt(-2 ln(sqrt(2 pi) 1.4 * 0.01))) = 4
    gauss = np.exp(-(x**2) / (2 * 1.4**2))
    kernel = np.outer(gauss, -x * gauss)
    kernel /= np.sqrt(np.square(kernel).sum())

    def length(a):
        return np.hypot(*(ndimage.convolve(a.astype(float), k, mode="nearest") for k in (kernel, kernel.T)))

    expected = np.square(length(photograph[0]) - length(photograph[1])).sum()
    assert expected > 10
    assert metrics.grad(*photograph) == pytest.approx(expected, rel=1e-4)


def test_conn_of_a_whole_picture_is_scikit_images(photograph):
    alpha, truth = photograph
    level = np.full(truth.shape, np.nan)
    for number in range(1, 11):
        t = np.float32(number * 0.1)
        regions = label((alpha >= t) & (truth >= t), connectivity=1)
        sizes = np.bincount(regions.ravel())[1:]
        inside = regions == 1 + sizes.argmax() if len(sizes) else np.zeros(truth.shape, bool)
        level[np.isnan(level) & ~inside] = (number - 1) / 10
    level[np.isnan(level)] = 1
    phi = [1 - np.where(a - level >= 0.15, a - level, 0) for a in (alpha, truth)]
    expected = np.abs(phi[0] - phi[1]).sum()
    assert expected > 600  # the island alone costs 0.9 a pixel
    assert metrics.conn(alpha, truth) == pytest.approx(expected, rel=1e-3)


def test_unknown_band_holds_soft_and_hard_edges_and_no_more():
    truth = array([[0, 0, 0, 0, 1, 1, 1, 1, 1, 0.5, 1, 1, 1, 1]]).repeat(9, 0)
    unknown = np.zeros((9, 14), bool)
    unknown[:, 2:6] = True  # two pixels on both sides of the hard edge
    unknown[:, 7:12] = True  # two around the soft pixel
    np.testing.assert_array_equal(metrics.unknown_band(truth, 2), unknown)


def test_unknown_band_is_what_scipys_morphology_leaves(photograph):
    _, truth = photograph
    y, x = np.mgrid[-10:11, -10:11]
    disk = x**2 + y**2 <= 10.5**2
    known = [
        ndimage.binary_erosion(solid, disk, border_value=1)
        for solid in (truth <= 5 / 255, truth >= 250 / 255)
    ]
    band = metrics.unknown_band(truth)
    assert 0.1 < band.mean() < 0.6
    assert (band != ~(known[0] | known[1])).mean() < 0.01  # the two round a disk's rim differently


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


def messddt_by_hand(now, before, truth, truth_before, flow):
    """Erofeev's sum, pixel by pixel, for motion by whole pixels."""
    changes = []
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            u, v = x + round(float(flow[y, x, 0])), y + round(float(flow[y, x, 1]))
            if 0 <= u < truth.shape[1] and 0 <= v < truth.shape[0]:
                there, here = (now[v, u] - truth[v, u]) ** 2, (before[y, x] - truth_before[y, x]) ** 2
                changes.append(abs(there - here))
    return np.mean(changes)


def test_messddt_and_dtssd_are_the_written_out_definitions():
    rng = np.random.default_rng(3)
    now, before, truth, truth_before = rng.random((4, 8, 9), dtype=np.float32)
    flow = rng.integers(-2, 3, (8, 9, 2)).astype(np.float32)
    four = (now, before, truth, truth_before)
    assert metrics.messddt(*four, flow) == pytest.approx(messddt_by_hand(*four, flow), rel=1e-3)
    squares = [
        ((now[y, x] - before[y, x]) - (truth[y, x] - truth_before[y, x])) ** 2
        for y in range(8)
        for x in range(9)
    ]
    assert metrics.dtssd(*four) == pytest.approx(math.sqrt(sum(squares) / 72), rel=1e-5)


def test_motion_finds_where_a_texture_went():
    rng = np.random.default_rng(4)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (96, 140)).astype(np.uint8), (0, 0), 2)
    before, now = wide[:, 10:130], wide[:, 7:127]  # three pixels to the right
    flow = metrics.motion(np.ascontiguousarray(before), np.ascontiguousarray(now))
    assert flow.shape == (96, 120, 2)
    assert np.median(flow[10:-10, 10:-10, 0]) == pytest.approx(3, abs=0.1)
    assert np.median(flow[10:-10, 10:-10, 1]) == pytest.approx(0, abs=0.1)


def test_foreground_is_summed_over_pixels_and_channels_of_the_person():
    rng = np.random.default_rng(5)
    guess, truth = rng.random((2, 4, 5, 3), dtype=np.float32)
    alpha = (rng.random((4, 5)) > 0.4).astype(np.float32) * np.float32(0.01)
    assert 0 < (alpha > 0).sum() < 20
    differences = [
        abs(float(guess[y, x, c]) - float(truth[y, x, c]))
        for y in range(4)
        for x in range(5)
        for c in range(3)
        if alpha[y, x] > 0
    ]
    assert metrics.foreground_sad(guess, truth, alpha) == pytest.approx(sum(differences), rel=1e-5)
    squares = sum(d * d for d in differences)
    assert metrics.foreground_mse(guess, truth, alpha) == pytest.approx(squares / len(differences), rel=1e-5)


def test_foreground_counts_only_where_alpha_is_above_zero():
    truth = np.zeros((1, 2, 3), np.float32)
    guess = np.full((1, 2, 3), 0.5, np.float32)
    alpha = array([[0, 0.2]])
    assert metrics.foreground_sad(guess, truth, alpha) == pytest.approx(1.5)
    assert metrics.foreground_mse(guess, truth, alpha) == pytest.approx(0.25)
