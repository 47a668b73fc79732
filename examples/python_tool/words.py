"""Tools of an agent. None of them has an effect itself: it says what is to be done, and flow does it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from flowloom import RunCommand, ToolError, WriteFile, tool


@tool
def count_words(path: Annotated[str, Field(description="a text file of the repository")], workspace: Path) -> str:
    """Count the words of a file."""
    file = (workspace / path).resolve()
    if not file.is_relative_to(workspace) or not file.is_file():
        raise ToolError(f"there is no file {path!r} in the repository. Look for it with glob.")
    return f"{path} has {len(file.read_text('utf-8').split())} words."


@tool(category="write")
def note(text: str, workspace: Path) -> WriteFile:
    """Add a line to NOTES.md."""
    file = workspace / "NOTES.md"
    before = file.read_text("utf-8") if file.exists() else ""
    return WriteFile("NOTES.md", f"{before}- {text}\n")


@tool(category="command")
def format_check(path: str) -> RunCommand:
    """Tell which lines of a file end with spaces."""
    return RunCommand(["grep", "-n", " $", path])
