"""Who is measured: one module each, with the same three methods."""
