"""How a mail says things in its reader's language, and on the reader's clock."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from jobs.digests.translations import words

_MINUS, _SAME = "\N{MINUS SIGN}", "\N{PLUS-MINUS SIGN}"
_NO_BREAK = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True)
class Wording:
    """The words of a language and the clock of a zone."""

    language: str
    zone: str

    def __getitem__(self, name: str) -> str:
        """A word of the mail, or of the summary sheet where the mail uses the same."""
        own = words(self.language)
        return str(own["mail"][name] if name in own["mail"] else own["summary"][name])

    def column(self, name: str) -> str:
        """A column's heading."""
        return str(words(self.language)["columns"][name])

    def category(self, name: str) -> str:
        """A category as it is shown; what has none is not classified."""
        return self["not_classified"] if name == "Not classified" else name

    def number(self, count: int) -> str:
        """A whole number, its thousands apart."""
        return f"{count:,}".replace(",", _NO_BREAK)

    def counted(self, name: str, count: int) -> str:
        """So many of something: the word for one, or that for several."""
        one, several = words(self.language)["mail"][name]
        is_one = count == 1 or (count == 0 and self.language == "fr")
        return str(one if is_one else several).format(n=self.number(count))

    def headline(self, total: int, to_review: int) -> str:
        """What the digest is about, in a line."""
        if not total:
            return self["nothing"]
        return f"{self.counted('tickets', total)}, {self.counted('review', to_review)}"

    def change(self, count: int, before: int) -> str:
        """How a number differs from the one before."""
        difference = count - before
        sign = "+" if difference > 0 else _MINUS if difference < 0 else _SAME
        return self["against"].format(change=f"{sign}{self.number(abs(difference))}")

    def stamp(self, moment: datetime) -> str:
        """A time on the reader's clock, with the clock's full name: CST alone is in America, China and Cuba."""
        return self.moment(moment) + (f" ({self.zone})" if self.zone != "UTC" else "")

    def moment(self, moment: datetime) -> str:
        """A time on the reader's clock, and which clock that is."""
        local = moment.astimezone(ZoneInfo(self.zone))
        return f"{local:%Y-%m-%d %H:%M} {local:%Z}"
