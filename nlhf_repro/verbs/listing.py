"""`nlhf list`: what can be chosen, read from the first lines of the configurations."""

from __future__ import annotations

import sys
from pathlib import Path

from nlhf_repro.config import search_folders, search_path_override
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.validation import suggestion


def list_choices(group: str | None, config_dir: str | None) -> int:
    """Print every choice of one group, or of all, in aligned columns; the exit status, 0.

    Raises:
        ImpossibleSettingError: there is no such group.
    """
    groups = choices(search_folders(search_path_override(config_dir)))
    if group is not None and group not in groups:
        raise ImpossibleSettingError(f"{group} is no group: {suggestion(group, groups)}")
    shown = groups if group is None else {group: groups[group]}
    width = max(len(name) for entries in shown.values() for name in entries)
    for title, entries in shown.items():
        sys.stdout.write(f"{title}\n")
        for name, line in sorted(entries.items()):
            sys.stdout.write(f"  {name:<{width}}  {line}\n".rstrip() + "\n")
    return 0


def choices(folders: list[Path]) -> dict[str, dict[str, str]]:
    """Group to choice to its one line; of equal names, a user's own stands for the shipped one."""
    groups: dict[str, dict[str, str]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/**/*.yaml")):
            group, *name = path.relative_to(folder).with_suffix("").parts
            groups.setdefault(group, {})["/".join(name)] = description(path)
    return groups


def description(path: Path) -> str:
    """The first comment of a file that is not Hydra's package directive."""
    for line in path.read_text().splitlines():
        text = line.removeprefix("#").strip()
        if line.startswith("#") and text and not text.startswith("@package"):
            return text
    return ""
