"""One record of feedback as a line of JSON that carries its own sequence number and CRC-32; docs/serving.md has the table."""

import re
import zlib
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from serving.errors import RecordError
from serving.feedback.schemas import FeedbackItem

_END = re.compile(rb',"crc32":"([0-9a-f]{8})"}\n')
_END_BYTES = 21


class RequestPart(BaseModel):
    """Which request brought the record, and that it is part ``part`` of ``parts``. A request is stored whole or not at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(description="Digest of the caller's key id and the idempotency key.")
    body: str | None = Field(default=None, description="Digest of the request's body; gone once part of it was erased.")
    part: int
    parts: int


class Record(BaseModel):
    """One item of feedback as it is stored. An erased one has no ``item`` and says since when."""

    # The parser would otherwise keep short strings, and so parts of ads, in a cache.
    model_config = ConfigDict(frozen=True, extra="forbid", cache_strings="keys")

    format: Literal[1] = 1
    outbox: str
    seq: int
    synced: int = Field(description="Sequence number of the last record that was on disk for good when this one was written.")
    received_at: AwareDatetime
    request: RequestPart
    key: str | None = None
    taxonomy: str
    item: FeedbackItem | None = None
    erased_at: AwareDatetime | None = None

    def line(self) -> bytes:
        """The record as a line, with its CRC-32 and its end."""
        body = self.model_dump_json(exclude_none=True).encode()[:-1]
        return body + b',"crc32":"%08x"}\n' % zlib.crc32(body)

    @classmethod
    def of_line(cls, line: bytes) -> "Record":
        """The record of a whole line.

        Raises:
            RecordError: it is not whole; the message repeats nothing of it.
        """
        body, end = line[:-_END_BYTES], _END.fullmatch(line[-_END_BYTES:])
        if end is None or int(end[1], 16) != zlib.crc32(body):
            raise RecordError("The line does not match its CRC-32.")
        try:
            return cls.model_validate_json(body + b"}")
        except ValidationError:
            raise RecordError("The line is not a record of feedback.") from None
