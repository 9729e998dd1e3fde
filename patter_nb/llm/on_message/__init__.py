"""Somebody's own logic in the place of a language model: `serve(agent, on_message=answer)`, where `answer` is a function or a URL.

It is a provider like any other, so that a session needs no second way for it. What is called, or posted, is one dict:

    text      what the person said, or typed
    call_id   the session's name
    caller    "", as `callee`: nobody is telephoned with
    history   [{role: "user" | "assistant", text, timestamp}, ...], ending with what the person just said. `timestamp` is in Unix
              seconds: when the words arrived here, or were answered
"""

from patter_nb.llm.on_message.message_url import MessageURL
from patter_nb.llm.on_message.provider import OnMessage, OnMessageLLM

__all__ = ["MessageURL", "OnMessage", "OnMessageLLM"]
