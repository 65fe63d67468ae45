"""Preference games as matrices: responses, gaps, equilibria and structure, in float64.

Policies given as log-probabilities go to `nlhf_repro.games.log_space`.
"""

from nlhf_repro.games.checks import (
    MalformedGameError,
    check_game,
    check_log_policy,
    check_policy,
    check_preference_matrix,
    check_reference,
    check_regularization,
)
from nlhf_repro.games.equilibria import (
    EquilibriumError,
    log_regularized_nash_equilibrium,
    nash_equilibrium,
    regularized_nash_equilibrium,
)
from nlhf_repro.games.interval_games import (
    equilibrium_share_bounds,
    exploitability_upper_bound,
)
from nlhf_repro.games.responses import (
    best_response,
    duality_gap,
    exploitability,
    kl_to_equilibrium,
    preference,
    regularized_best_response,
    regularized_duality_gap,
    regularized_exploitability,
)
from nlhf_repro.games.structure import (
    HodgeDecomposition,
    MajorityCycles,
    complete_preferences,
    cycle_share,
    hodge_decomposition,
    majority_cycles,
)

__all__ = [
    "EquilibriumError",
    "HodgeDecomposition",
    "MajorityCycles",
    "MalformedGameError",
    "best_response",
    "check_game",
    "check_log_policy",
    "check_policy",
    "check_preference_matrix",
    "check_reference",
    "check_regularization",
    "complete_preferences",
    "cycle_share",
    "duality_gap",
    "equilibrium_share_bounds",
    "exploitability",
    "exploitability_upper_bound",
    "hodge_decomposition",
    "kl_to_equilibrium",
    "log_regularized_nash_equilibrium",
    "majority_cycles",
    "nash_equilibrium",
    "preference",
    "regularized_best_response",
    "regularized_duality_gap",
    "regularized_exploitability",
    "regularized_nash_equilibrium",
]
