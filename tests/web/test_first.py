from tests.web import fakes
from tests.web.conftest import House


async def test_a(house: House) -> None:
    token = await house.token()
    answer = await house.ask("GET", "/slurm/v0.0.38/ping", fakes.bearer(token))
    assert answer.status == 200, (answer, house.log)
    print(house.slurm.seen[0].head, await house.audit(), answer)


async def test_b(house: House) -> None:
    import json
    body = json.dumps({"username": "alice", "password": fakes.PASSWORD, "otp": await house.code()}).encode()
    answer = await house.ask("POST", "/auth/login", body=body)
    assert answer.status == 200, (answer, house.log)
    print(answer, await house.audit(), await house.admin("/metrics"))
