"""The reason why a call cannot be translated, and the remedy."""


class RefusalError(ValueError):
    """A call that cannot be translated: the reason, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy
