"""How events get handled: lanes, starts, outcomes, recovery. No Redis command in sight: a Seat knows those."""
