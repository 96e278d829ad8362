"""As whom a program runs. Only PostgreSQL cares: it refuses to be root.

docs/adr/0003-embedded-servers-and-identity.md tells why these identities, in this order.
"""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from pgevents.errors import InputError

LAUNCH = Path(__file__).with_name("launch.py")
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2


class Identity(msgspec.Struct, frozen=True):
    """`own`: as this process. `user`: as uid and gid, keeping one capability at most. `namespace`: as this
    process's user under another number, which is all that PostgreSQL looks at."""

    kind: Literal["own", "user", "namespace"]
    uid: int = -1
    gid: int = -1
    capability: int | None = None

    def command(self, command: Sequence[str | Path], death_signal: int) -> list[str]:
        """The command that runs a command as this identity, ended by the signal when this process ends."""
        return [*self._launch(death_signal), "--", *map(str, command)]

    def reaches(self, paths: Sequence[Path]) -> bool:
        """Whether this identity can be taken on here and may read and search every path."""
        command = [*self._launch(0), "--check", *map(str, paths)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def adopt(self, folder: Path) -> None:
        """Gives a folder and what is in it to this identity. Raises OSError when that is not permitted."""
        uid, gid = (os.geteuid(), os.getegid()) if self.kind != "user" else (self.uid, self.gid)
        if folder.stat().st_uid == uid:
            return
        for path in [*folder.rglob("*"), folder]:
            os.chown(path, uid, gid, follow_symlinks=False)

    def _launch(self, death_signal: int) -> list[str]:
        capability = "-" if self.capability is None else self.capability
        text = {
            "own": "own",
            "user": f"user:{self.uid}:{self.gid}:{capability}",
            "namespace": f"namespace:{self.uid}:{self.gid}",
        }[self.kind]
        return [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(death_signal)), text]


OWN = Identity("own")


def not_root(owned: Path, reach: Sequence[Path]) -> Identity:
    """An identity that is not root and reaches every path; `owned` is, or will be, its own folder.

    Raises InputError when this machine lets root become nobody that reaches them.
    """
    if os.geteuid() != 0:
        return OWN
    for identity in _candidates(owned):
        if identity.reaches(reach):
            return identity
    raise InputError(
        "PostgreSQL does not run as root, and here root can neither become another user (setuid) nor open a "
        "user namespace; run this as an ordinary user"
    )


def _candidates(owned: Path) -> Iterator[Identity]:
    """From the least to the most that is asked of the machine.

    The capability is for a project below a folder that only root enters, as /root: it lets the server pass.
    """
    uid, gid = _ordinary_owner(owned)
    yield Identity("user", uid, gid)
    yield Identity("user", uid, gid, CAP_DAC_READ_SEARCH)
    yield Identity("user", uid, gid, CAP_DAC_OVERRIDE)
    yield Identity("namespace", uid, gid)


def _ordinary_owner(folder: Path) -> tuple[int, int]:
    """Whoever owns the folder already, so that it stays theirs; otherwise the user that owns nothing.

    initdb wants the user to have a name.
    """
    if folder.exists() and (owner := folder.stat()).st_uid != 0 and _has_name(owner.st_uid):
        return owner.st_uid, owner.st_gid
    for user in sorted(pwd.getpwall(), key=lambda user: user.pw_name != "nobody"):
        if user.pw_uid != 0:
            return user.pw_uid, user.pw_gid
    raise InputError("PostgreSQL does not run as root, and /etc/passwd names no other user; run this as one")


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
