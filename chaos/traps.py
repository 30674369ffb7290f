"""Puts a trap of points.py into a process of the world, or takes it out again."""

from chaos.points import Trap
from chaos.world import World

_LAUNCHER = "chaos.points"


def arm(world: World, name: str, point: str, nth: int = 1) -> Trap:
    """Start the process `name` again with a trap in it."""
    folder = world.log.parent
    trap = Trap(point, nth, folder / f"tally-{name}-{len(list(folder.glob('tally-*')))}")
    trap.tally.touch()
    _start_again(world, name, [_LAUNCHER, point, str(nth), str(trap.tally)])
    return trap


def disarm(world: World, name: str) -> None:
    """Start the process `name` again without a trap."""
    _start_again(world, name, [])


def _start_again(world: World, name: str, launcher: list[str]) -> None:
    command = world.children[name].command
    world.held.add(name)
    world.kill(name)
    module = command.index("-m") + 1
    command[module : module + (4 if command[module] == _LAUNCHER else 0)] = launcher
    world.held.discard(name)
