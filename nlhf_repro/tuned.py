"""The frozen winners of a tuning: conf/tuned/NAME.yaml, written by `nlhf tune`, used by rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.validation import suggestion


@dataclass(frozen=True)
class Winners:
    """The winning overrides of every row of one tuning."""

    name: str
    rows: Mapping[str, Sequence[str]]

    def overrides(self, label: str, base: str) -> list[str]:
        """The winner of a row at a point of the grid, else of the row at all points.

        Raises:
            ImpossibleSettingError: the tuning has neither.
        """
        for name in (label, base):
            if name in self.rows:
                return list(self.rows[name])
        raise ImpossibleSettingError(
            f"tuning = {self.name} has no winner for row {label!r}: {suggestion(label, self.rows)}"
        )


def read_winners(name: str, folders: Sequence[Path]) -> Winners:
    """The winners that lie in tuned/NAME.yaml of the last of the folders that has one.

    Raises:
        ImpossibleSettingError: no such file, or none that nlhf tune wrote.
    """
    paths = [path for folder in folders if (path := folder / "tuned" / f"{name}.yaml").is_file()]
    if not paths:
        known = {path.stem for folder in folders for path in (folder / "tuned").glob("*.yaml")}
        raise ImpossibleSettingError(f"tuning = {name} is no tuning: {suggestion(name, known)}")
    try:
        node = yaml.safe_load(paths[-1].read_text())
        rows = {
            str(label): [str(x) for x in row["overrides"]] for label, row in node["rows"].items()
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ImpossibleSettingError(
            f"{paths[-1]} cannot be read ({error}): write it again with nlhf tune {name}."
        ) from error
    return Winners(name, rows)
