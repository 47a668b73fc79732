"""Downloads the files of a model from a hub that speaks the Hugging Face API. Only `flow models pull` calls it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import FlowError, ModelUnavailable

if TYPE_CHECKING:
    import httpx

DEFAULT_HUB = "https://huggingface.co"

OnProgress = Callable[[str, int, int], None]
"""Called with the file that is fetched, and bytes done and in all, of all files together."""

_PART = ".part"
_CHUNK = 1 << 20
_RETRIES = 3
_SPARE_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository.

    Attributes:
        sha256: "" = the file is small and known by `blob`, git's SHA-1 of its content.
    """

    path: str
    size: int
    sha256: str
    blob: str

    def digest(self) -> _Digest:
        """Return what is fed with the content, to be compared with it."""
        return _Digest(self)


class _Digest:
    def __init__(self, file: HubFile) -> None:
        self._wanted = file.sha256 or file.blob
        # Not for security: it is how git names a small file.
        self._hash = (
            hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        )

    def add(self, data: bytes) -> None:
        self._hash.update(data)

    def add_file(self, path: Path) -> int:
        """Take in a file; return its size."""
        size = 0
        with open(path, "rb") as opened:
            while data := opened.read(_CHUNK):
                self._hash.update(data)
                size += len(data)
        return size

    def agrees(self) -> bool:
        return self._hash.hexdigest() == self._wanted


