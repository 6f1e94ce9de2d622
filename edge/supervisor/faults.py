"""What can go wrong with processes; every text is a sentence for the operator."""

from edge.errors import EdgeError


class StartError(EdgeError):
    """The node, or a new generation of it, cannot start."""

    detail = "start"


class Refused(EdgeError):
    """A new configuration, or a new program, is not taken; the one before goes on."""

    detail = "refused"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class NotAnswered(EdgeError):
    """No node answers at a directory."""

    detail = "not-answered"


class Unanswered(EdgeError):
    """A question has no answer."""

    detail = "unanswered"
