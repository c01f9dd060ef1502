"""`make loop-demo`: something changes, and a better model serves soon after, with no hand on it.

Real trips arrive in fast motion. After half a minute, a new release of the app writes payment types in another way.
The monitor raises an alarm, the loop trains the model again and tries it on a tenth of the traffic, the outcomes
decide, and the alarm closes. `--approve` lets a person decide. All of it stays in .taxiway/loop-demo; nothing is left
running.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

from rich.console import Console

from taxiway.loop.demo import ending, servers
from taxiway.loop.demo.ground import MODEL, Ground
from taxiway.loop.demo.servers import Watched
from taxiway.loop.demo.story import Story
from taxiway.loop.demo.trips import PER_SECOND, Replay
from taxiway.monitoring.demo import progress_line, run, shown
from taxiway.storage.home import Home


def main() -> None:
    """Runs the demo; exits with 1 if the model was not replaced."""
    asked = _arguments()
    play(Console(highlight=False), Ground(Home.default().root / "loop-demo"), approve=asked.approve)


def play(console: Console, ground: Ground, *, approve: str | None = None, watched: type[Watched] = Watched) -> None:
    """Plays the whole story, and tells it.

    Args:
        console: Where it is told.
        ground: The demo's folder.
        approve: Who approves the version while it is tried: `hand`, `auto`, or None for nobody.
        watched: What runs the monitor and the loop.
    """
    began = time.monotonic()
    ground.clear()
    console.print("[bold]0[/] the first model is trained on the trips of the past")
    first = ground.first_model()
    with ExitStack() as stack:
        show = stack.enter_context(progress_line(console))
        show("the servers start")
        server = stack.enter_context(servers.server(ground))
        proxy, admin = stack.enter_context(servers.proxy(ground, server))
        ground.write_settings(admin, approval=approve is not None)
        console.print(f"[bold]1[/] version {first} serves behind a proxy; requests, outcomes and runs are in")
        console.print(f"  [cyan]{shown(ground.root)}[/]", soft_wrap=True)
        replay = Replay(proxy, MODEL, ground.store, ground.root)
        stack.callback(replay.stop)
        replay.start()
        console.print(f"[bold]2[/] {PER_SECOND} real trips a second; the monitor and the loop watch them")
        story = Story(console, ground, replay, stack.enter_context(watched(ground)), approve=approve)
        cycle, alarms = story.told(show)
    ending.tell(console, ground, cycle, alarms, time.monotonic() - began)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="loop-demo", description=__doc__.partition("\n")[0])
    words = "a person approves the version while it is tried; `auto`: the demo does"
    parser.add_argument("--approve", nargs="?", const="hand", choices=("hand", "auto"), help=words)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
