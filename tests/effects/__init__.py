"""Effects once: what a group remembers, the inbox and the outbox in a database."""
