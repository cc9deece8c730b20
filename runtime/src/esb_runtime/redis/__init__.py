"""The Redis adapter: streams, payload hashes and consumer groups."""
