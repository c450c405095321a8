"""How the embedded tables are made, and how a new machine's energy is learned.

* :mod:`ecnas.surrogate.features`: what the models see of a cell (numpy only);
* :mod:`ecnas.surrogate.data`: the measured metrics;
* :mod:`ecnas.surrogate.graph_network` and :mod:`ecnas.surrogate.gaussian_process`: the models;
* :mod:`ecnas.surrogate.calibration` and :mod:`ecnas.surrogate.noise`: what models leave: their bias, and how trainings
  scatter around what is expected;
* :mod:`ecnas.surrogate.stages`, :mod:`~ecnas.surrogate.tables`, :mod:`~ecnas.surrogate.report` and
  :mod:`~ecnas.surrogate.train`: from the metrics to the table and its report (``make surrogate``);
* :mod:`ecnas.surrogate.energy`: energy of your own machine from the cells you measured.

Nothing here is needed to use the embedded tables. Training needs ``pip install 'ecnas-gym[surrogate]'``.
"""
