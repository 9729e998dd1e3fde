"""Tools that MCP servers lend: real servers of the official package, by their pipes and over HTTP, in real sessions."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lending import PIXEL, lending_at_http
from local_web import saying, serving
from talking import bodies, until

from patter_nb.clock import ManualClock
from patter_nb.errors import ConnectionFailed, MissingExtra, PatterConfigError
from patter_nb.events import LLMRequested, StageFailed
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.tools import Tool, mcp
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.mcp_server import McpServer, mcp_servers
from patter_nb.transports.keyboard import KeyboardTransport
from patter_nb.turn import ToolCall

phone = Patter()
NAMES = ["add", "two_lines", "picture", "fail", "files_read_one", "hang", "leave", "environment", "process", "header"]
SCRIPT = str(Path(__file__).parent / "lending.py")
STDIO: dict[str, Any] = {"command": sys.executable, "args": [SCRIPT], "name": "lender"}


def at(port: int, **more: Any) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:{port}/mcp", "allow_hosts": [f"127.0.0.1:{port}"], "name": "lender", **more}


@asynccontextmanager
async def lent(*servers: Any, replies: Any = (), **parts: Any) -> AsyncIterator[Session]:
    """A session whose agent has these servers."""
    parts.setdefault("llm", ScriptedLLM(replies))
    agent = phone.agent(mcp_servers=servers, **parts)
    async with phone.serve(agent, transport=KeyboardTransport(ManualClock()), name="test") as session:
        yield session


async def called(session: Session, name: str, arguments: dict[str, Any] | None = None) -> ToolCall:
    """One call that the model makes, and how it went."""
    session.llm = ScriptedLLM([Call(name, arguments or {}), "Done."])
    turn = await session.ask("Go.")
    assert turn.status == "completed"
    return turn.tool_calls[0]


def failures(session: Session) -> list[str]:
    return [str(body.error) for body in bodies(session, StageFailed) if body.stage == "tool"]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- what is written


def test_a_server_is_a_url_or_a_command() -> None:
    servers = mcp_servers(
        [
            "https://tools.example.com/mcp",
            {"url": "https://tools.example.com/other", "headers": {"Authorization": "Bearer k"}},
            {"command": "/usr/bin/uvx", "args": ["mcp-server-time"], "env": {"KEY": "k"}},
            {"command": "uvx", "name": "mine"},
        ]
    )
    assert [server.name for server in servers] == ["tools.example.com", "tools.example.com 2", "uvx", "mine"]
    assert (servers[1].headers, servers[2].args, servers[2].env) == ({"Authorization": "Bearer k"}, ("mcp-server-time",), {"KEY": "k"})
    assert mcp_servers(servers) is servers


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("https://example.com", "not a list"),
        ([3], "exactly one of url and command"),
        ([{}], "exactly one of url and command"),
        ([{"url": "https://example.com", "command": "uvx"}], "exactly one of url and command"),
        ([{"url": "https://example.com", "header": {}}], "Did you mean 'headers'"),
        ([{"command": "uvx", "headers": {}}], "unknown key 'headers'"),
        (["example.com/mcp"], r"no http\(s\) URL"),
        ([{"command": ""}], "no text"),
        ([{"command": "uvx", "args": "one"}], "args of the MCP server 'uvx'"),
        ([{"command": "uvx", "env": {"A": 1}}], "env of the MCP server 'uvx'"),
        ([{"url": "https://example.com", "allow_hosts": "localhost"}], "allow_hosts"),
        ([{"command": "uvx", "name": "a"}, {"command": "uvx", "name": "a"}], "Two MCP servers are named 'a'"),
        ([{"command": "uvx", "name": 3}], "The name of an MCP server is 3"),
    ],
)
def test_what_is_no_server_is_refused_when_the_agent_is_made(wrong: Any, told: str) -> None:
    with pytest.raises(PatterConfigError, match=told) as raised:
        phone.agent(mcp_servers=wrong)
    assert raised.value.hint


def test_an_agent_opens_nothing_and_shows_no_key() -> None:
    agent = phone.agent(mcp_servers=[{"command": "no-such-program", "env": {"KEY": "s3cret"}, "args": ["--key", "s3cret"]}])
    assert agent.mcp_servers[0].name == "no-such-program"
    assert "s3cret" not in repr(agent) + repr(agent.mcp_servers)
    assert agent.replace(system_prompt="x").mcp_servers is agent.mcp_servers


# --- lending


@pytest.mark.parametrize("way", ["stdio", "http"])
async def test_the_model_is_told_the_tools_and_calls_them(way: str) -> None:
    def own() -> str:
        return "mine"

    calls = [
        Call("add", {"a": 2, "b": 3}),
        Call("two_lines"),
        Call("picture"),
        Call("fail", {"why": "no luck"}),
        Call("files_read_one"),
        Call("own"),
        Call("add", {"a": "two"}),
    ]
    llm = ScriptedLLM([calls, "Done."])

    async def talk(server: Any) -> Session:
        async with lent(server, llm=llm, tools=[own]) as session:
            turn = await session.ask("Go.")
        assert turn.status == "completed"
        return session

    if way == "http":
        async with lending_at_http() as port:
            session = await talk(at(port))
    else:
        session = await talk(STDIO)
    offered = {spec["function"]["name"]: spec["function"] for spec in llm.requests[0].tools}
    assert [*offered] == ["own", *NAMES] == [tool.name for tool in session.tools] == [*bodies(session, LLMRequested)[0].tools]
    assert offered["add"]["description"] == "Add two numbers."
    assert offered["add"]["parameters"]["required"] == ["a"]
    results = [(call.name, call.result, call.error) for call in session.turns[0].tool_calls]
    assert results[0] == ("add", "5", None)
    assert results[1] == ("two_lines", "One.\nTwo.", None)
    first, second = (results[2][1] or "").split("\n")
    assert first == "Here it is:"
    assert json.loads(second)["type"] == "image" and PIXEL.hex() not in second
    assert results[3][1] is None and "no luck" in str(results[3][2])
    assert results[4] == ("files_read_one", "read", None)
    assert results[5] == ("own", "mine", None)
    assert "do not fit" in str(results[6][2])
    answers = [json.loads(m["content"]) for m in llm.requests[1].messages if m["role"] == "tool" and "error" in m["content"]]
    assert [answer["fallback"] for answer in answers] == [True, True]


async def test_one_process_serves_a_session_and_ends_with_it() -> None:
    async with lent(STDIO | {"env": {"PATTER_TEST": "given"}}) as session:
        pids = {(await called(session, "process")).result for _ in range(2)}
        assert (await called(session, "environment", {"name": "PATTER_TEST"})).result == "given"
        (pid,) = (int(pid or 0) for pid in pids)
        assert is_running(pid)
    assert not is_running(pid)


async def test_headers_go_to_the_server_and_into_no_log() -> None:
    async with lending_at_http() as port:
        async with lent(at(port, headers={"X-Key": "s3cret"})) as session:
            assert (await called(session, "header", {"name": "x-key"})).result == "s3cret"
            session.use(mcp_servers=[])
        told = repr([event.to_dict() for event in session.events if event.type not in ("tool_ended", "llm_requested")])
        assert "s3cret" not in told


async def test_hooks_of_the_executor_apply() -> None:
    class Loud(DefaultToolExecutor):
        async def on_result(self, call: Any, result: Any) -> Any:
            return f"{result}!"

    async with lent(STDIO, executor=Loud()) as session:
        assert (await called(session, "add", {"a": 1})).result == "2!"


OLDER = """
import json, sys
tools = [{"name": f"tool_{n}", "inputSchema": {"type": "object", "properties": {}}} for n in range(3)]
tools.append({"name": "odd", "inputSchema": {"type": "object", "properties": {"a": {"type": "sound"}}}})
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    match asked["method"]:
        case "initialize":
            told = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {"name": "older", "version": "1"}}
        case "tools/list":
            start = int((asked.get("params") or {}).get("cursor", 0))
            told = {"tools": tools[start:start + 2]} | ({"nextCursor": str(start + 2)} if start + 2 < len(tools) else {})
        case "tools/call":
            told = {"content": [{"type": "text", "text": asked["params"]["name"]}]}
        case _:
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "unknown"}}), flush=True)
            continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": told}), flush=True)
