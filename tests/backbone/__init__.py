"""The public API against a real server, and in memory where it makes no difference."""
