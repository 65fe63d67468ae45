"""Bounds that the papers prove, as functions of what a record holds; T is counted as the papers do.

The papers' pi_1 is the reference policy, so the policy after u updates is their pi_{u+1}. All
arrays broadcast; logarithms are natural.
"""

from __future__ import annotations

import numpy as np

from nlhf_repro.interfaces import Array


def log_ratio_scale(largest_log_ratio: Array, regularization: float) -> Array:
    """C = max(B tau, 1), B the largest |log pi / pi_ref| of a run (INPO, arXiv:2407.00617)."""
    return np.maximum(largest_log_ratio * regularization, 1.0)


def last_iterate_kl(updates: Array, regularization: float, scale: Array | float) -> Array:
    """KL(pi*, pi_T) <= 32 C^2 / (tau^2 (T + 1)), T = updates + 1 (INPO, Theorem 4).

    For exact updates with step 2 / (tau (t + 2)), pi* the regularized equilibrium.
    """
    return np.asarray(32 * np.square(scale) / (regularization**2 * (updates + 2)))


def log_ratio(updates: Array, regularization: float) -> Array:
    """|log pi_t / pi_ref| <= 1 / tau at every update.

    Holds for exact INPO from the reference with steps of at most 1 / tau: the log-ratio is a convex
    combination of win rates over tau, up to the normalizer (our reading).
    """
    return np.full(np.shape(updates), 1 / regularization)


def average_gap_constant(gap: Array, updates: Array, scale: Array, divergence: Array) -> Array:
    """The constant c in DualGap(average of pi_1..pi_T) = c C sqrt(D / T), T = updates >= 1.

    INPO, Theorem 3, proves O(C sqrt(D / T)) and states no constant; D = max_pi KL(pi || pi_1),
    which is max_y -log pi_ref(y).
    """
    return np.asarray(gap * np.sqrt(updates) / (scale * np.sqrt(divergence)))
