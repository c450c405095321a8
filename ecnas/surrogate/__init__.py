"""How the embedded tables are made, and how the energy of a new machine is learned.

* :mod:`ecnas.surrogate.features`: the models' inputs for a cell (numpy only);
* :mod:`ecnas.surrogate.data`: the measured metrics;
* :mod:`ecnas.surrogate.graph_network` and :mod:`ecnas.surrogate.gaussian_process`: the models;
* :mod:`ecnas.surrogate.calibration` and :mod:`ecnas.surrogate.noise`: corrections of the models' bias, and the scatter
  of trainings around the expected values;
* :mod:`ecnas.surrogate.stages`, :mod:`~ecnas.surrogate.tables`, :mod:`~ecnas.surrogate.report` and
  :mod:`~ecnas.surrogate.train`: from the metrics to the table and its report (``make surrogate``);
* :mod:`ecnas.surrogate.energy`: the energy of your own machine, from cells you have measured.

Nothing here is needed to use the embedded tables. Training needs ``pip install 'ecnas-gym[surrogate]'``.
"""
