"""`esb demo`: the product's story in one terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli.failures import Exit, Failure

if TYPE_CHECKING:
    from esb_cli.stage import Stage

NEW = "new --uri event-demo --consumer-group main-consumer -n mycompany.events -e MyEvent"
ORDER = (
    '{"user": {"id": 3, "email": "alan@example.com", "name": "Alan"},'
    ' "product": {"id": 13, "name": "a lantern", "price": "19.00"},'
    ' "time": "NOW"}'
)
STEPS = ("placed", "packing", "on delivery", "received")


def command(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="Folder to work in, kept afterwards; default: a temporary one.", show_default=False
        ),
    ] = None,
) -> None:
    """See what esb does: the whole story in one terminal.

    A fresh workspace, an embedded Redis, orders on their way, live tools beside them. Every command that it shows is
    one that you can type, and what follows is that command's own output. It uses no Redis but its own.

    \b
    Examples:
      esb demo
      esb demo playground
      NO_COLOR=1 esb demo | less
    """
    import tempfile

    from esb_cli.stage import Stage, surroundings
    from esb_cli.terminal import put

    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise Failure(f"{folder} is a file: name a folder", Exit.USAGE)
        folder.mkdir(parents=True, exist_ok=True)
        place = folder.absolute()
        _play(Stage(place, _apart(surroundings(), place)))
        put(f"\nThe workspace is yours: cd {folder / 'mycompany.events'}, then `make run` or `make test`.")
        return
    with tempfile.TemporaryDirectory(prefix="esb-demo-") as temporary:
        place = Path(temporary).resolve()
        _play(Stage(place, _apart(surroundings(), place)))
    put("\nNow for yourself: `esb new`, and `esb dev` in the folder that it makes.")


def _apart(environment: dict[str, str], place: Path) -> dict[str, str]:
    """A workspace of its own, with its own git history, whatever repository it happens to lie in."""
    return {**environment, "GIT_CEILING_DIRECTORIES": str(place)}


def _play(stage: Stage) -> None:
    """The story: new, dev, tail, produce, a mistake, replay."""
    stage.tell("A workspace: typed contracts, a producer, two consumers, tests.")
    stage.play(*NEW.split())

    stage.folder /= "mycompany.events"
    stage.tell("Run all of it. Two orders are placed; the consumers move them on, each step is an event.")
    with stage.begin("dev", typed="cd mycompany.events && esb dev") as dev:
        dev.follow(lambda lines: _delivered(lines, 2), "the way of two orders from placed to received")
        stage.tell("In a second terminal, while that goes on: what the stream holds.")
        stage.play("tail", "event-demo", "-o", "table", shows=["order_placed", "packing", "on_delivery", "on_received"])

        stage.tell("Place one more order by hand, checked against the contract before it is sent.")
        stage.play(
            "produce", "event-demo", "order_placed", "--json", ORDER.replace("NOW", _now()), shows=["event-demo/"]
        )
        stage.tell("`esb dev` shows its way:")
        dev.follow(lambda lines: _delivered(lines, 1), "the way of the third order")

        stage.tell("A mistake does not get that far.")
        mistake = ("email=alan@example.com", "product_id=thirteen", f"time={_now()}")
        arguments = [word for pair in mistake for word in ("--arg", pair)]
        stage.play("produce", "event-demo", "packing", *arguments, code=5, shows=["product_id", "nothing was sent"])

        stage.tell("History again: copy every placed order to another stream.")
        stage.play("replay", "event-demo", "--event", "order_placed", "--to-uri", "event-demo-copy")
        stage.play("tail", "event-demo-copy", "-o", "table", shows=["Ada", "Grace", "Alan"])

        stage.tell("Ctrl-C ends the programs and the server; what is stored stays for the next `esb dev`.")
        _end(dev.interrupt())


def _now() -> str:
    """The time as one types it."""
    from datetime import UTC, datetime

    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _delivered(lines: Sequence[str], orders: int) -> bool:
    """Whether the reporter told every step of so many orders."""
    told = [line for line in lines if "reporter" in line]
    return all(sum(f" {step} " in line for line in told) >= orders for step in STEPS)


def _end(code: int) -> None:
    """`esb dev` ends with 130 after Ctrl-C."""
    from esb_cli.failures import Exit, Failure

    if code != Exit.INTERRUPTED:
        raise Failure(f"`esb dev` ended with {code} after Ctrl-C, expected {int(Exit.INTERRUPTED)}")
