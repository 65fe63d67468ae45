"""Exact faces: fixed points, identities, rates and goldens of the papers' algorithms."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import CONF, CYCLE, cycle_game, random_game
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.optimize import root
from scipy.special import log_softmax, logsumexp, softmax

from nlhf_repro import games
from nlhf_repro.algorithms.egpo import EGPO
from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.algorithms.iterative_dpo import IterativeDPO, logistic_regression
from nlhf_repro.algorithms.nash_md import NashMD
from nlhf_repro.algorithms.nash_md_pg import NashMDPG
from nlhf_repro.algorithms.online_ipo import OnlineIPO
from nlhf_repro.algorithms.sppo import SPPO
from nlhf_repro.interfaces import ExactState, Game, ImpossibleSettingError

ALGORITHMS = sorted(path.stem for path in (CONF / "algorithm").glob("*.yaml"))


def algorithm(name, **changes):
    node = OmegaConf.load(CONF / "algorithm" / f"{name}.yaml")
    return instantiate(OmegaConf.merge(node, changes))


def inpo(step_size, regularization):
    return INPO(step_size, regularization, 2, "unfiltered", "probability", None)


def sppo(step_size, normalizer="exact", **changes):
    settings = {"responses": 1, "self_comparison": False} | changes
    return SPPO(
        step_size=step_size,
        labels="probability",
        normalizer=normalizer,
        gradient_steps=None,
        regularization=0.0,
        **settings,
    )


def run(method, game, updates, state=None):
    state = method.initial_state(game) if state is None else state
    for _ in range(updates):
        state = method.exact_update(state, game)
    return state


def at(policy_logits, updates=0):
    return ExactState(policy_logits, softmax(policy_logits, axis=-1), updates)


def full_support_games():
    odd = np.full((5, 5), 0.5)
    for i in range(5):
        odd[i, [(i + 1) % 5, (i + 2) % 5]] = 0.8
        odd[[(i + 1) % 5, (i + 2) % 5], i] = 0.2
    return [cycle_game(), Game(odd[None], log_softmax(np.arange(5.0))[None])]


def bradley_terry_game():
    rng = np.random.default_rng(3)
    scores = rng.standard_normal((4, 6))
    matrix = 1 / (1 + np.exp(scores[:, None, :] - scores[:, :, None]))
    reference = log_softmax(rng.standard_normal((4, 6)), axis=-1)
    return Game(matrix, reference, scores)


def mixture_point(method, game):
    """pi = softmax(log ref + P mixture / tau), solved by a general root finder for every game."""
    share, tau = method.mixture_share(0), method.regularization
    points = []
    for matrix, log_reference in zip(game.preference_matrix, game.log_reference, strict=True):

        def residual(theta, matrix=matrix, log_reference=log_reference):
            mixture = softmax((1 - share) * theta + share * log_reference)
            return theta - log_softmax(log_reference + matrix @ mixture / tau)

        solution = root(residual, log_reference, tol=1e-14)
        assert np.abs(residual(solution.x)).max() < 1e-11
        points.append(solution.x)
    return np.stack(points)


def declared_points(method):
    """(game, log-policy) at the fixed point that the algorithm declares, found by other means."""
    kind = method.fixed_point
    if kind == "regularized_nash":
        game = random_game(1, 6, 5)
        policy = games.regularized_nash_equilibrium(
            game.preference_matrix, np.exp(game.log_reference), method.regularization
        )
        yield game, np.log(policy)
    elif kind == "nash":
        for game in full_support_games():
            yield game, np.log(games.nash_equilibrium(game.preference_matrix))
    elif kind == "mixture_point":
        game = random_game(1, 6, 5)
        yield game, mixture_point(method, game)
    elif kind == "bradley_terry_optimum":
        game = bradley_terry_game()
        yield game, game.log_reference + game.scores / method.regularization
    elif kind == "start":
        game = random_game(1, 6, 5)
        yield game, game.log_reference


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_declared_fixed_point_is_fixed(name):
    method = algorithm(name)
    points = list(declared_points(method))
    assert points, f"{name} declares {method.fixed_point}, for which there is no test"
    for game, log_policy in points:
        moved = method.exact_update(at(log_policy), game).policy
        np.testing.assert_allclose(moved, softmax(log_policy, axis=-1), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_update_off_the_fixed_point_moves(name):
    game = random_game(5, 3, 4)
    method = algorithm(name)
    moved = method.exact_update(method.initial_state(game), game).policy
    if method.tie.kind == "identity":
        np.testing.assert_array_equal(moved, softmax(game.log_reference, axis=-1))
    else:
        assert np.abs(moved - np.exp(game.log_reference)).max() > 1e-3


@pytest.mark.parametrize("name", ALGORITHMS)
def test_games_do_not_influence_each_other(name):
    game, method = random_game(2, 4, 5), algorithm(name)
    together = run(method, game, 5).policy
    for index in range(4):
        alone = Game(game.preference_matrix[[index]], game.log_reference[[index]])
        np.testing.assert_allclose(run(method, alone, 5).policy[0], together[index], atol=1e-13)


def test_one_inpo_step_by_hand():
    game = random_game(7, 1, 3)
    theta = np.array([[0.2, -0.4, 0.1]])
    pi, ref, win = softmax(theta), np.exp(game.log_reference), 0.0
    win = pi @ game.preference_matrix[0].T
    eta, tau = 2.0, 0.6
    expected = np.exp(win / eta) * ref ** (tau / eta) * pi ** (1 - tau / eta)
    moved = inpo(1 / eta, tau).exact_update(at(theta), game).policy
    np.testing.assert_allclose(moved, expected / expected.sum(), atol=1e-15)


def test_one_egpo_step_by_hand():
    game = random_game(8, 1, 3)
    theta, alpha, tau = np.array([[0.3, 0.0, -0.7]]), 0.5, 0.2
    matrix, ref = game.preference_matrix[0], game.log_reference
    half = (1 - alpha * tau) * theta + alpha * tau * ref + alpha * softmax(theta) @ matrix.T
    full = (1 - alpha * tau) * theta + alpha * tau * ref + alpha * softmax(half) @ matrix.T
    moved = EGPO(alpha, tau, "probability").exact_update(at(theta), game).policy
    np.testing.assert_allclose(moved, softmax(full), atol=1e-15)


def test_on_policy_ipo_and_nash_md_pg_steps_are_the_gradients_of_their_losses():
    game = random_game(9, 1, 4)
    theta, tau, rate = np.array([0.3, 0.0, -0.7, 0.5]), 0.3, 0.01
    matrix, ref = game.preference_matrix[0], game.log_reference[0]
    frozen = softmax(theta)

    def ipo(values):
        ratio = values - ref
        target = (matrix - 0.5) / tau
        return frozen @ ((ratio[:, None] - ratio[None, :] - target) ** 2) @ frozen

    def gradient(loss, h=1e-6):
        return np.array([(loss(theta + h * e) - loss(theta - h * e)) / (2 * h) for e in np.eye(4)])

    alpha = 4 * rate / (tau * 4)
    moved = OnlineIPO(alpha, tau, "on_policy", "probability").exact_update(at(theta[None]), game)
    np.testing.assert_allclose(
        moved.policy[0], softmax(theta - rate * gradient(ipo)), atol=1e-10, rtol=0
    )
    mixture = softmax(0.875 * theta + 0.125 * ref)
    value = matrix @ mixture - tau * (log_softmax(theta) - ref)
    expected = theta + rate * (frozen * (value - frozen @ value))
    moved = NashMDPG(rate / 4, tau, 0.125, 0.5, "probability").exact_update(at(theta[None]), game)
    np.testing.assert_allclose(moved.policy[0], softmax(expected), atol=1e-15)


def test_uniform_online_ipo_and_inpo_are_the_same_exact_update():
    game = random_game(4, 5, 6)
    one = run(OnlineIPO(0.4, 0.2, "uniform", "probability"), game, 50).policy
    np.testing.assert_allclose(one, run(inpo(0.4, 0.2), game, 50).policy, atol=1e-14)


def test_inpo_without_regularization_is_multiplicative_weights():
    game = random_game(4, 5, 6)
    one = run(inpo(0.4, 0.0), game, 50).policy
    np.testing.assert_allclose(one, run(sppo(0.4), game, 50).policy, atol=1e-14)


def test_nash_md_with_no_mixture_is_inpo():
    game = random_game(4, 5, 6)
    one = run(NashMD(0.4, 0.2, 0.0, "probability"), game, 50).policy
    np.testing.assert_allclose(one, run(inpo(0.4, 0.2), game, 50).policy, atol=1e-14)


@pytest.mark.parametrize(
    ("step", "low", "high"), [(0.1, 1e-9, 1e-6), (1, 1e-6, 1e-3), (5, 1e-3, 5e-2)]
)
def test_the_constant_one_half_departs_from_the_normalizer_as_the_step_grows(step, low, high):
    game = cycle_game(log_softmax(np.array([0.5, -0.5, 0.2])))
    exact = run(sppo(step), game, 1).policy
    half = run(sppo(step, "half"), game, 1).policy
    assert low < np.abs(exact - half).max() < high


@pytest.mark.parametrize("step", [0.1, 1.0, 5.0, 100.0, 1000.0])
def test_the_half_normalized_update_is_the_constrained_minimiser(step):
    """Stationarity of E[(r - c)^2] with E[exp r] = 1: c - r is proportional to exp r."""
    game = random_game(6, 3, 5)
    start = game.log_reference
    state = run(sppo(step, "half"), game, 1)
    ratio = log_softmax(state.log_policy, axis=-1) - start
    target = step * (np.einsum("gij,gj->gi", game.preference_matrix, np.exp(start)) - 0.5)
    np.testing.assert_allclose(logsumexp(ratio + start, axis=-1), 0, atol=1e-12)
    slack, top = target - ratio, ratio.argmax(axis=-1)[:, None]
    proportional = np.exp(ratio - np.take_along_axis(ratio, top, -1))
    expected = np.take_along_axis(slack, top, -1) * proportional
    np.testing.assert_allclose(slack, expected, atol=1e-13 * max(step, 1), rtol=0)
    assert (np.diff(np.take_along_axis(ratio, target.argsort(axis=-1), -1), axis=-1) > 0).all()


def test_self_comparison_shrinks_the_step():
    game = random_game(6, 3, 5)
    shrunk = run(sppo(0.5, responses=5, self_comparison=True), game, 3).policy
    np.testing.assert_allclose(shrunk, run(sppo(0.4), game, 3).policy, atol=1e-14)
    frozen = run(sppo(0.5, responses=1, self_comparison=True), game, 3).policy
    np.testing.assert_allclose(frozen, np.exp(game.log_reference), atol=1e-15)


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
    kl = kl_to_nash(EGPO(alpha, tau, "probability"), random_game(11, 10, 10), 120)
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
    nash_md = kl_to_nash(NashMD("harmonic", tau, None, "probability"), game, updates)[1:]
    assert (nash_md <= 8 / (tau**2 * (horizon + 1))).all()
    online_mirror = kl_to_nash(inpo("harmonic", tau), game, updates)[1:]
    assert (online_mirror <= 32 / (tau**2 * (horizon + 1))).all()
    for values in (nash_md, online_mirror):
        slope = np.log(values[-1] / values[39]) / np.log(10)
        assert (slope < -1).all(), "the theorem promises 1 / T"


def test_nash_md_with_a_constant_step_is_biased_by_the_known_amount():
    """KL(pi*, fixed point) on the cycle: 5e-6 at alpha = 0.3 and 7e-5 at alpha = 1 (tau = 0.1)."""
    for alpha, low, high in ((0.3, 4e-6, 6e-6), (1.0, 6e-5, 8e-5)):
        method = NashMD(alpha, 0.1, None, "probability")
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


def test_logistic_regression_recovers_bradley_terry_scores_from_any_sampler():
    game = bradley_terry_game()
    sampler = softmax(np.random.default_rng(0).standard_normal((4, 6)) * 3, axis=-1)
    expected = game.scores - game.scores.mean(axis=-1, keepdims=True)
    found = logistic_regression(game.preference_matrix, sampler)
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_on_other_preferences_the_fitted_reward_depends_on_the_sampler():
    """Theorem 2 of Munos et al.: with cyclic preferences even the best action changes."""
    peaked = [np.array([[0.6, 0.2, 0.2]]), np.array([[0.2, 0.6, 0.2]])]
    best = [logistic_regression(CYCLE[None], sampler).argmax() for sampler in peaked]
    assert best[0] != best[1]


def test_iterative_dpo_refuses_certain_preferences():
    game = Game(np.array([[[0.5, 1.0], [0.0, 0.5]]]), np.log(np.full((1, 2), 0.5)))
    with pytest.raises(ImpossibleSettingError, match=r"preference_matrix\[0, 0, 1\] is 0 or 1"):
        run(algorithm("iterative_dpo"), game, 1)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("inpo", {"step_size": 20.0}, "exceeds 1"),
        ("inpo", {"step_size": "harmonic", "regularization": 0.0}, "divides by"),
        ("inpo", {"design": "best_worst", "responses": 1}, "algorithm.responses = 1"),
        ("inpo", {"design": "tournament"}, "takes 8"),
        ("egpo", {"regularization": 0.0}, "must be positive"),
        ("nash_md", {"regularization": 0.0}, "must be positive"),
        ("nash_md", {"mixture_weight": 1.5}, "outside"),
        ("online_ipo", {"regularization": 0.0}, "must be positive"),
        ("iterative_dpo", {"regularization": 0.0}, "must be"),
        ("iterative_dpo", {"labels": "score"}, "design to best_worst"),
        ("sppo", {"responses": 0}, "at least 1"),
        ("sppo", {"regularization": 0.1}, "no meaning"),
        ("sppo", {"step_size": 0.0}, "must be positive"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(name, changes, message):
    with pytest.raises(Exception, match=message) as caught:
        algorithm(name, **changes)
    cause = caught.value.__cause__ or caught.value
    assert isinstance(cause, ImpossibleSettingError)
    assert "\n" not in str(cause)


def test_the_iterative_dpo_optimum_does_not_depend_on_where_it_starts():
    game = bradley_terry_game()
    method = IterativeDPO(0.5, 2, "unfiltered", "probability", "reference", None)
    other = at(np.random.default_rng(1).standard_normal((4, 6)))
    one = method.exact_update(other, game).policy
    np.testing.assert_allclose(one, run(method, game, 1).policy, atol=1e-11)
