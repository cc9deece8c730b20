"""The delivery engine's parts by themselves: no server, no clock but the loop's."""
