import asyncio, json, time
from tests.web import fakes
from tests.web.conftest import *

async def test_chunked_trunc(house):
    house.slurm.behaviour = fakes.replies(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", close=True)
    a = await house.ask("GET","/slurm/v0.0.38/ping",fakes.bearer(await house.token()))
    print("TRUNC", a.status, a.whole, a.body)

async def test_5xx(house):
    house.slurm.behaviour = fakes.replies(b"HTTP/1.1 500 INTERNAL ERROR\r\nContent-Length: 100\r\n\r\n{", close=True)
    a = await house.ask("POST","/slurm/v0.0.38/job/submit",fakes.bearer(await house.token()), b"{}")
    print("FIVE", a.status, a.reason, a.json["detail"], a.json["hint"])

async def test_smuggle(house):
    async def early(r):
        await r.say(fakes.http(200, fakes.OK)); return True
    house.slurm.script=[early]
    r,w = await house.connect()
    w.write(fakes.encode("POST","/slurm/v0.0.38/job/submit",[*fakes.bearer(await house.token()),("Content-Length","100")])+b"GET /smuggled HTTP/1.1\r\nX-Eat: ")
    await fakes.until(lambda: house.slurm.seen)
    await asyncio.sleep(0.1)
    w.write(b"x"*40); await asyncio.sleep(0.1)
    a = await fakes.read_answer(r); w.close()
    b = await house.ask("GET","/slurm/v0.0.38/jobs",fakes.bearer(await house.token("bob")))
    print("SMUGGLE", a.status, b.status, b.body, [(s.connection, s.head[:90]) for s in house.slurm.seen])

async def test_cancelled_post(house):
    house.slurm.behaviour = fakes.hangs()
    r,w = await house.connect()
    w.write(fakes.encode("POST","/slurm/v0.0.38/job/submit",fakes.bearer(await house.token()),b"{}"))
    await fakes.until(lambda: house.slurm.seen)
    for t in asyncio.all_tasks():
        if "_handle_request" in t.get_coro().__qualname__: t.cancel()
    await asyncio.sleep(0.1)
    print("CANCELLED audit", await house.audit(), "log", house.log)
    w.close()
