"""`python -m bench.write.alone SETTINGS.json BATCH`: one batch by a writer in a process of its own.

Prints its peak of memory in MB and its round trips, as JSON. It imports nothing that the Lambda does not.
"""

import json
import re
import sys
from pathlib import Path

import msgspec

from pgevents.batch import decode
from pgevents.config import Policies
from pgevents.settings import WriterSettings
from redshift_writer.aws import Objects
from redshift_writer.connect import Sessions
from redshift_writer.copying import Place
from redshift_writer.writer import Writer


def main(settings_file: str, batch_file: str) -> None:
    """Applies the batch once."""
    settings = msgspec.json.decode(Path(settings_file).read_bytes(), type=WriterSettings)
    sessions = Sessions(settings.redshift, lambda name: "")
    copies = Place(settings.bucket, settings.copy_role, Objects().put)
    writer = Writer(sessions, "alone", Policies(), copies=copies)
    applied = writer.apply(decode(Path(batch_file).read_bytes()))
    sessions.drop()
    # Not getrusage: its peak is also that of the process that this one was forked from.
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(
        json.dumps(
            {"megabytes": int(peak) / 1024, "trips": applied.round_trips, "rows": applied.counts.inserted}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
