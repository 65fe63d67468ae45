"""What every part has to keep, as checks that say in a sentence what does not hold.

`nlhf check` runs them on a user's part, the tests on everything that ships.
"""

from collections.abc import Iterable

from nlhf_repro.conformance import (
    benchmarks,
    directions,
    exact_face,
    fixed_points,
    judged_benchmarks,
    judges,
    language_models,
    learned_oracles,
    ledgers,
    memory,
    model_benchmarks,
    models,
    oracles,
    prompts,
    reproducibility,
    sample_benchmarks,
    settings,
    text_oracles,
    text_wrappers,
    ties,
)
from nlhf_repro.conformance.outcomes import (
    AdviceError,
    Check,
    ConformanceError,
    NotApplicableError,
    Outcome,
    outcomes,
)
from nlhf_repro.conformance.subjects import Group, Subject
from nlhf_repro.pipeline.scored import kind_of

CHECKS: dict[Group, tuple[Check, ...]] = {
    "algorithm": (
        exact_face.it_is_built_and_has_every_method,
        exact_face.the_docstring_says_guarantee_and_departures,
        exact_face.exact_policies_are_finite_and_normalized,
        exact_face.exact_updates_keep_games_apart,
        exact_face.exact_updates_leave_their_arguments_alone_and_repeat,
        exact_face.exact_updates_move_off_the_fixed_point,
        exact_face.one_update_improves_on_the_reference,
        fixed_points.the_declared_fixed_point_is_fixed,
        memory.what_is_remembered_moves_and_matters,
        memory.where_updates_rest_is_the_declared_point,
        ties.the_tie_of_the_faces_holds,
        directions.an_untied_fit_moves_as_the_exact_update,
        ties.sampled_gradients_average_to_the_expected_one,
        ledgers.the_ledger_is_exact_to_the_unit,
        ledgers.answers_are_of_the_declared_kind,
        ledgers.both_faces_count_the_same_evaluations,
        ledgers.a_budget_is_never_exceeded,
        reproducibility.the_seed_decides_a_sampled_run,
        settings.impossible_numbers_are_refused,
        settings.unknown_words_are_refused,
        settings.every_option_runs_or_is_refused,
        settings.faces_refuse_what_they_would_ignore,
    ),
    "oracle": (
        oracles.games_are_symmetric_with_full_support,
        oracles.scores_explain_the_preferences,
        oracles.the_world_decides_the_games,
        oracles.wrapped_answers_stay_symmetric,
    ),
    "oracle_wrapper": (oracles.a_wrapper_keeps_answers_symmetric,),
    "benchmark": (
        benchmarks.scores_have_a_shape_and_a_floor,
        benchmarks.games_and_points_are_scored_apart,
        benchmarks.a_gap_is_zero_at_an_equilibrium_alone,
        benchmarks.the_order_of_actions_changes_nothing,
    ),
    "model": (
        models.it_starts_at_the_reference,
        models.log_prob_is_that_of_the_policy,
        models.games_share_no_weights,
        models.snapshots_restore_the_policy,
        models.samples_follow_the_policy,
        language_models.a_base_can_converse,
        language_models.the_seed_decides_the_base,
        language_models.all_responses_sum_to_one,
        language_models.snapshots_restore_the_language_model,
        language_models.responses_follow_the_language_model,
    ),
    "prompts": (
        prompts.prompts_end_with_the_user,
        prompts.splits_are_disjoint,
        prompts.the_world_decides_the_prompts,
        prompts.the_vocabulary_has_every_word,
        prompts.demonstrations_answer_training_prompts,
    ),
    "judge": (
        judges.every_request_is_answered_once,
        judges.order_and_company_change_no_reply,
        judges.the_same_request_has_the_same_reply,
        judges.draws_differ,
        judges.first_tokens_have_probabilities,
        judges.hostile_answers_change_no_other_reply,
        judges.the_identity_is_plain,
        judges.the_identity_tells_replies_apart,
        judges.numbers_are_refused_or_answered_with,
    ),
}
"""Of every group; of oracles and their wrappers, for games."""

