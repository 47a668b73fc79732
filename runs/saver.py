"""The saver of a run's checkpoints: LangGraph's own for SQLite, with lists stored once and every checkpoint stamped.

Made by checkpoints.py. A checkpoint says which version its state has, and which graph and how many events the run had
when it was made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from ..core.errors import FlowError
from .shared_lists import ItemRow, MissingItem, NewItem, SharedLists
from .versions import migrated

_TABLE = """
CREATE TABLE IF NOT EXISTS checkpoint_item (
    thread_id TEXT NOT NULL, link BLOB NOT NULL, before BLOB NOT NULL, type TEXT NOT NULL, value BLOB NOT NULL)
"""
_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS checkpoint_item_link ON checkpoint_item (thread_id, link)"
_CHAIN = """
WITH RECURSIVE chain (link, before, type, value) AS (
    SELECT link, before, type, value FROM checkpoint_item WHERE thread_id = :thread AND link = :link
    UNION ALL
    SELECT item.link, item.before, item.type, item.value
    FROM chain CROSS JOIN checkpoint_item AS item ON item.thread_id = :thread AND item.link = chain.before)
SELECT link, before, type, value FROM chain
"""


class RunSaver(AsyncSqliteSaver):
    """Stores long lists by their links and gives them back whole.

    Nothing above it sees a link. Items are stored before the checkpoint or write that needs them; one that a kill
    left alone is found again by its hash, and goes with its run.

    Attributes:
        stamp: returns what every checkpoint's metadata is to hold besides LangGraph's own.
        mask: returns a value without secrets; None = whatever writes values has seen to it.
    """

    def __init__(self, conn: aiosqlite.Connection, *, serde: SerializerProtocol) -> None:
        super().__init__(conn, serde=serde)
        self.stamp: Callable[[], Mapping[str, Any]] = dict
        self.mask: Callable[[Any], Any] | None = None
        self._lists: dict[str, SharedLists] = {}

    async def setup(self) -> None:
        """Make the tables that are not there yet."""
        if not self.is_setup:
            await self.conn.execute(_TABLE)
            await self.conn.execute(_INDEX)
        await super().setup()

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint."""
        (values,) = await self._stored(_thread(config), [checkpoint["channel_values"]])
        stamped: Any = {**metadata, **self.stamp()}
        return await super().aput(config, {**checkpoint, "channel_values": values}, stamped, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what one task of a superstep wrote."""
        values = await self._stored(_thread(config), [value for _, value in writes])
        packed = [(channel, value) for (channel, _), value in zip(writes, values, strict=True)]
        await super().aput_writes(config, packed, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint as this version of the state has it; None = there is none.

        Raises:
            FlowError: an item of it is gone.
            UsageError: a newer Flowloom wrote it.
        """
        found = await super().aget_tuple(config)
        return None if found is None else await self._whole(found)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        async for found in super().alist(config, filter=filter, before=before, limit=limit):
            yield await self._whole(found)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all that is stored of a run's states."""
        await super().adelete_thread(thread_id)
        await self.conn.execute("DELETE FROM checkpoint_item WHERE thread_id = ?", (thread_id,))
        self._lists.pop(thread_id, None)

    def _of(self, thread: str) -> SharedLists:
        return self._lists.setdefault(thread, SharedLists(self.serde))

    async def _stored(self, thread: str, values: Sequence[Any]) -> list[Any]:
        """Return the values packed, after their new items are on disk."""
        lists = self._of(thread)
        if self.mask is not None:
            values = [self.mask(value) for value in values]
        parts = [lists.pack(value) for value in values]
        if new := [each for _, found in parts for each in found]:
            await self._insert(thread, new)
            lists.remember(new)
        return [packed for packed, _ in parts]

    async def _insert(self, thread: str, new: Sequence[NewItem]) -> None:
        await self.setup()
        rows = [(thread, each.row.link, each.row.before, each.row.type, each.row.value) for each in new]
        # In one call, so that it is one transaction; see checkpoints.py.
        async with self.conn.cursor() as cursor:
            await cursor.executemany(
                "INSERT OR IGNORE INTO checkpoint_item (thread_id, link, before, type, value) VALUES (?, ?, ?, ?, ?)",
                rows,
            )

    async def _whole(self, found: CheckpointTuple) -> CheckpointTuple:
        thread = _thread(found.config)
        values = await self._unpacked(thread, found.checkpoint["channel_values"])
        writes = [
            (task, channel, await self._unpacked(thread, value))
            for task, channel, value in found.pending_writes or ()
        ]
        checkpoint: Any = {**found.checkpoint, "channel_values": values}
        return migrated(found._replace(checkpoint=checkpoint, pending_writes=writes))

    async def _unpacked(self, thread: str, value: Any) -> Any:
        lists = self._of(thread)
        while True:
            try:
                return lists.unpack(value)
            except MissingItem as missing:
                await self._read(thread, missing.link)

    async def _read(self, thread: str, link: bytes) -> None:
        cursor = await self.conn.execute(_CHAIN, {"thread": thread, "link": link})
        rows = [ItemRow(*row) for row in await cursor.fetchall()]
        await cursor.close()
        if not rows or rows[-1].before:
            raise FlowError(
                f"The state of run {thread} is damaged: item {(rows[-1].before if rows else link).hex()} is gone.",
                hint="Restore runs.db from a backup, or start the run anew.",
            )
        lists = self._of(thread)
        for row in rows:
            lists.add(row)


def _thread(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])
