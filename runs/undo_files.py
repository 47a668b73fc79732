"""Taking back what a run without commits wrote: each file to its content before the run. Called by undo.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UsageError
from ..tools.paths import replace_file
from .blobs import BlobStore
from .changes import RunChanges, fingerprint
from .git import GitFolder
from .journal import RunJournal, Written
from .restoring import remove
from .store import RunRow, RunStore


@dataclass(frozen=True, slots=True)
class EarlierFile:
    """One file and the blob that holds its content before the run; None = there was no file."""

    path: str
    sha: str | None


@dataclass(frozen=True, slots=True)
class FilesUndo:
    """How the files of a run are taken back.

    Attributes:
        files: what is put back, by path; () = nothing is left to do.
        other: files that differ from before the run as well, but were not written by it: what its commands, or
            somebody else, changed. They stay.
    """

    folder: Path
    run_id: str
    blobs: Path
    files: tuple[EarlierFile, ...]
    other: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return what will happen, in words for a person."""
        head = f"Put the files that run {self.run_id} wrote in {str(self.folder)!r} back to what they were before:"
        done = [f"  {'remove' if each.sha is None else 'restore'} {each.path}" for each in self.files]
        names = ", ".join(self.other[:10]) + (" ..." if len(self.other) > 10 else "")
        others = [f"Changed by its commands or by somebody else, and left as they are: {names}"] if self.other else []
        return [head, *done, *others]

    def apply(self) -> None:
        """Put the files back. Killed in between, it is finished by planning and applying it once more.

        Raises:
            UsageError: a file cannot be written; the next `flow undo` goes on there.
        """
        blobs = BlobStore(self.blobs)
        for each in self.files:
            try:
                if each.sha is None:
                    remove(self.folder, each.path)
                else:
                    replace_file(self.folder, each.path, blobs.get(each.sha))
            except OSError as err:
                raise UsageError(
                    f"{each.path} cannot be put back: {err.strerror or err}.",
                    hint="Mend that, then run `flow undo` again; it goes on where it was.",
                ) from err

    def done_line(self) -> str:
        count = len(self.files)
        return f"Put back {count} file{'' if count == 1 else 's'}; run {self.run_id} keeps what it had written."


def plan_files_undo(store: RunStore, row: RunRow, folder: Path, *, committed_is_over: bool = False) -> FilesUndo:
    """Return how the run's files are put back; without files when all are back, or it wrote none.

    Args:
        committed_is_over: what was committed since is passed over, not refused.

    Raises:
        UsageError: a file is not as the run left it any more, or its content of before is not there.
    """
    blobs = BlobStore(store.blobs_folder(row.id))
    journal = RunJournal(store, row.id, blobs)
    written = journal.written()
    git = GitFolder(folder)
    head = row.baseline.get("head", "")
    committed = written.keys() & set(git.moved(head, git.head())) if written else set()
    left = {
        path: known
        for path, known in sorted(written.items())
        if not (path in committed and committed_is_over) and fingerprint(folder / path, large=False) != known.pre_sha
    }
    if not left:
        return FilesUndo(folder, row.id, store.blobs_folder(row.id), (), ())
    changes = RunChanges(folder, row.baseline, journal, blobs)
    if refused := sorted(left.keys() & committed):
        raise UsageError(
            f"{refused[0]} was committed since the run wrote it.", hint="Take it back with `git revert`."
        )
    if refused := sorted(left.keys() & changes.mixed()):
        raise UsageError(
            f"{refused[0]} holds changes that somebody else made while the run worked on it.",
            hint=f"Put it back by hand; `git diff {refused[0]}` shows it.",
        )
    files = tuple(_earlier(folder, path, known, blobs) for path, known in left.items())
    other = tuple(sorted(set(changes.files()) - written.keys()))
    return FilesUndo(folder, row.id, store.blobs_folder(row.id), files, other)


def _earlier(folder: Path, path: str, known: Written, blobs: BlobStore) -> EarlierFile:
    if fingerprint(folder / path, large=False) not in known.left:
        raise UsageError(
            f"{path} is not as the run left it: a command of it or somebody else has changed it since.",
            hint=f"`flow runs show` names the run's files; put {path} back by hand or with git.",
        )
    if known.pre_sha is not None:
        try:
            blobs.get(known.pre_sha)
        except KeyError:
            raise UsageError(f"The content of {path} before the run is not kept any more.") from None
    return EarlierFile(path, known.pre_sha)
