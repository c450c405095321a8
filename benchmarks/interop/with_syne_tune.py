# /// script
# dependencies = ["ecnas-gym", "syne-tune[basic]"]
# ///
"""Regularised evolution through ask and tell, in one process. An invalid cell is reported as the worst."""

import datetime

from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice
from syne_tune.optimizer.baselines import REA

import ecnas
from ecnas.interchange import from_parameters, parameters  # glue

benchmark = ecnas.load("surrogate-7V")
space = {name: choice(list(choices)) for name, choices in parameters("7V").items()}  # glue
scheduler = REA(space, metric="accuracy", do_minimize=False, random_seed=0, population_size=20, sample_size=5)
found = []
for number in range(200):
    trial = Trial(number, scheduler.suggest().config, datetime.datetime.now())
    try:  # glue
        found.append(benchmark.query(from_parameters(trial.config)).val_accuracy)  # glue
        result = {"accuracy": found[-1]}
    except (ecnas.InvalidCellError, ecnas.OutOfDomainError):  # glue
        result = {"accuracy": 0.0}  # glue
    scheduler.on_trial_complete(trial, result)
print(f"{len(found)} cells of 200 trials, best accuracy {max(found):.3f}")
