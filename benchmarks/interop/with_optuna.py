# /// script
# dependencies = ["ecnas-gym", "optuna"]
# ///
"""Tree-structured Parzen estimator on two objectives. An invalid cell is a pruned trial."""

import optuna

import ecnas
from ecnas.interchange import suggest  # glue

benchmark = ecnas.load("surrogate-7V")


def objective(trial: optuna.Trial) -> tuple[float, float]:
    evaluation = benchmark.query(suggest(trial, "7V"))  # glue
    return evaluation.val_accuracy, evaluation.energy


optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(objective, n_trials=60)
complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
best = max(trial.values[0] for trial in complete)
print(f"{len(complete)} cells of 60 trials, {len(study.best_trials)} on the front, best accuracy {best:.3f}")
