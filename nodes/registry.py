"""Node types by the name a graph file uses. A new type: its file beside this one, one line here, and its fields in
graphs/keys.py. `graph` (a subgraph) and `python` (a function) are put together by graphs/build.py itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .agents import run_agent_node, run_coder
from .call import NodeType
from .commit import run_commit
from .retrieve import run_retrieve
from .shell import run_shell
from .steps import run_fail, run_human, run_set, run_tool

NODE_TYPES: Mapping[str, NodeType] = MappingProxyType(
    {
        "planner": run_agent_node,
        "coder": run_coder,
        "reviewer": run_agent_node,
        "sub_agent": run_agent_node,
        "agent": run_agent_node,
        "llm": run_agent_node,
        "tool": run_tool,
        "shell": run_shell,
        "retrieve": run_retrieve,
        "human": run_human,
        "commit": run_commit,
        "set": run_set,
        "fail": run_fail,
    }
)
