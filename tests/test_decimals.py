"""Sums of whole arrays are those of the decimals that ``repr`` shows."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecnas.decimals import EXACT, ExactSum, _scaled, decimal_of, exact_sum

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
        sums.add_many(part)
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
