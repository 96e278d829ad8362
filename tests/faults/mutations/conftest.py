from collections.abc import Iterator

import pytest

from local.emulator import Emulator
from local.postgres import PostgresServer, free_port
from tests.faults.mutations.bed import Bed
from tests.local.redshift.stand_in import running


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The servers that all runs share."""
    folder = tmp_path_factory.mktemp("the bed")
    server = PostgresServer(folder / "data", free_port(), durable=False, settings={"max_connections": "200"})
    emulator = Emulator(folder / "aws", free_port())
    server.start()
    try:
        server.create_database("warehouse")
        emulator.start()
        with running(folder, server.dsn("warehouse")) as redshift:
            yield Bed(server, redshift, emulator)
    finally:
        emulator.stop()
        server.stop("immediate")
