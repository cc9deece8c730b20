"""What every channel and every payload store must do, as tests: subclass, say how to connect, run pytest.

    class TestMyChannel(ChannelConformance):
        @pytest_asyncio.fixture
        async def channel(self):
            channel = MyChannel("my-server:1234")
            yield channel
            await channel.aclose()

The other methods of `ChannelSubject` do what faults do (lose a payload, destroy a group, ...) behind the channel's
back; each one that you override switches on the tests that need it, the rest are skipped and say so. `features` names
what the channel can do (`Feature`); leave out what it cannot. `docs/adapters.md` has a whole example. Tests use a fresh
stream each, so all may share one server. Needs pytest and pytest-asyncio (any mode).
"""

from ._appending import Appending
from ._dead_letters import DeadLetters, Replaying
from ._groups import Groups
from ._ownership import Ownership
from ._reading import Reading
from ._recovery import Recovery
from ._retention import Retaining
from ._stores import StoreConformance
from ._subject import ChannelSubject, Feature


class ChannelConformance(Appending, Reading, Groups, Recovery, Ownership, DeadLetters, Replaying, Retaining):
    """Every promise of the `Channel` and `Seat` ports. See the module's docstring for how to use it."""


__all__ = ["ChannelConformance", "ChannelSubject", "Feature", "StoreConformance"]