class Hub:
    """One hub.

    Args:
        url: https:// or http://, without a slash at its end.
        token: sent to the hub, and not to where it redirects; "" = none.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self._token = token

    def download(
        self, repository: str, paths: Sequence[str], needed: str, folder: Path, on_progress: OnProgress
    ) -> list[Path]:
        """Bring files of a repository's newest commit into a folder, as they are laid out there; return them.

        Files that are there already stay; what a broken download left is gone on with. A file has its name only when
        all of it is there and its hash is right.

        Args:
            paths: one that the repository does not have is left out.
            needed: the one of them that must be there.

        Raises:
            ModelUnavailable: no way to the hub, no such repository, or a file that is not what the hub says.
            FlowError: the folder cannot be written, or another process downloads into it.
        """
        with self._client() as http:
            commit, files = self._list(http, repository)
            # The small ones first: a folder whose weights are there is whole.
            wanted = sorted((file for file in files if file.path in paths), key=lambda file: file.size)
            if needed not in (file.path for file in wanted):
                raise ModelUnavailable(
                    f"the repository {repository!r} of the hub at {self.url} has no {needed}.",
                    hint="Choose other weights with --weights.",
                )
            self._check_space(folder, wanted)
            total, before = sum(file.size for file in wanted), 0
            with _one_writer(folder):
                for file in wanted:
                    url = f"{self.url}/{repository}/resolve/{commit}/{file.path}"
                    self._bring(http, url, file, folder, partial(_told, on_progress, before, total))
                    before += file.size
        return [folder / file.path for file in wanted]

    def _client(self) -> httpx.Client:
        import httpx

        headers = {"accept-encoding": "identity"}  # parts of a file are gone on with, byte for byte
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        return httpx.Client(headers=headers, timeout=httpx.Timeout(60.0, connect=10.0), follow_redirects=True)

    def _list(self, http: httpx.Client, repository: str) -> tuple[str, list[HubFile]]:
        import httpx

        url = f"{self.url}/api/models/{repository}/revision/main"
        try:
            response = http.get(url, params={"blobs": "true"})
        except httpx.HTTPError as err:
            raise self._no_way(err) from err
        if response.status_code in (401, 403, 404):
            raise ModelUnavailable(
                f"the hub at {self.url} has no repository {repository!r} for you (HTTP {response.status_code}).",
                hint="Where it needs an account, put its token into HF_TOKEN.",
            )
        if response.status_code >= 300:
            raise ModelUnavailable(f"the hub at {self.url} answers HTTP {response.status_code}.", hint="Try later.")
        try:
            data = response.json()
            return str(data["sha"]), [_read_file(each) for each in data["siblings"]]
        except (ValueError, KeyError, TypeError) as err:
            raise ModelUnavailable(
                f"the hub at {self.url} does not answer as the Hugging Face hub does.", hint="Check embed.hub."
            ) from err

    def _bring(
        self, http: httpx.Client, url: str, file: HubFile, folder: Path, on_progress: Callable[[str, int], None]
    ) -> None:
        target = folder / file.path
        if target.is_file() and target.stat().st_size == file.size:
            digest = file.digest()
            digest.add_file(target)
            if digest.agrees():
                on_progress(file.path, file.size)
                return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + _PART)
        for attempt in range(_RETRIES + 1):
            if self._fetch(http, url, file, part, on_progress, last=attempt == _RETRIES):
                break
        os.replace(part, target)

    def _fetch(
        self,
        http: httpx.Client,
        url: str,
        file: HubFile,
        part: Path,
        on_progress: Callable[[str, int], None],
        *,
        last: bool,
    ) -> bool:
        """Go on with a file; return whether all of it is there, which is False only when it may be tried again."""
        import httpx

        digest, done = file.digest(), 0
        if part.exists() and part.stat().st_size <= file.size:
            done = digest.add_file(part)
        try:
            if done < file.size or not done:
                done, digest = self._stream(http, url, file, part, done, digest, on_progress)
        except httpx.HTTPError as err:
            if last:
                raise self._no_way(err, f"{file.path} was not downloaded to its end") from err
            return False
        if done == file.size and digest.agrees():
            return True
        if done < file.size and not last:
            return False
        part.unlink(missing_ok=True)
        raise ModelUnavailable(
            f"{file.path} of the hub at {self.url} is not what the hub says it is (size or hash).", hint="Try again."
        )

    def _stream(
        self,
        http: httpx.Client,
        url: str,
        file: HubFile,
        part: Path,
        done: int,
        digest: _Digest,
        on_progress: Callable[[str, int], None],
    ) -> tuple[int, _Digest]:
        """Write what is missing behind what is there; return the size and the digest of all of it."""
        headers = {"range": f"bytes={done}-"} if done else {}
        with http.stream("GET", url, headers=headers) as response:
            if response.status_code not in (200, 206):
                raise ModelUnavailable(
                    f"the hub at {self.url} gives HTTP {response.status_code} for {file.path}.", hint="Try later."
                )
            if done and response.status_code == 200:  # it does not go on in the middle
                digest, done = file.digest(), 0
            with open(part, "ab" if done else "wb") as opened:
                for data in response.iter_bytes():  # in pieces as they come: none is lost when the next does not
                    opened.write(data)
                    digest.add(data)
                    done += len(data)
                    on_progress(file.path, done)
                opened.flush()
                os.fsync(opened.fileno())
        return done, digest

    def _check_space(self, folder: Path, files: Sequence[HubFile]) -> None:
        above = next(each for each in (folder, *folder.parents) if each.exists())
        missing = sum(file.size for file in files if not (folder / file.path).exists())
        if shutil.disk_usage(above).free < missing + _SPARE_BYTES:
            raise FlowError(
                f"there is no room for {missing / 1e9:.1f} GB in {str(folder)!r}.",
                hint="Free space, or set FLOW_HOME.",
            )

    def _no_way(self, err: httpx.HTTPError, text: str = "") -> ModelUnavailable:
        reason = str(err) or type(err).__name__
        said = f"{text}: {reason}" if text else f"there is no way to the hub at {self.url}: {reason}"
        return ModelUnavailable(
            f"{said}.",
            hint="Try again, which goes on where it was; or on a machine without a network, copy the model's folder "
            "there and set embed.path to it.",
        )


def _told(on_progress: OnProgress, before: int, total: int, path: str, done: int) -> None:
    on_progress(path, before + done, total)


def _read_file(data: Any) -> HubFile:
    large = data.get("lfs") or {}
    size = large.get("size", data.get("size"))
    return HubFile(str(data["rfilename"]), int(size), str(large.get("sha256", "")), str(data.get("blobId", "")))


@contextmanager
def _one_writer(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into the folder meanwhile.

    Raises:
        FlowError: one does, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as err:
        raise FlowError(f"{str(folder)!r} cannot be written: {err.strerror}.", hint="Check its permissions.") from err
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as err:
        raise FlowError(f"another process downloads into {str(folder)!r}.", hint="Wait until it is done.") from err
    finally:
        os.close(lock)
