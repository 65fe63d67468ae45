"""What is proposed in place of a word that is unknown."""

import pytest

from nlhf_repro.validation import MANY, suggestion


@pytest.mark.parametrize(
    ("word", "choices", "said"),
    [
        ("inp", ["inpo", "sppo"], "did you mean inpo?"),
        ("zzz", ["inpo", "sppo"], "choose from inpo, sppo."),
        ("zzz", ["a, b", "c"], "choose from 'a, b', c."),
        ("zzz", [], "there is nothing to choose from, so drop it."),
        ("group.ky7", [f"group.key{n}" for n in range(MANY + 1)], "did you mean group.key7?"),
        (
            "zzz",
            [f"{group}.{n}" for group in ("model", "oracle") for n in range(MANY)],
            f"none of {2 * MANY} is close; they begin with model, oracle.",
        ),
        ("zzz", [f"{n}" for n in range(2 * MANY)], None),
    ],
)
def test_the_closest_is_proposed_or_what_there_is(word, choices, said):
    if said is None:  # names without groups are all listed
        assert suggestion(word, choices).count(",") == len(choices) - 1
    else:
        assert suggestion(word, choices) == said
