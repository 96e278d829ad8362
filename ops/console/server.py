"""What the console's page asks for."""

import asyncio
from pathlib import Path

import msgspec
import psycopg
from aiohttp import web

from ops.endpoints import connect, read_endpoints, state_option
from ops.status import ledger
from ops.status.attention_lines import lines_of
from pgevents.errors import InputError

PAGE = Path(__file__).with_name("page.html")
_RECENT_BATCHES = 12
_STATE = web.AppKey("state", Path)


class Recent(msgspec.Struct, frozen=True):
    """A batch with the source that it is of."""

    source: str
    batch: ledger.BatchLine


class Overview(msgspec.Struct, frozen=True):
    """Everything that the page shows; `problem` says why it is not everything."""

    sources: list[ledger.SourceStatus]
    batches: list[Recent]
    attention: list[str]
    problem: str = ""


def application(state: Path) -> web.Application:
    """The console of the pipeline with this state folder."""
    app = web.Application()
    app[_STATE] = state
    app.router.add_get("/", _page)
    app.router.add_get("/overview.json", _overview)
    return app


async def _page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


async def _overview(request: web.Request) -> web.Response:
    overview = await asyncio.to_thread(read_overview, request.app[_STATE])
    return web.Response(body=msgspec.json.encode(overview), content_type="application/json")


def read_overview(state: Path) -> Overview:
    """The state of every source that answers."""
    sources: list[ledger.SourceStatus] = []
    recent: list[Recent] = []
    try:
        for name, dsn in read_endpoints(state).sources.items():
            with connect(name, dsn) as connection:
                sources.append(ledger.status(name, connection))
                recent += [Recent(name, line) for line in ledger.last_batches(connection, _RECENT_BATCHES)]
    except (InputError, psycopg.Error) as error:
        return Overview(sources, recent, _attention(sources, state), str(error))
    recent.sort(key=lambda each: each.batch.opened_at, reverse=True)
    return Overview(sources, recent[:_RECENT_BATCHES], _attention(sources, state))


def _attention(sources: list[ledger.SourceStatus], state: Path) -> list[str]:
    return [text for status in sources for text, _ in lines_of(status, state_option(state))]
