"""What all tests stand on."""

from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("esb", deadline=None)  # how long an example takes says more about the machine than about it
settings.load_profile("esb")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts the suite in the background lets it ignore Ctrl-C; every process it starts would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
