"""Shows on stderr that a set-up is alive: one live line on a terminal, plain lines elsewhere."""

import os
import shutil
import sys
import time

PLAIN_INTERVAL = 10.0  # seconds between two plain lines of one step
CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """The step that is under way and the seconds since the start."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.text = ""
        self.shown_at = self.started

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        sys.stderr.write(f"pgevents: {text}\n")
        sys.stderr.flush()
        self.shown_at = time.monotonic()

    def step(self, text: str) -> None:
        """Begin a step, unless it is the one that is under way."""
        if text != self.text and not self.live:
            self.say(f"  {text}")
        self.tick(text)

    def tick(self, text: str = "") -> None:
        """Show that the step goes on, and what it is at when that is known. Called several times a second."""
        self.text = text or self.text
        line = f"  {self.text}, {self.seconds():.0f} s"
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(CLEAR_LINE + f"pgevents: {line}"[:width])
            sys.stderr.flush()
        elif time.monotonic() - self.shown_at >= PLAIN_INTERVAL:
            self.say(line)

    def clear(self) -> None:
        if self.live:
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()
