"""Which tool profile a model gets: as the setting models.tool_profile says, or by the model's family."""

from __future__ import annotations

from collections.abc import Mapping

from ..configs.catalog import load_catalog
from ..core.messages import CallKey
from ..core.tool_names import ToolNames
from ..llm.policy import lineage
from ..llm.server_info import ModelDetails
from ..tools.profiles import profile_of, tool_names


class ToolProfiles:
    """What the tools are called in front of the models of one run.

    Args:
        setting: models.tool_profile.
        recorded: profile by key of the call in the cassette that answers in place of a model; None = models answer.

    Raises:
        ConfigError: the setting names no profile.
    """

    def __init__(self, setting: str, recorded: Mapping[str, str] | None = None) -> None:
        self._setting = setting
        self._recorded = recorded
        if setting not in ("auto", "none"):
            tool_names(setting)

    def names(self, model: ModelDetails, key: CallKey) -> ToolNames:
        """Return the names for a model, at one call of it."""
        if self._recorded is not None:
            # The recorded replies call the tools as they were shown then.
            return tool_names(self._recorded.get(str(key), ""))
        return tool_names(self.profile(model))

    def profile(self, model: ModelDetails) -> str:
        """Return the name of a model's profile, "" = it sees our own names."""
        if self._setting == "none":
            return ""
        if self._setting != "auto":
            return self._setting
        return profile_of(model.name, lineage(load_catalog(), model.name, model.family).families)
