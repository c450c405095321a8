"""The units in which budgets and costs are counted."""

from __future__ import annotations

from typing import Final, NamedTuple

from ecnas.errors import UnknownNameError


class Currency(NamedTuple):
    """One kind of cost.

    Attributes:
        name: Its name in sweeps, plots and pages.
        limit: The argument of :class:`ecnas.Budget`, and the field of :class:`ecnas.Spending`.
        unit: Its unit; "" for counts.
        label: Its label on axes.
        column: The column of a run record that is summed; None where evaluations are counted.
    """

    name: str
    limit: str
    unit: str
    label: str
    column: str | None


CURRENCIES: Final = {
    currency.name: currency
    for currency in (
        Currency("evaluations", "evaluations", "", "evaluations", None),
        Currency("epochs", "epochs", "", "epochs of training", "cumulative_epochs"),
        Currency("energy", "energy", "kWh", "energy of all trainings (kWh)", "cumulative_energy"),
        Currency("time", "seconds", "s", "time of all trainings (s)", "cumulative_time"),
    )
}
"""The currencies by name."""


def currency_of(name: str) -> Currency:
    """The currency with a name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in CURRENCIES:
        raise UnknownNameError("currency", name, CURRENCIES)
    return CURRENCIES[name]
