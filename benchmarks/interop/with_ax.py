# /// script
# dependencies = ["ecnas-gym", "ax-platform", "torch"]
# ///
"""Quasi-random cells, then Bayesian optimisation. An invalid cell is a failed trial."""

import logging

from ax.service.ax_client import AxClient, ObjectiveProperties

import ecnas
from ecnas.interchange import ax_parameters, from_parameters  # glue

logging.disable(logging.WARNING)
benchmark = ecnas.load("surrogate-5V")
client = AxClient(random_seed=0, verbose_logging=False)
objectives = {"accuracy": ObjectiveProperties(minimize=False)}
client.create_experiment(parameters=ax_parameters("5V"), objectives=objectives)  # glue
found = []
for _ in range(24):
    parameters, trial = client.get_next_trial()
    try:  # glue
        found.append(benchmark.query(from_parameters(parameters)).val_accuracy)  # glue
        client.complete_trial(trial, {"accuracy": (found[-1], 0.0)})
    except (ecnas.InvalidCellError, ecnas.OutOfDomainError):  # glue
        client.log_trial_failure(trial)  # glue
print(f"{len(found)} cells of 24 trials, best accuracy {max(found):.3f}")
