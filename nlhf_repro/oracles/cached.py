"""Answers that are asked once and read again: from memory, or from a file that outlives the run."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    Occasion,
    OccasionalOracle,
    OracleCost,
    Prompt,
    TextOracle,
    asked_on,
    cost_of,
    depends_on_company,
    oracle_at,
)

_AT_ONCE = 500  # keys of one query
_PATIENCE = 60.0  # seconds that a process waits for another one's write
Pairs = tuple[Sequence[Prompt], Sequence[str], Sequence[str]]


@final
class Cached:
    """The same question is asked once: of an oracle that is slow, or whose answers cost money.

    A question is the prompt, its details included, and both responses in their order. Where answers
    are draws or drift, the comparison's name and the progress of the run are part of it, so that no
    two comparisons of a run share an answer, and a run that is resumed reads its own again. A file
    belongs to one oracle (a run names it by everything that the oracle is made of); runs that use
    it at once see each other's answers. Without a file answers are kept in memory. An oracle whose
    answers depend on what else is asked in a call is refused: a pair does not decide them.
    """

    def __init__(self) -> None:
        self.path: Path | None = None

    def keep_answers(self, path: Path) -> None:
        """Keep the answers of oracles that are wrapped from now on in this SQLite file."""
        self.path = path

    def check_oracle(self, oracle: TextOracle) -> None:
        """Refuse an oracle whose answers no pair decides.

        Raises:
            ImpossibleSettingError: its answers depend on what else is asked in the same call.
        """
        if depends_on_company(oracle):
            raise ImpossibleSettingError(
                "oracle_wrapper.cached keeps answers by their pair, and those of this oracle "
                "depend on the other pairs of a call (as of oracle=pair_classifier with "
                "oracle.aggregation=scores): take cached out of oracle_wrapper, or set "
                "oracle.aggregation=pairwise."
            )

    def wrap_text(self, oracle: TextOracle) -> TextOracle:
        """The oracle, asked about what is not known yet.

        Raises:
            ImpossibleSettingError: its answers depend on what else is asked in the same call.
        """
        self.check_oracle(oracle)
        known = KnownAnswers(self.path)
        if isinstance(oracle, OccasionalOracle):
            return CachedOnOccasions(oracle, known)
        return CachedAnswers(oracle, known)


@final
class CachedAnswers:
    """Answers that depend on prompt and responses alone."""

    def __init__(self, oracle: TextOracle, known: KnownAnswers) -> None:
        self.oracle, self.known = oracle, known

    @property
    def cost(self) -> OracleCost:
        """The oracle's: a ledger counts what is asked, before any cache."""
        return cost_of(self.oracle)

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """The oracle's answers, [items]."""
        return compared(self.oracle, self.known, (prompts, first, second), None, "")

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """The oracle's scores, [items]."""
        return scored(self.oracle, self.known, prompts, responses, "")


@final
class CachedOnOccasions:
    """Answers that are draws, or change in the course of training; `time` is when, if fixed."""

    def __init__(self, oracle: TextOracle, known: KnownAnswers, time: str = "") -> None:
        self.oracle, self.known, self.time = oracle, known, time

    @property
    def cost(self) -> OracleCost:
        """The oracle's: a ledger counts what is asked, before any cache."""
        return cost_of(self.oracle)

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """The oracle's answers outside of training, [items]."""
        return compared(self.oracle, self.known, (prompts, first, second), None, self.time)

    def preference_on(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        occasion: Occasion,
    ) -> Array:
        """The oracle's answers on the occasion, [items]."""
        return compared(self.oracle, self.known, (prompts, first, second), occasion, self.time)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """The oracle's scores, [items]."""
        return scored(self.oracle, self.known, prompts, responses, self.time)

    def at(self, progress: float) -> TextOracle:
        """The oracle as it is at a share of the iterations."""
        return CachedOnOccasions(oracle_at(self.oracle, progress), self.known, f"at {progress!r}")


def compared(
    oracle: TextOracle, known: KnownAnswers, pairs: Pairs, occasion: Occasion | None, time: str
) -> Array:
    """The answers [items], of which the unknown are asked, each once."""
    prompts, first, second = pairs
    names = occasion.draws if occasion else ("",) * len(prompts)
    when = f"{time} {occasion.progress!r}" if occasion else time
    keys = [
        _key("preference", prompt, (one, other), when, name)
        for prompt, one, other, name in zip(prompts, first, second, names, strict=True)
    ]

    def ask(rows: list[int]) -> Array:
        asked = ([prompts[i] for i in rows], [first[i] for i in rows], [second[i] for i in rows])
        some = occasion and Occasion(occasion.progress, tuple(names[i] for i in rows))
        return asked_on(oracle, *asked, some)

    return known.answers(keys, ask)


def scored(
    oracle: TextOracle,
    known: KnownAnswers,
    prompts: Sequence[Prompt],
    responses: Sequence[str],
    time: str,
) -> Array:
    """The scores [items], of which the unknown are asked, each once."""
    keys = [
        _key("score", prompt, (response,), time, "")
        for prompt, response in zip(prompts, responses, strict=True)
    ]

    def ask(rows: list[int]) -> Array:
        return oracle.score([prompts[i] for i in rows], [responses[i] for i in rows])

    return known.answers(keys, ask)


@final
class KnownAnswers:
    """Numbers by key, in a SQLite file, or in memory where `path` is None.

    `read` and `asked` count the answers that were known, and those that were not.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self.read = 0
        self.asked = 0

    def answers(self, keys: Sequence[str], ask: Callable[[list[int]], Array]) -> Array:
        """The number of every key; `ask` is given one place of every key that has none."""
        found = dict(self._read(list(dict.fromkeys(keys))))
        unknown: dict[str, int] = {}
        for row, key in enumerate(keys):
            if key not in found:
                unknown.setdefault(key, row)
        self.read += len(keys) - len(unknown)
        self.asked += len(unknown)
        if unknown:
            values = np.asarray(ask(list(unknown.values())), dtype=np.float64)
            new = dict(zip(unknown, values.tolist(), strict=True))
            self._write(new)
            found |= new
        return np.array([found[key] for key in keys], dtype=np.float64)

    def _read(self, keys: list[str]) -> Iterator[tuple[str, float]]:
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            places = ",".join("?" * len(some))
            yield from self._database().execute(
                f"SELECT key, answer FROM answers WHERE key IN ({places})", some
            )

    def _write(self, new: dict[str, float]) -> None:
        with self._database() as database:  # committed together, or not at all
            database.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", list(new.items()))

    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path or ":memory:", timeout=_PATIENCE)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer REAL NOT NULL)"
            )
        return self._connection


def _key(kind: str, prompt: Prompt, responses: tuple[str, ...], when: str, name: str) -> str:
    turns: list[Any] = [(turn.role, turn.content) for turn in prompt.messages]
    question = [kind, prompt.identifier, turns, prompt.details, responses, when, name]
    text = json.dumps(question, sort_keys=True, default=repr)  # escapes lone surrogates
    return hashlib.sha256(text.encode()).hexdigest()
