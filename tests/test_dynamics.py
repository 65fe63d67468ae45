"""What the iterates do: rates, bounds, cycles and the goldens of the papers' games."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import CYCLE, cycle_game, random_game
from laboratory import algorithm, at, inpo, run, sppo
from scipy.special import log_softmax

from nlhf_repro import games
from nlhf_repro.algorithms.egpo import EGPO
from nlhf_repro.algorithms.nash_md import NashMD
from nlhf_repro.interfaces import Game, ImpossibleSettingError


@pytest.mark.parametrize("eta", [0.005, 0.0075, 0.05, 0.1, 0.2])
def test_inpo_at_the_language_model_steps_cycles_for_ever(eta):
    state = run(inpo(1 / eta, eta / 3), cycle_game(), 3000)
    gaps = []
    for _ in range(600):
        state = inpo(1 / eta, eta / 3).exact_update(state, cycle_game())
        gaps.append(games.duality_gap(CYCLE, state.policy[0]))
    assert max(gaps) > 0.1
    assert np.ptp(gaps) > 0.05


@pytest.mark.parametrize("eta", [0.3, 0.5, 1.0, 2.0])
def test_inpo_with_smaller_steps_converges(eta):
    state = run(inpo(1 / eta, eta / 3), cycle_game(), 3000)
    reference = np.full(3, 1 / 3)
    gap = games.regularized_duality_gap(CYCLE, state.policy[0], reference, eta / 3)
    assert gap < 1e-12


def test_multiplicative_weights_spirals_while_its_average_converges():
    game, state = cycle_game(), at(np.log(np.array([[0.5, 0.3, 0.2]])))
    total, gaps = np.zeros((1, 3)), []
    for update in range(20_000):
        total += state.policy
        state = sppo(0.3).exact_update(state, game)
        if update >= 18_000:
            gaps.append(float(games.duality_gap(CYCLE, state.policy[0])))
    assert np.mean(gaps) == pytest.approx(0.68, abs=0.02)
    assert min(gaps) > 0.1
    assert games.duality_gap(CYCLE, total[0] / 20_000) < 1e-2


def test_inpo_on_the_cycle_stops_at_the_published_gap():
    state = run(inpo(0.3, 0.1), cycle_game(), 5000)
    assert games.duality_gap(CYCLE, state.policy[0]) == pytest.approx(2.4489777240e-2, abs=1e-11)


def kl_to_nash(method, game, updates):
    """KL(pi*, pi_t) for t = 0..updates, [updates + 1, games]."""
    reference = np.exp(game.log_reference)
    nash = games.regularized_nash_equilibrium(
        game.preference_matrix, reference, method.regularization
    )
    state, values = method.initial_state(game), []
    for _ in range(updates + 1):
        values.append((nash * (np.log(nash) - log_softmax(state.log_policy, -1))).sum(-1))
        state = method.exact_update(state, game)
    return np.array(values)


@pytest.mark.parametrize("tau", [0.1, 0.5])
@pytest.mark.parametrize("step", ["one", "nash_mp", "small"])
def test_egpo_contracts_at_its_rate(tau, step):
    alpha = {"one": 1.0, "nash_mp": 2 / (1 + 2 * tau), "small": 1 / (tau + 3)}[step]
    kl = kl_to_nash(EGPO(alpha, tau, "probability", 1), random_game(11, 10, 10), 120)
    bound = kl[0] * (1 - alpha * tau) ** np.arange(121)[:, None]
    assert (kl <= bound + 1e-14).all()
    for values in kl.T:
        span = np.flatnonzero((values < kl.max() / 10) & (values > 1e-11))
        slope = np.polyfit(span, np.log(values[span]), 1)[0]
        assert len(span) >= 4
        assert slope <= np.log(1 - alpha * tau), "slower than the claimed linear rate"


@pytest.mark.parametrize("tau", [0.1, 0.3])
def test_the_harmonic_schedules_meet_their_theorems(tau):
    game, updates = random_game(12, 10, 10), 400
    horizon = np.arange(1, updates + 1)[:, None]
    nash_md = kl_to_nash(NashMD("harmonic", tau, None, "probability", 1), game, updates)[1:]
    assert (nash_md <= 8 / (tau**2 * (horizon + 1))).all()
    online_mirror = kl_to_nash(inpo("harmonic", tau), game, updates)[1:]
    assert (online_mirror <= 32 / (tau**2 * (horizon + 1))).all()
    for values in (nash_md, online_mirror):
        slope = np.log(values[-1] / values[39]) / np.log(10)
        assert (slope < -1).all(), "the theorem promises 1 / T"


def test_nash_md_with_a_constant_step_is_biased_by_the_known_amount():
    """KL(pi*, fixed point) on the cycle: 5e-6 at alpha = 0.3 and 7e-5 at alpha = 1 (tau = 0.1)."""
    for alpha, low, high in ((0.3, 4e-6, 6e-6), (1.0, 6e-5, 8e-5)):
        method = NashMD(alpha, 0.1, None, "probability", 1)
        assert low < kl_to_nash(method, cycle_game(), 2000)[-1, 0] < high


@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_the_log_ratio_of_exact_inpo_stays_within_one_over_tau(tau):
    game, state = random_game(13, 20, 10), None
    for alpha in (0.3, 1 / tau):
        state = inpo(alpha, tau).initial_state(game)
        for _ in range(300):
            state = inpo(alpha, tau).exact_update(state, game)
            ratio = log_softmax(state.log_policy, axis=-1) - game.log_reference
            assert np.abs(ratio).max() <= 1 / tau


def test_iterative_dpo_refuses_certain_preferences():
    game = Game(np.array([[[0.5, 1.0], [0.0, 0.5]]]), np.log(np.full((1, 2), 0.5)))
    with pytest.raises(ImpossibleSettingError, match="game 0 are one-sided"):
        run(algorithm("iterative_dpo"), game, 1)
