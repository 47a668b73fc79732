"""An agent of LangChain that adds numbers with a tool."""

from langchain.agents import create_agent

from flowloom import chat_model


def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


graph = create_agent(chat_model(), [add], system_prompt="Use the tool for every sum, then answer in one sentence.")
