"""S3, SQS and Secrets Manager failing or gone, and everything at once."""

import signal
from collections.abc import Generator
from random import Random

from bench.faults.arena import Arena
from bench.faults.boundaries import BOUNDARIES, LOADING_A_FILE
from bench.faults.kind import Attack, kind
from bench.faults.kinds.invokes import BATCH
from bench.faults.kinds.sources import CLIENTS
from bench.faults.kinds.steps import KILLED, When
from bench.faults.project import INVOKING
from local.emulator_faults import EmulatorFault
from local.lambda_service.faults import Fault
from local.lambda_service.strikes import Strike
from local.postgres import PostgresServer

SERVICES = "S3, SQS, Secrets Manager failing or gone"
EVERYTHING = "Everything at once"


def failing(fault: EmulatorFault, times: int) -> Attack:
    """Requests to S3 fail, at moments that the seed chooses."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        yield
        for _ in range(times):
            arena.s3_faults.fault(fault)
            arena.sleep(random.uniform(0.05, 0.4))
        yield
        yield
        return arena.s3_faults.report().struck

    return attack


kind("S3 refuses with 503", SERVICES, (1, 4))(failing(EmulatorFault(method="PUT", count=3), 5))
kind("S3 fails with 500", SERVICES, (1, 4))(failing(EmulatorFault(method="PUT", count=3, status=500), 5))
kind("S3 is slow", SERVICES, (1, 4))(failing(EmulatorFault(method="PUT", count=4, seconds=0.7, status=0), 4))
kind("S3 is slower than the transform's time limit", SERVICES, (1, 3, 4))(
    failing(EmulatorFault(method="PUT", seconds=7.0, status=0), 1)
)


@kind("S3 and SQS and Secrets Manager gone", SERVICES, (1, 3, 4))
def gone(arena: Arena, random: Random) -> Generator[None, None, int]:
    """And a transform that starts meanwhile cannot read its secrets."""
    yield
    arena.sleep(random.uniform(0.1, 1.0))
    arena.stack.aws.kill()
    arena.transform.signal(signal.SIGKILL)
    arena.sleep(random.uniform(0.3, 1.5))
    arena.stack.aws.start()
    yield
    yield
    return 1


@kind("S3 and SQS and Secrets Manager frozen", SERVICES, (1, 3, 4))
def frozen(arena: Arena, random: Random) -> Generator[None, None, int]:
    """They take connections and never answer."""
    yield
    arena.sleep(random.uniform(0.1, 1.0))
    arena.stack.aws.signal(signal.SIGSTOP)
    arena.sleep(random.uniform(0.5, 3.0))
    arena.stack.aws.signal(signal.SIGCONT)
    yield
    yield
    return 1


@kind("SQS gone while batches die", SERVICES, (1, 4))
def dead_letter_queue_gone(arena: Arena, random: Random) -> Generator[None, None, int]:
    """The writer fails three times over, and what Lambda gives up on has no queue to go to.

    So often that it does with one batch, though the attempts at others come in between.
    """
    target = BOUNDARIES["taking a batch"].target
    arena.writer.strike(
        Strike(target=target, action="raise", nth=random.randint(1, 4), count=3 * random.randint(5, 7))
    )
    before = arena.writer.counts("dead")
    arena.s3_faults.fault(EmulatorFault(method="POST", count=10))
    yield
    yield
    arena.until(lambda: arena.writer.counts("dead") > before, 6.0)
    yield
    return arena.writer.counts("dead") - before


# Hashes, which no compression makes small: about 1.8 MB.
_LARGE = """
insert into account (id, note)
select
    g,
    (
        select string_agg(encode(sha256((g * 1000 + i)::text::bytea), 'base64'), '')
        from generate_series(1, 700) as i
    )
from generate_series(2000001, 2000060) as g
"""


@kind("a forwarded batch's object deleted", SERVICES, (1, 4))
def object_deleted(arena: Arena, random: Random) -> Generator[None, None, int]:
    """A batch too large for an event waits in S3, and is gone when the writer wants it."""
    arena.writer.fault(Fault(kind="delay", contains='"encoding":"s3"', seconds=0.6, count=2))
    yield
    _commit_large(arena)
    arena.until(lambda: arena.delete_objects("forwarded/"), 5.0)
    deleted = arena.writer.faults_struck()
    yield
    yield
    return deleted


@kind("writer killed about the file of a COPY", KILLED, (1, 3, 4))
def killed_about_a_file(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Before it puts the file, or with the file there and its transaction open."""
    when: When = random.choice(("before", "after"))
    arena.writer.strike(Strike(target=LOADING_A_FILE.target, when=when, action="kill"))
    yield
    arena.sleep(random.uniform(0.0, 1.0))
    _commit_large(arena)
    yield
    yield
    return arena.writer.struck()


def _commit_large(arena: Arena) -> None:
    with arena.sql(arena.dsns[INVOKING]) as connection, connection.transaction():
        connection.execute("set local traffic.tx = 'large'")
        connection.execute("insert into journal (tx, writer, number, note) values ('large', 0, 0, '')")
        connection.execute(_LARGE)


@kind("every process killed (SIGKILL)", EVERYTHING, (1, 2, 3, 4))
def everything_killed(arena: Arena, random: Random) -> Generator[None, None, int]:
    """As when the machine loses its power, but for what the disk had not written."""
    yield
    arena.sleep(random.uniform(0.2, 1.5))
    for part in arena.stack.parts():
        part.kill()
    arena.bring_back()
    yield
    yield
    return 1


@kind("the supervisor's end takes everything along", EVERYTHING, (1, 2, 3, 4))
def supervisor_ended(arena: Arena, random: Random) -> Generator[None, None, int]:
    """The signals that the kernel sends to its children when a supervisor is killed."""
    yield
    arena.sleep(random.uniform(0.2, 1.5))
    for part in arena.stack.parts():
        part.signal(signal.SIGQUIT if isinstance(part, PostgresServer) else signal.SIGTERM)
    for part in arena.stack.parts():
        if not part.wait(15.0):
            part.kill()
    arena.bring_back()
    yield
    yield
    return 1


@kind("connections cut and Lambdas killed together", EVERYTHING, (1, 2, 3, 4))
def storm(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Several faults at a time, as they come."""
    struck = 0
    arena.writer.fault(
        Fault(kind="duplicate", probability=0.4, contains=BATCH, seed=random.randrange(1 << 30))
    )
    arena.writer.fault(Fault(kind="drop", probability=0.2, contains=BATCH, seed=random.randrange(1 << 30)))
    arena.transform.fault(Fault(kind="drop", probability=0.3, seed=random.randrange(1 << 30)))
    dsns = [*arena.dsns.values(), arena.sink_dsn, arena.behind_redshift_dsn]
    yield
    for _ in range(15):
        arena.sleep(random.uniform(0.02, 0.2))
        if random.random() < 0.4:
            struck += random.choice((arena.transform, arena.writer)).signal(signal.SIGKILL)
        else:
            struck += len(
                arena.execute(
                    random.choice(dsns),
                    CLIENTS,
                )
            )
    arena.transform.clear()
    yield
    arena.bring_back()
    yield
    return struck
