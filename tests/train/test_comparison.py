from __future__ import annotations

import json

import numpy as np
import pytest

from fer_edge_train.comparison import PairedComparison, compare_paired


def counted(both: int, first: int, second: int, neither: int) -> PairedComparison:
    return PairedComparison(both_right=both, only_first=first, only_second=second, neither=neither)


@pytest.mark.parametrize(
    ("counts", "low", "high", "tolerance"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), 2635-2650, table of examples, method 10.
        pytest.param((36, 12, 2, 0), 0.0569, 0.3404, 5e-5, id="Newcombe 36 12 2 0"),
        # Altman, Machin, Bryant and Gardner, "Statistics with confidence" (2000), chapter 6.
        pytest.param((14, 5, 0, 22), 0.011, 0.226, 5e-4, id="Altman 14 5 0 22"),
        # Bentur et al. 2009 as in Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91 (2013).
        pytest.param((1, 1, 7, 12), -0.507, -0.026, 5e-4, id="Bentur 1 1 7 12"),
        # By hand: equal shares of 1/2, phi = (25 - 10 / 2) / 25 = 0.8, Wilson 5/10: 0.2366 to 0.7634.
        pytest.param((5, 0, 0, 5), -0.2634 * 0.4**0.5, 0.2634 * 0.4**0.5, 1e-4, id="no disagreement"),
        # By hand: shares of 1 and 0 are not correlated, Wilson 8/8: 0.6756 to 1, Wilson 0/8: 0 to 0.3244.
        pytest.param((0, 8, 0, 0), 1 - 2**0.5 * 0.3244, 1.0, 1e-4, id="one is always right"),
    ],
)
def test_interval_of_the_difference_against_published_values(counts, low, high, tolerance):
    assert counted(*counts).interval95 == (pytest.approx(low, abs=tolerance), pytest.approx(high, abs=tolerance))


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        pytest.param(0, 0, 1.0, id="no disagreement"),
        pytest.param(3, 3, 1.0, id="balanced"),
        # By hand: 2 (1 + 8) / 2^8; Fagerland et al. 2013 give 0.070.
        pytest.param(1, 7, 18 / 256, id="1 against 7"),
        pytest.param(7, 1, 18 / 256, id="7 against 1"),
        pytest.param(0, 10, 2 / 1024, id="0 against 10"),
        pytest.param(1, 9, 22 / 1024, id="1 against 9"),
    ],
)
def test_mcnemars_exact_test_by_hand(first, second, p):
    assert counted(20, first, second, 5).p_value == pytest.approx(p)


@pytest.mark.parametrize(("first", "second"), [(25, 16), (80, 121), (1500, 1420)])
def test_mcnemars_exact_test_against_scipy(first, second):
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    expected = stats.binomtest(first, first + second, 0.5).pvalue
    assert counted(30, first, second, 50).p_value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", [(900, 130, 90, 380), (40, 35, 5, 20), (300, 12, 60, 130)])
def test_interval_against_a_paired_bootstrap(counts):
    """Faces drawn again with replacement: another way to the same interval, close where faces are many."""
    n = sum(counts)
    drawn = np.random.default_rng(1).multinomial(n, np.array(counts) / n, size=20_000)
    expected = np.percentile((drawn[:, 1] - drawn[:, 2]) / n, [2.5, 97.5])
    np.testing.assert_allclose(counted(*counts).interval95, expected, atol=0.25 / n**0.5 / 2)


def test_swapping_the_models_turns_everything_round():
    forth, back = counted(40, 35, 5, 20), counted(40, 5, 35, 20)
    assert forth.difference == -back.difference == 0.3
    assert forth.interval95 == tuple(-bound for bound in reversed(back.interval95))
    assert forth.p_value == back.p_value


def test_who_is_right_is_counted():
    first = np.array([True, True, True, False, False, False, True])
    second = np.array([True, False, False, True, False, False, True])
    assert compare_paired(first, second) == counted(2, 2, 1, 2)


def test_forms():
    found = counted(36, 12, 2, 0)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == {
        "n": 50,
        "both_right": 36,
        "only_first_right": 12,
        "only_second_right": 2,
        "neither_right": 0,
        "difference": 0.2,
        "interval95": [pytest.approx(0.0569, abs=5e-5), pytest.approx(0.3404, abs=5e-5)],
        "mcnemar_exact_p": 0.0129395,  # 2 (1 + 14 + 91) / 2^14
    }
    assert found.to_text() == (
        "difference +20.00 points (95 % interval +5.69 to +34.04, n = 50), McNemar's exact test p = 0.0129\n"
        "both right 36, the first alone 12, the second alone 2, neither 0"
    )


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (3, -1, 2, 0)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="expected four counts of at least 0 and one face or more"):
        counted(*counts)


def test_unequal_arrays_are_refused():
    with pytest.raises(ValueError, match=r"found \(2,\) and \(3,\)"):
        compare_paired(np.ones(2, np.bool_), np.ones(3, np.bool_))


def test_the_exact_test_of_many_faces_is_quick_and_right():
    """20,000 of which one model alone is right: the normal approximation's p is 0.0047 at z = 2.83."""
    assert counted(0, 10_200, 9_800, 0).p_value == pytest.approx(0.00474, rel=0.02)
