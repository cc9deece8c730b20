"""Effects once in a database of SQLAlchemy's: an inbox for what is handled, an outbox for what is produced.

Needs `pip install 'esb-runtime[sqlalchemy]'` and an asynchronous driver (asyncpg, aiosqlite, ...). `ctx.once(session)`
is the inbox; `Outbox.add` with `Backbone.relay` is the outbox. Both live in tables that migrations know like any other.
"""

from __future__ import annotations

try:
    import sqlalchemy.ext.asyncio as _  # noqa: F401 - the check itself
except ImportError as error:
    raise ImportError(
        f"esb_runtime.sqlalchemy needs SQLAlchemy 2 with asyncio ({error}): pip install 'esb-runtime[sqlalchemy]'"
    ) from error

from ._inbox import inbox_table, purge_inbox
from ._outbox import Outbox, outbox_table
from ._relay import Relay
from ._transactions import Transaction, create_tables

__all__ = ["Outbox", "Relay", "Transaction", "create_tables", "inbox_table", "outbox_table", "purge_inbox"]
