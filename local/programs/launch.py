"""Becomes a program that ends with its parent and, when asked to, runs as somebody other than root.

    python -I -S launch.py PARENT SIGNAL IDENTITY -- PROGRAM [ARGUMENT...]
    python -I -S launch.py PARENT SIGNAL IDENTITY --check PATH...

PARENT is the process id whose end brings SIGNAL (0: none). IDENTITY is `own`, `user:UID:GID:CAPABILITY`
(CAPABILITY is the number of the one capability that is kept, or -), or `namespace:UID:GID`. `--check` runs
nothing: it ends with 0 when the identity can be taken on and may read and search every PATH. Exit codes of
its own: 70 the identity cannot be taken on, 71 a path is out of its reach, 72 the parent was gone already.

Everything is imported before the identity changes: the new one may not reach the standard library.
"""
# ruff: noqa: PTH112, PTH116, PTH118, PTH123

import ctypes
import os
import struct
import sys

IDENTITY_REFUSED = 70
OUT_OF_REACH = 71
ORPHANED = 72

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000


def main(arguments: list[str]) -> int:
    """Replaces this process by the program; comes back only when there is nothing to run."""
    parent, signal, identity, action, *rest = arguments
    try:
        take_on(identity)
    except (OSError, AttributeError) as error:
        print(f"launch: cannot run as {identity}: {error}", file=sys.stderr)
        return IDENTITY_REFUSED
    if action == "--check":
        return 0 if all(reaches(path) for path in rest) else OUT_OF_REACH
    # Asked for last: the kernel forgets the signal whenever a process changes its identity.
    if not end_with(int(parent), int(signal)):
        return ORPHANED
    os.execv(rest[0], rest)  # noqa: S606
    return 0


def take_on(identity: str) -> None:
    """Raises OSError when the kernel refuses."""
    kind, *numbers = identity.split(":")
    if kind == "user":
        become_user(int(numbers[0]), int(numbers[1]), None if numbers[2] == "-" else int(numbers[2]))
    elif kind == "namespace":
        enter_namespace(int(numbers[0]), int(numbers[1]))


def become_user(uid: int, gid: int, capability: int | None) -> None:
    """Another user, with at most one of root's capabilities kept for itself and for what it runs."""
    if capability is not None:
        succeed(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        keep_only(capability)


def keep_only(capability: int) -> None:
    """Effective and ambient: an ordinary program that is executed later has it too."""
    libc = ctypes.CDLL(None, use_errno=True)
    low = (1 << capability) & 0xFFFFFFFF
    high = 1 << capability >> 32
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    succeed(libc.capset(header, struct.pack("=6I", low, low, low, high, high, high)))
    succeed(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def enter_namespace(uid: int, gid: int) -> None:
    """A user namespace in which this process's own user goes by another number."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    succeed(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def reaches(path: str) -> bool:
    """Whether this process may read a file, or a folder and enter it. access() overlooks a capability."""
    try:
        os.close(os.open(path, os.O_RDONLY))
        if os.path.isdir(path):
            os.stat(os.path.join(path, "."))
    except OSError:
        return False
    return True


def end_with(parent: int, signal: int) -> bool:
    """Has the kernel send the signal when the parent's thread ends. False when the parent is gone already."""
    if signal == 0 or not sys.platform.startswith("linux"):
        return True
    succeed(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0))
    return os.getppid() == parent


def succeed(result: int) -> None:
    """Turns a C function's -1 into the OSError that it means."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
