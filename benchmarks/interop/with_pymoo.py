# /// script
# dependencies = ["ecnas-gym", "pymoo"]
# ///
"""Mixed-variable evolution. An invalid cell gets the worst values."""

from pymoo.core.mixed import MixedVariableGA
from pymoo.core.problem import ElementwiseProblem
from pymoo.optimize import minimize

import ecnas
from ecnas.interchange import from_parameters, pymoo_variables  # glue

benchmark = ecnas.load("surrogate-7V")


class Accuracy(ElementwiseProblem):
    """Minus the accuracy of the cell that the variables describe."""

    def _evaluate(self, X, out, *args, **kwargs):
        try:  # glue
            cell = from_parameters(X)  # glue
            out["F"] = -benchmark.query(cell).val_accuracy
        except (ecnas.InvalidCellError, ecnas.OutOfDomainError):  # glue
            out["F"] = 0.0  # glue


problem = Accuracy(vars=pymoo_variables("7V"), n_obj=1)  # glue
result = minimize(problem, MixedVariableGA(pop_size=20), ("n_evals", 200), seed=0)
print(f"200 trials, best accuracy {-result.F[0]:.3f}")
