"""What may go wrong between a caller and the service. No message repeats an ad, not even what a proxy made of it."""

from serving.errors import ServingError
from serving.problem_document import Problem


class ClientError(ServingError):
    """Anything that a call may end with."""


class NoAnswerError(ClientError):
    """The service could not be reached, or the connection broke before its answer was complete."""


class BadAnswerError(ClientError):
    """What came is not what the contract says; perhaps something else listens at that address."""


class ProblemResponse(ClientError):  # noqa: N818 -- it is named by what it carries
    """The service answered with an error.

    Attributes:
        problem: the RFC 9457 document; of type ``about:blank`` where something between here and the service gave none.
        retry_after: seconds after which to try again, when the answer says so.
    """

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        wrong = "".join(f" {one.field}: {one.detail}" for one in problem.errors)
        request = f" (request {problem.request_id})" if problem.request_id else ""
        super().__init__(f"{problem.status} {problem.title}. {problem.detail}{wrong}{request}")
        self.problem, self.retry_after = problem, retry_after
