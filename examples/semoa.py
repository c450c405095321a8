"""SEMOA on the 7-vertex space: ten trials of 100 generations of 10 cells, trained for 4 to 108 epochs.

python examples/semoa.py      (needs the extra [search]: pip install 'ecnas-gym[search]')
"""

from pathlib import Path

import pandas as pd
from tqdm import trange

import ecnas
from ecnas import search

benchmark = ecnas.load("surrogate-7V")
searcher = search.SEMOA(population_size=10, generations=100, min_epochs=4)
trials = []
for seed in trange(10, desc="SEMOA trials"):
    record = search.run(searcher, benchmark, seed=seed, epochs=108, path=Path(f"runs/semoa/7V-{seed}.jsonl"))
    trials.append(pd.DataFrame(record.rows).assign(trial=seed))

results = pd.concat(trials, ignore_index=True)
results.to_csv("runs/semoa/7V.csv", index=False)
print(results[["trial", "hash", "epochs", "val_accuracy", "energy"]])
