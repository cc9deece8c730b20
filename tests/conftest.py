"""What all tests stand on."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts the suite in the background lets it ignore Ctrl-C; every process it starts would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
