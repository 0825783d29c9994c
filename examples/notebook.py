"""Notes kept in memory: tools with structured output, a resource and a prompt, with version 2 of the SDK."""

from datetime import datetime, timezone

from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel, Field

mcp = MCPServer("Notebook", instructions="Keeps short notes until the server stops.")


class Note(BaseModel):
    number: int = Field(description="Number of the note, counted from 1")
    title: str
    text: str
    written_at: datetime


_notes: list[Note] = []


@mcp.tool()
def write_note(title: str, text: str) -> Note:
    """Write a note down and return it with its number."""
    note = Note(number=len(_notes) + 1, title=title, text=text, written_at=datetime.now(timezone.utc))
    _notes.append(note)
    return note


@mcp.tool()
def search_notes(words: str) -> list[Note]:
    """Find the notes that contain all of the given words."""
    wanted = words.lower().split()
    return [note for note in _notes if all(word in f"{note.title} {note.text}".lower() for word in wanted)]


@mcp.resource("note://{number}")
def note(number: str) -> str:
    """The text of one note."""
    for item in _notes:
        if str(item.number) == number:
            return f"# {item.title}\n\n{item.text}"
    raise ValueError(f"there is no note {number}")


@mcp.prompt()
def summarize(topic: str) -> str:
    """Ask for a summary of all notes on a topic."""
    return f"Search the notebook for '{topic}' and summarize what the notes say in three sentences."
