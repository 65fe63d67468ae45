"""What is not there yet, told apart from settings that are wrong."""

from __future__ import annotations

from nlhf_repro.interfaces.games import ImpossibleSettingError


class LackingError(ImpossibleSettingError):
    """A file, a folder or a revision that a run needs is not there; the sentence has the remedy.

    A run is refused as for any other setting; a plan goes on with what the settings say.
    """
