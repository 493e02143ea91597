"""A server that is told to stop under load loses no answer of an upstream."""

from __future__ import annotations

import asyncio

from deploy.server import Server, configuration, listen
from tests.gateway.upstream.scripted import OK, Admitted, Client, Talk, proxy, upstream

CALLS = 50


async def test_stopping_under_load_loses_no_answer() -> None:
    release = asyncio.Event()

    async def script(talk: Talk) -> None:
        while await talk.request():
            await release.wait()
            await talk.say(OK)

    async with upstream(script) as behind:
        sockets = listen(["127.0.0.1"], 0)
        server = Server(configuration(Admitted(proxy(behind.url)), 10), lambda: None)
        running = asyncio.create_task(server._serve(sockets))
        clients = []
        for _ in range(CALLS):
            clients.append(Client(*await asyncio.open_connection(*sockets[0].getsockname())))
            await clients[-1].send()
        await behind.arrived(CALLS)
        async with asyncio.timeout(10):
            server.should_exit = True  # what uvicorn does at SIGTERM
            await asyncio.sleep(0.3)
            assert not running.done()
            release.set()
            answers = await asyncio.gather(*(client.answer() for client in clients))
            await running
        assert [(answer.status, answer.complete) for answer in answers] == [(200, True)] * CALLS
        for client in clients:
            client.hang_up()
        for talk in behind.talks:  # the connections to the upstream are closed with the server
            await asyncio.wait_for(talk.writer.wait_closed(), 5)
