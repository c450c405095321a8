"""Sums of whole arrays are those of the decimals that ``repr`` shows."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecnas.decimals import EXACT, Amounts, ExactSum, PriceList, _scaled, decimal_of, exact_sum

rng = np.random.default_rng(0)
SAMPLES = {
    "of a table": rng.random(20_000) * 3,
    "of all sizes": 10.0 ** rng.uniform(-9, 20, 20_000),
    "with few digits": np.round(10.0 ** rng.uniform(-5, 10, 20_000), 3),
    "with any number of digits": np.array([float(f"{x:.{k % 17}e}") for k, x in enumerate(rng.random(20_000))]),
    "of single precision": rng.random(20_000).astype(np.float32).astype(np.float64),
    "whole": rng.integers(0, 2**53, 20_000).astype(np.float64),
    "beside powers": np.concatenate(
        [np.nextafter(base ** np.arange(-300.0 / base, 300.0 / base), to) for base in (2, 10) for to in (0, 1e308)]
    ),
    "smallest and largest": np.array([0.0, 5e-324, 1.7e308, 2.2e-308] * 10),
    "powers of two": 2.0 ** np.arange(-100, 100),
    "nearly halves": (rng.integers(2**52, 2**53, 5_000) + 0.0) / 2.0 ** rng.integers(0, 30, 5_000),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_float_is_taken_for_its_repr(name):
    amounts = np.ascontiguousarray(SAMPLES[name])
    powers, integers, doubtful = _scaled(amounts)
    sure = np.setdiff1d(np.arange(len(amounts)), doubtful)
    for place in sure.tolist():
        assert Decimal(int(integers[place])).scaleb(-int(powers[place])) == Decimal(repr(amounts.item(place)))
    if name == "of a table":
        assert len(sure) > 0.999 * len(amounts)


@pytest.mark.parametrize("name", SAMPLES)
def test_sums(name):
    amounts = SAMPLES[name]
    expected = Decimal(0)
    for amount in amounts.tolist():
        expected = EXACT.add(expected, Decimal(repr(amount)))
    assert exact_sum(np.ascontiguousarray(amounts)) == expected
    sums = ExactSum()
    for part in np.split(amounts, [1, 3, 50]):
        sums.add_many(Amounts(part))
        sums.add(0.1)
    assert sums.total == EXACT.add(expected, Decimal("0.4"))


@given(st.lists(st.floats(0, allow_infinity=False), max_size=40))
def test_any_floats(amounts):
    expected = Decimal(0)
    for amount in amounts:
        expected = EXACT.add(expected, decimal_of(amount))
    assert exact_sum(np.array(amounts, dtype=np.float64)) == expected


def test_ten_times_a_tenth():
    assert exact_sum(np.full(20, 0.1)) == 2
    assert exact_sum(np.full(3, 0.1)) == Decimal("0.3")


# --- Price lists -----------------------------------------------------------------------------------------------------


def chosen(prices, things):
    listed = PriceList(prices)
    return Amounts(prices[things], listed.limbs[things], listed.power)


@pytest.mark.parametrize("name", ["of a table", "with any number of digits", "of single precision", "nearly halves"])
def test_sums_of_listed_prices_are_those_of_decimals(name):
    """In any order, with repeats, in parts."""
    prices = SAMPLES[name]
    typical = np.median(prices)
    prices = prices[(prices > typical / 20) & (prices < typical * 20)]
    for size in (0, 1, 20, 5_000):
        things = rng.integers(len(prices), size=size)
        amounts = chosen(prices, things)
        assert amounts.is_quick
        assert amounts.total == exact_sum(prices[things])
        assert amounts.estimate == pytest.approx(float(prices[things].sum()))
        assert amounts[: size // 2].total == exact_sum(prices[things[: size // 2]])
        assert amounts[np.arange(size)[::-1]].total == amounts.total
        sums = ExactSum()
        sums.add(0.1)
        sums.add_many(amounts)
        sums.add_many(Amounts(prices[things]))
        assert sums.total == 2 * exact_sum(prices[things]) + Decimal("0.1")


def test_listed_prices_of_all_kinds():
    """Powers of two, whole numbers and zero are found by other means than the rest."""
    prices = np.array([0.5, 0.25, 3.0, 7.0, 0.0, 0.1, 0.30000000000000004, 20.0, 2.0**-6])
    everything = np.arange(len(prices))
    assert chosen(prices, everything).total == sum(Decimal(repr(price)) for price in prices.tolist())


def test_too_many_amounts_for_one_pass_are_added_up_as_decimals():
    prices = np.array([0.1, 0.7000000000000001])
    amounts = chosen(prices, np.arange(1 << 17) % 2)
    assert not amounts.is_quick
    assert amounts.total == (1 << 16) * Decimal("0.8000000000000001")


@pytest.mark.parametrize("prices", [[1e-30, 1.0], [0.1, 1e15], [1e-12, 0.3]])
def test_prices_too_far_apart_have_no_list(prices):
    with pytest.raises(ValueError, match="prices must be of similar sizes"):
        PriceList(np.array(prices))


def test_a_sum_that_is_asked_for_in_between_is_the_same():
    often, seldom = ExactSum(), ExactSum()
    for number, amount in enumerate(SAMPLES["of all sizes"][:300].tolist(), start=1):
        often.add(amount)
        seldom.add(amount)
        assert often.total >= decimal_of(amount)
        if number % 37 == 0:
            assert often.total == seldom.total
