"""The two ways a start can be refused, worded so that the reader knows what to do next."""


class EmbeddedError(Exception):
    """The embedded servers could not be started or stopped."""

    def __init__(self, happened: str, *, meaning: str = "", remedy: str = "") -> None:
        self.happened = happened
        self.meaning = meaning
        self.remedy = remedy
        super().__init__("\n".join(part for part in (happened, meaning, remedy) if part))


class FolderInUse(EmbeddedError):
    """Another usersd owns the data folder."""
