"""Markdown that shows whatever names and messages hold as it is."""

from collections.abc import Iterable

import pandas as pd


def table(frame: pd.DataFrame) -> str:
    """Return a frame of texts as a table under its columns' names."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(escape, row))} |" for row in rows)


def bullets(lines: Iterable[str]) -> str:
    """Return a list of these lines."""
    return "\n".join(f"- {escape(line)}" for line in lines)


def escape(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line: names and messages may hold anything."""
    marks = {"\\": "\\\\", "&": "&amp;", "<": "&lt;", "|": "\\|", "`": "\\`", "*": "\\*", "](": "]\\("}
    text = " ".join(text.split())
    for mark, shown in marks.items():
        text = text.replace(mark, shown)
    return text
