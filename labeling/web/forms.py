"""What a form sent."""

from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import FormData

LONGEST = 4000
"""Characters of a field; what is longer than any of ours is cut."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a form, as text."""

    form: FormData

    def one(self, name: str) -> str:
        """A field; empty when it was not sent."""
        value = self.form.get(name, "")
        return value[:LONGEST] if isinstance(value, str) else ""

    def all(self, name: str) -> list[str]:
        """Every value of a field that may be sent several times."""
        return [value for value in self.form.getlist(name) if isinstance(value, str)]

    def whole(self, name: str) -> int | None:
        """A field as a whole number; None when it is empty or none."""
        value = self.one(name).strip()
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None


async def fields_of(request: Request) -> Fields:
    """A dependency."""
    return Fields(await request.form(max_files=0, max_fields=200))
