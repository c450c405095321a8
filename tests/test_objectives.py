from __future__ import annotations

import math

import numpy as np
import pytest

import ecnas
from ecnas import Chebyshev, EnergyCap, Linear, PowerLaw, SoftCap, UnknownNameError
from ecnas.objectives import Normalisation, make_scalarisation

BOUNDS = Normalisation(("val_accuracy", "energy"), ideal=(0.95, 0.01), nadir=(0.75, 1.0))


def test_scores_are_linear_in_accuracy_and_logarithmic_in_energy():
    figures = np.array([[0.75, 1.0], [0.85, 0.1], [0.95, 0.01], [0.65, 10.0]])
    assert BOUNDS.scores(figures) == pytest.approx(np.array([[0, 0], [0.5, 0.5], [1, 1], [-0.5, -0.5]]))
    assert BOUNDS.rewards(figures)[3].tolist() == [0, 0]
    assert BOUNDS.metric("energy", 0.5) == pytest.approx(0.1)
    assert BOUNDS.metric("val_accuracy", -0.1) == pytest.approx(0.73)


def call(scalarisation, rewards, accuracy=0.9, energy=0.1):
    figures = {"val_accuracy": np.array(accuracy), "energy": np.array(energy)}
    return float(scalarisation(np.array(rewards, dtype=float), figures))


def test_linear():
    assert call(Linear(), [0.2, 0.6]) == pytest.approx(0.4)
    assert call(Linear((3, 1)), [0.2, 0.6]) == pytest.approx(0.3)


def test_chebyshev_prefers_balance_and_stays_above_minus_one():
    assert call(Chebyshev(rho=0.0), [0.2, 0.6]) == pytest.approx(-0.4)
    assert call(Chebyshev(), [1, 1]) == 0
    assert call(Chebyshev((1, 0)), [0, 0]) == pytest.approx(-1)
    assert call(Chebyshev(), [0.5, 0.5]) > call(Chebyshev(), [0.0, 1.0])


def test_energy_cap():
    cap = EnergyCap(0.2)
    assert call(cap, [0, 0], energy=0.2) == 0.9
    assert call(cap, [0, 0], energy=0.4) == -0.5
    assert -1 < call(cap, [0, 0], energy=1e9) < call(cap, [0, 0], energy=0.21) < 0


def test_a_soft_cap_fines_what_is_not_good_enough():
    cap = SoftCap(0.25)
    assert call(cap, [0.9, 0.25]) == call(cap, [0.9, 1.0]) == 0.9
    assert call(cap, [0.9, 0.15]) == pytest.approx(0.8)
    assert call(cap, [0.0, 0.0]) == -0.25
    assert call(cap, [0.9, 0.15, 0.05, 0.5]) == pytest.approx(0.7)  # the worst one decides
    assert call(cap, [0.9]) == 0.9
    assert make_scalarisation("soft-cap", BOUNDS) == SoftCap()
    for wrong in (-0.1, 1.1, math.nan, True, "0.2"):
        with pytest.raises(ValueError, match="least must be a number from 0 to 1, got "):
            SoftCap(wrong)


def test_power_law():
    assert call(PowerLaw(0.1), [0, 0]) == pytest.approx(0.9)
    assert call(PowerLaw(0.1), [0, 0], energy=0.2) == pytest.approx(0.9 * 2**-0.07)


def test_names_take_the_middle_of_the_front():
    assert make_scalarisation("cap", BOUNDS).cap == pytest.approx(0.1)
    assert make_scalarisation("power", BOUNDS).target == pytest.approx(0.1)
    assert make_scalarisation("linear", BOUNDS, [1, 3]) == Linear((1.0, 3.0))


@pytest.mark.parametrize("weights", [(math.nan, 1), (-1, 2), (0, 0), (math.inf, 1)])
@pytest.mark.parametrize("kind", [Linear, Chebyshev])
def test_bad_weights(kind, weights):
    with pytest.raises(ValueError, match="weights must be numbers from 0"):
        kind(weights)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_bad_parameters(value):
    with pytest.raises(ValueError, match="cap must be"):
        EnergyCap(value)
    with pytest.raises(ValueError, match="target must be"):
        PowerLaw(value)


def test_other_bad_parameters():
    with pytest.raises(ValueError, match="exponent must be"):
        PowerLaw(1.0, 0.5)
    with pytest.raises(ValueError, match="rho must be"):
        Chebyshev(rho=-1)
    with pytest.raises(ValueError, match="one number for each"):
        make_scalarisation("linear", BOUNDS, [1, 2, 3])
    with pytest.raises(ValueError, match="takes no weights"):
        make_scalarisation("cap", BOUNDS, [1, 2])
    with pytest.raises(ValueError, match="needs the objective 'energy'"):
        make_scalarisation("cap", Normalisation(("val_accuracy",), (1.0,), (0.0,)))
    with pytest.raises(UnknownNameError, match="Did you mean 'linear'"):
        make_scalarisation("linaer", BOUNDS)
    with pytest.raises(ValueError, match="weights must be 2 numbers"):
        call(Linear((1, 2, 3)), [0.5, 0.5])


@pytest.mark.parametrize("name", ["val_accuracy", "energy"])
def test_an_objective_with_one_value_is_at_its_best(name):
    normalisation = Normalisation((name,), (0.25,), (0.25,))
    better, worse = (0.3, 0.2) if name == "val_accuracy" else (0.2, 0.3)
    scores = normalisation.scores(np.array([[0.25], [better], [worse]]))[:, 0]
    assert scores[0] == 1.0
    assert scores[2] < 1.0 < scores[1]
    for score in (-0.1, 0.5, 1.0):
        figure = normalisation.metric(name, score)
        assert normalisation.scores(np.array([figure]))[0] == pytest.approx(score)


def test_metrics_are_the_inverse_of_scores():
    benchmark = ecnas.load("surrogate-4V")
    normalisation = benchmark.normalisation(("val_accuracy", "energy", "trainable_parameters"))
    given = {name: benchmark.values(name) for name in normalisation.names}
    found = normalisation.metrics(normalisation.scores(normalisation.select(given)))
    for name, values in given.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)