TEXT_CHECKS: dict[Group, tuple[Check, ...]] = {
    "oracle": (
        text_oracles.text_answers_sum_to_one,
        text_oracles.hostile_texts_are_answered,
        text_oracles.the_world_decides_the_answers,
        text_oracles.items_are_answered_apart,
        text_oracles.text_scores_explain_the_answers,
        text_oracles.responder_types_are_responses,
        text_oracles.no_response_beats_the_best_type,
    ),
    "oracle_wrapper": (
        learned_oracles.it_learns_a_reward,
        learned_oracles.learned_answers_sum_to_one,
        learned_oracles.the_answers_decide_what_is_learned,
        learned_oracles.what_cannot_be_learned_is_refused,
    ),
    "benchmark": (
        sample_benchmarks.answers_get_one_score_a_prompt,
        sample_benchmarks.prompts_are_scored_apart,
        sample_benchmarks.the_order_of_answers_changes_nothing,
        sample_benchmarks.the_same_answers_score_the_same_bytes,
        sample_benchmarks.no_answer_is_refused,
        sample_benchmarks.replies_that_are_no_number_are_refused,
    ),
}
"""Of the parts that read text, in place of the checks of games."""

TEXT_WRAPPER_CHECKS: tuple[Check, ...] = (
    text_wrappers.wrapped_texts_have_probabilities,
    text_wrappers.wrapped_hostile_texts_are_answered,
    text_wrappers.wrapped_items_are_answered_apart,
    text_wrappers.wrapped_scores_are_finite_or_refused,
    text_wrappers.occasions_are_passed_on,
    text_wrappers.costs_are_passed_on,
    text_wrappers.drift_is_passed_on,
)
"""Of wrappers that change the answers of an oracle of texts, beside those of games if they do both.
"""


BENCHMARK_CHECKS: dict[str, tuple[Check, ...]] = {
    "judged": (
        judged_benchmarks.questions_are_told_apart,
        judged_benchmarks.requests_show_the_answers,
        judged_benchmarks.who_is_preferred_wins,
        judged_benchmarks.scores_belong_to_questions,
        judged_benchmarks.the_same_judgments_write_the_same_bytes,
        judged_benchmarks.hostile_answers_are_judged,
        judged_benchmarks.what_cannot_be_read_is_refused,
        judged_benchmarks.settings_of_scoring_are_settings,
    ),
    "model": (
        model_benchmarks.a_model_is_scored_and_left_alone,
        model_benchmarks.a_model_benchmark_has_a_fingerprint,
    ),
}
"""Of benchmarks that ask a judge, or the model itself."""


def checks_of(subject: Subject) -> tuple[Check, ...]:
    """The checks of the part's kind."""
    if subject.group == "benchmark" and kind_of(subject.node) in BENCHMARK_CHECKS:
        return BENCHMARK_CHECKS[kind_of(subject.node)]
    if subject.group == "oracle_wrapper" and hasattr(subject.kind, "wrap_text"):
        of_games = CHECKS["oracle_wrapper"] if hasattr(subject.kind, "wrap") else ()
        return (*of_games, *TEXT_WRAPPER_CHECKS)
    if subject.reads_text and subject.group in TEXT_CHECKS:
        return TEXT_CHECKS[subject.group]
    return CHECKS[subject.group]


def check_part(subject: Subject) -> Iterable[Outcome]:
    """Every check of the part's kind, as it ends."""
    return outcomes(subject, checks_of(subject))


__all__ = [
    "BENCHMARK_CHECKS",
    "CHECKS",
    "TEXT_CHECKS",
    "TEXT_WRAPPER_CHECKS",
    "AdviceError",
    "Check",
    "ConformanceError",
    "Group",
    "NotApplicableError",
    "Outcome",
    "Subject",
    "check_part",
    "checks_of",
    "outcomes",
]
