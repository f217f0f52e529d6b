"""Runs the story, ends what it started however it ends, and says by the exit status whether all of it was true."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time

from examples.demo import story
from examples.demo.stage import Stage, UntrueError
from strongroom.errors import StrongroomError


def main() -> int:
    """0: every step was true. 1: one was not. 129, 130, 143: it was stopped by a signal."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=story.__doc__)
    parser.add_argument("--no-redis", action="store_true", help="as on a machine that has none")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    began = time.monotonic()
    stage = Stage()
    status = 1
    try:
        with stage:
            print(f"Strongroom's main job, in {stage.place}; nothing of it stays, and no keyring of yours is touched.")
            story.Story(stage, redis=not asked.no_redis).tell()
            status = 0
    except (UntrueError, StrongroomError) as error:
        hint = getattr(error, "hint", "")
        print(f"\ndemo: FAILED: {error}{f' ({hint})' if hint else ''}", file=sys.stderr)
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        print(f"\ndemo: FAILED: {type(error).__name__}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        status = 130
        print("\ndemo: stopped", file=sys.stderr)
    except SystemExit as stopped:
        status = int(stopped.code or 1)
        print("\ndemo: stopped", file=sys.stderr)
    if stage.place.exists():
        print(f"demo: FAILED: {stage.place} is still there", file=sys.stderr)
        return status or 1
    if status == 0:
        took = time.monotonic() - began
        print(f"\nEvery step was true. It took {took:.0f} s; servers, agents and directories are gone.")
    return status


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