"""


async def test_an_older_server_lends_page_by_page_all_but_what_no_model_can_be_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async with lent({"command": sys.executable, "args": ["-c", OLDER], "name": "older"}) as session:
        assert failures(session) == []
        assert [tool.name for tool in session.tools] == ["tool_0", "tool_1", "tool_2"]
        assert session.tools[0].description == "tool_0, a tool of older."
        assert (await called(session, "tool_2")).result == "tool_2"
    assert "The tool odd of the MCP server older is left out" in caplog.text


def test_a_session_in_a_thread_of_its_own_has_them_too() -> None:
    async def main() -> ToolCall:
        agent = phone.agent(llm=ScriptedLLM([Call("add", {"a": 1}), "Done."]), mcp_servers=[STDIO])
        async with phone.serve(agent, transport=KeyboardTransport(), runtime="thread", name="test") as session:
            return (await session.ask("Go.")).tool_calls[0]

    assert asyncio.run(main()).result == "2"


# --- names


async def test_a_clash_with_a_tool_of_ones_own_names_both() -> None:
    def add() -> str:
        return "mine"

    before = asyncio.all_tasks()
    with pytest.raises(PatterConfigError, match="'add': one of the agent's own tools, and one of the MCP server 'lender'"):
        async with lent(STDIO, tools=[add]):
            pass
    assert asyncio.all_tasks() == before


async def test_a_clash_of_two_servers_names_both() -> None:
    with pytest.raises(PatterConfigError, match="the MCP server 'lender', and one of the MCP server 'other'"):
        async with lent(STDIO, STDIO | {"name": "other"}):
            pass


# --- what fails


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({"command": "no-such-program-here"}, "no-such-program-here"),
        (STDIO | {"args": [SCRIPT, "--broken"]}, "lender"),
        ({"url": "http://127.0.0.1:9/mcp", "allow_hosts": ["127.0.0.1:9"]}, "ConnectError"),
        ("http://127.0.0.1:9/mcp", "127.0.0.1 is a loopback address"),
        ("http://0x7f.1/mcp", "127.0.0.1 is a loopback address"),
    ],
)
async def test_a_server_that_fails_is_reported_and_the_agent_goes_on_without_it(server: Any, told: str) -> None:
    def own() -> str:
        return "mine"

    async with lent(server, tools=[own]) as session:
        (failure,) = failures(session)
        assert told in failure and "goes on without its tools" in failure
        assert [tool.name for tool in session.tools] == ["own"]
        assert (await called(session, "own")).result == "mine"
    assert isinstance(bodies(session, StageFailed)[0].error, ConnectionFailed)


@pytest.mark.parametrize("status", [401, 404, 500, 200])
async def test_a_server_that_refuses_is_reported_with_its_status_and_without_a_key(status: int) -> None:
    async with serving(saying({"no": "MCP"}, status=status)) as server:
        entry = {"url": f"{server.url}/mcp?key=s3cret", "headers": {"X-Key": "s3cret-too"}, "allow_hosts": [server.host]}
        async with lent(entry) as session:
            (failure,) = failures(session)
    assert (f"status {status}" in failure) == (status != 200)
    assert "s3cret" not in failure and "\n" not in failure and len(failure) < 600
    assert "s3cret" not in repr([event.to_dict() for event in session.events])


async def test_one_that_fails_does_not_take_the_other_with_it() -> None:
    async with lent({"command": "no-such-program-here"}, STDIO) as session:
        assert len(failures(session)) == 1
        assert (await called(session, "add", {"a": 1})).result == "2"


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp, "START_S", 0.5)
    before = asyncio.all_tasks()
    async with lent(STDIO | {"args": [SCRIPT, "--silent"]}) as session:
        assert "did not start within" in failures(session)[0]
    assert asyncio.all_tasks() == before


async def test_giving_up_a_start_leaves_no_server(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    started = tmp_path / "started"
    server = STDIO | {"args": [SCRIPT, "--silent"], "env": {"PATTER_STARTED": str(started)}}
    starting = asyncio.create_task(phone.serve(phone.agent(llm=ScriptedLLM([]), mcp_servers=[server]), name="test"))
    await until(lambda: started.exists() and started.read_text())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert asyncio.all_tasks() == before
    assert not is_running(int(started.read_text()))


def test_a_server_ends_also_with_a_loop_that_closes_under_its_session(tmp_path: Path) -> None:
    pid = ""

    async def main() -> None:
        nonlocal pid
        agent = phone.agent(llm=ScriptedLLM([Call("process"), "Done."]), mcp_servers=[STDIO])
        session = await phone.serve(agent, transport=KeyboardTransport(ManualClock()), name="test")
        pid = (await session.ask("Go.")).tool_calls[0].result or ""

    with pytest.warns(RuntimeWarning, match="event loop closed"):
        asyncio.run(main())
    assert pid and not is_running(int(pid))


async def test_a_name_that_leads_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr("patter_nb.tools.url_guard._system_resolve", resolve)
    async with lending_at_http() as port:
        async with lent({"url": f"http://innocent.example:{port}/mcp"}) as session:
            assert "it leads to 127.0.0.1" in failures(session)[0]


async def test_a_redirect_to_another_origin_is_not_followed() -> None:
    def elsewhere(app: Any) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await app(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 307, "headers": [(b"location", b"http://169.254.169.254/mcp")]})
            await send({"type": "http.response.body", "body": b""})

        return answer

    async with lending_at_http(elsewhere) as port:
        async with lent(at(port)) as session:
            assert "could not be connected to" in failures(session)[0]


async def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(mcp, "find_spec", lambda name: None if name == "mcp" else real(name))
    with pytest.raises(MissingExtra, match=r"patter-nb\[mcp\]"):
        async with lent(STDIO):
            pass
    async with lent() as session:
        assert session.state == "ready"


async def test_row_30_a_tool_that_hangs_at_its_server_times_out_and_the_server_is_still_there() -> None:
    async with lent(STDIO, executor=DefaultToolExecutor(timeout_s=0.2)) as session:
        assert "did not answer within 0.2 s" in str((await called(session, "hang")).error)
        session.use(executor=None)
        assert (await called(session, "add", {"a": 1})).result == "2"


async def test_a_server_that_is_gone_is_told_and_can_be_connected_again() -> None:
    async with lent(STDIO) as session:
        assert "is gone" in str((await called(session, "leave")).error)
        assert "is gone" in str((await called(session, "add", {"a": 1})).error)
        session.use(mcp_servers=[STDIO])
        lost = session.tools
        await until(lambda: session.tools != lost and "add" in [tool.name for tool in session.tools])
        assert (await called(session, "add", {"a": 1})).result == "2"


# --- changing


async def test_servers_come_and_go_in_a_live_session() -> None:
    def own() -> str:
        return "mine"

    async with lent(tools=[own]) as session:
        session.use(mcp_servers=[STDIO])
        await until(lambda: len(session.tools) > 1)
        assert [tool.name for tool in session.tools] == ["own", *NAMES]
        pid = int((await called(session, "process")).result or 0)
        session.use(mcp_servers=[STDIO], system_prompt="New.")
        await called(session, "own")
        assert int((await called(session, "process")).result or 0) == pid
        session.use(mcp_servers=[])
        assert [tool.name for tool in session.tools] == ["own"]
        await until(lambda: not is_running(pid))
        assert failures(session) == []


async def test_lent_tools_stay_when_ones_own_are_changed() -> None:
    async with lent(STDIO) as session:
        session.tools = []
        assert [tool.name for tool in session.tools] == NAMES

        @session.tool
        def own() -> str:
            return "mine"

        assert [tool.name for tool in session.tools] == ["own", *NAMES]
        with pytest.raises(PatterConfigError, match="'add': one of the agent's own tools, and one of the MCP server 'lender'"):
            session.tools = [Tool("add", handler=lambda: 1)]
        assert [tool.name for tool in session.tools] == ["own", *NAMES]


async def test_a_clash_that_comes_with_a_new_server_is_reported_and_ones_own_stays() -> None:
    def add() -> str:
        return "mine"

    async with lent(tools=[add]) as session:
        session.use(mcp_servers=[STDIO])
        await until(lambda: failures(session))
        assert "'add'" in failures(session)[0]
        assert [tool.name for tool in session.tools] == ["add"]
        session.use(system_prompt="Still changeable.")
        assert (await called(session, "add")).result == "mine"


async def test_serving_again_keeps_the_connection() -> None:
    async with lent(STDIO) as session:
        pid = (await called(session, "process")).result
        again = await phone.serve(phone.agent("Again.", llm=ScriptedLLM([]), mcp_servers=[STDIO]), name="test")
        assert again is session
        assert (await called(session, "process")).result == pid


async def test_a_description_may_be_given_as_it_is() -> None:
    server = McpServer(name="lender", command=sys.executable, args=(SCRIPT,))
    async with lent(server) as session:
        assert (await called(session, "add", {"a": 1})).result == "2"
