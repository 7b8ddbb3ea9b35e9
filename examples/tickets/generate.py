"""Writes the tickets data set: messy customer messages and the strict JSON that each one stands for.

`python examples/tickets/generate.py` rewrites train.jsonl and heldout.jsonl beside this file, always byte for
byte the same. Only `Random.random()` is drawn from, the one method whose sequence Python promises to keep.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
SEED = 20250
TRAIN_ROWS = 800
HELDOUT_ROWS = 100
SYSTEM = "Ticket to JSON."
YEAR = 2025

# fmt: off
# Each product with its plural and its misspellings.
PRODUCTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "lamp": ("lamps", ("lmap", "lampp")), "desk": ("desks", ("dessk", "deks")),
    "kettle": ("kettles", ("kettel", "ketle")), "backpack": ("backpacks", ("bakpack", "back pack")),
    "headphones": ("headphones", ("headfones", "hedphones")),
    "keyboard": ("keyboards", ("keybord", "key board")),
    "monitor": ("monitors", ("moniter", "montior")), "toaster": ("toasters", ("toster", "toastr")),
    "jacket": ("jackets", ("jaket", "jackt")), "mug": ("mugs", ("mugg", "mgu")),
    "tent": ("tents", ("tennt", "tetn")), "speaker": ("speakers", ("speeker", "speakr")),
    "blender": ("blenders", ("blendr", "blander")), "chair": ("chairs", ("chiar", "chare")),
    "camera": ("cameras", ("camra", "cammera")), "pillow": ("pillows", ("pilow", "pillo")),
}
INTENTS: dict[str, tuple[str, ...]] = {
    "order": (
        "i'd like to order {}", "please send me {}", "can i buy {}", "want to purchase {}", "i need {}",
    ),
    "cancel": (
        "please cancel {}", "i don't want {} anymore", "call off {}", "changed my mind about {}, cancel it",
    ),
    "refund": ("i want my money back for {}", "please refund {}", "refund me for {}", "need a refund for {}"),
    "replace": (
        "{} came broken, send new", "please replace {}", "{} arrived damaged, need another",
        "swap {} pls, its faulty",
    ),
    "track": ("where is {}?", "{} still not here, any news?", "when will {} arrive?", "please track {}"),
    "invoice": (
        "need the invoice for {}", "send me the bill for {}", "can i get a receipt for {}?",
        "no invoice for {} yet, send it",
    ),
}
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)
ORDER_IDS = ("order {}", "order #{}", "my order number is {}", "order no. {}", "ref {}", "(#{})")
DATES: dict[str, tuple[str, ...]] = {
    "order": ("for {}", "needed by {}", "deliver on {}"),
    "other": ("bought on {}", "ordered {}", "it was from {}", "purchased {}"),
}
URGENCY: dict[str, tuple[str, ...]] = {
    "low": ("no rush", "whenever you can", "take your time", "no hurry", "there is no hurry"),
    "normal": (),
    "high": ("asap", "urgent!", "this is urgent", "hurry please", "as soon as possible", "right now!!"),
}
GREETINGS = ("hi", "hello", "hey there", "good morning", "dear team", "hiya", "hi guys")
FILLERS = (
    "hope you are well", "love your shop", "long time customer here", "sorry to bother you",
    "so my dog ate the box",
)
SIGNATURES = ("thanks, {}", "cheers {}", "best, {}", "- {}", "thx {}", "regards {}")
NAMES = ("anna", "tom", "mia", "raj", "lee", "olga", "ben", "zoe", "sam", "ines")
EMOJI = ("🙂", "🙏", "😡", "👍")
# fmt: on


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a message asks for; the fields are the answer's keys, in the answer's order."""

    intent: str
    product: str
    order_id: str | None
    quantity: int | None
    date: str | None
    urgency: str

    def to_json(self) -> str:
        """The answer: compact JSON, keys in the order of the fields."""
        return json.dumps(asdict(self), separators=(",", ":"))


class Draw:
    """Draws choices from `Random.random()` alone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random  # noqa: S311  # data, not secrets

    def below(self, bound: int) -> int:
        """A whole number from 0 to bound - 1."""
        return int(self._random() * bound)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]


def is_reserved(intent: str, product: str) -> bool:
    """Whether this pair is kept out of the training rows: held-out rows ask for combinations never seen."""
    return (list(INTENTS).index(intent) * 3 + list(PRODUCTS).index(product)) % 8 == 0


def draw_ticket(draw: Draw) -> Ticket:
    """A ticket; orders have no order id yet, and every other field but intent and product may be missing."""
    intent = draw.choice(tuple(INTENTS))
    day = date(YEAR, 1, 1) + timedelta(days=draw.below(365))
    return Ticket(
        intent=intent,
        product=draw.choice(tuple(PRODUCTS)),
        order_id=draw_order_id(draw) if intent != "order" and draw.chance(0.75) else None,
        quantity=1 + draw.below(12) if draw.chance(0.55) else None,
        date=day.isoformat() if draw.chance(0.6) else None,
        urgency=draw.choice(("low", "normal", "high")),
    )


def draw_order_id(draw: Draw) -> str:
    """A letter and four digits, such as K4821."""
    return draw.choice("ABCDEFGHKLMNPRSTVWXZ") + str(1000 + draw.below(9000))


def write_date(day: date, draw: Draw) -> str:
    """The day in one of the styles in use; a day without a year is one of the year of the tickets."""
    month = MONTHS[day.month - 1]
    suffix = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    styles: tuple[Callable[[], str], ...] = (
        lambda: f"{month} {day.day}",
        lambda: f"{day.day} {month}",
        lambda: f"{month[:3]} {day.day}{suffix}",
        lambda: f"the {day.day}{suffix} of {month}",
        lambda: f"{day.day}.{day.month}.{day.year}",
        lambda: day.isoformat(),
    )
    return draw.choice(styles)()


def write_product(ticket: Ticket, draw: Draw) -> str:
    """The product as a customer writes it; a stated number is a quantity, `the` and `my` state none."""
    plural, misspelt = PRODUCTS[ticket.product]
    many = ticket.quantity is not None and ticket.quantity > 1
    name = plural if many else ticket.product
    if draw.chance(0.12):
        name = draw.choice(misspelt) + ("s" if many and plural != ticket.product else "")
    if ticket.quantity is None:
        return f"{draw.choice(('the', 'my'))} {name}" if ticket.intent != "order" else f"the {name}"
    number = NUMBERS[ticket.quantity - 1] if draw.chance(0.5) else str(ticket.quantity)
    return f"{number}{draw.choice((' ', ' ', ' x ')) if number.isdigit() else ' '}{name}"


def write_message(ticket: Ticket, draw: Draw) -> str:
    """The customer's message: clauses in some order, then sloppy case, typos and punctuation."""
    clauses = [draw.choice(INTENTS[ticket.intent]).format(write_product(ticket, draw))]
    if ticket.date is not None:
        phrases = DATES["order" if ticket.intent == "order" else "other"]
        clauses.append(draw.choice(phrases).format(write_date(date.fromisoformat(ticket.date), draw)))
    if ticket.order_id is not None:
        written = ticket.order_id.lower() if draw.chance(0.3) else ticket.order_id
        clauses.insert(draw.below(len(clauses) + 1), draw.choice(ORDER_IDS).format(written))
    if ticket.urgency != "normal":
        clauses.insert(draw.below(len(clauses) + 1), draw.choice(URGENCY[ticket.urgency]))
    if draw.chance(0.2):
        clauses.insert(draw.below(len(clauses) + 1), misspell(draw.choice(FILLERS), draw))
    if draw.chance(0.4):
        clauses.insert(0, misspell(draw.choice(GREETINGS), draw))
    if draw.chance(0.3):
        clauses.append(draw.choice(SIGNATURES).format(draw.choice(NAMES)))
    if draw.chance(0.12):
        clauses.append(draw.choice(EMOJI))
    return punctuate(clauses, draw)


def misspell(text: str, draw: Draw) -> str:
    """Swap two neighbouring letters in one text out of five; only ever applied where nothing is asked for."""
    if not draw.chance(0.2):
        return text
    at = draw.below(len(text) - 1)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def punctuate(clauses: Sequence[str], draw: Draw) -> str:
    """Join clauses as tidy, careless or shouting writers do."""
    style = draw.below(10)
    if style < 3:
        ended = [c if c[-1] in "!?.)" else f"{c}." for c in (c[0].upper() + c[1:] for c in clauses)]
        return " ".join(ended)
    return draw.choice((", ", ", ", " ", ". ", " ... ")).join(clauses)


def make_rows(draw: Draw, count: int, usable: Callable[[Ticket, str], bool]) -> list[tuple[Ticket, str]]:
    """`count` rows for which `usable(ticket, message)` holds."""
    rows: list[tuple[Ticket, str]] = []
    while len(rows) < count:
        ticket = draw_ticket(draw)
        message = write_message(ticket, draw)
        if usable(ticket, message):
            rows.append((ticket, message))
    return rows


def make_data() -> tuple[list[tuple[Ticket, str]], list[tuple[Ticket, str]]]:
    """The training and the held-out rows; they share no message, no order id and no reserved combination."""
    train = make_rows(
        Draw(SEED), TRAIN_ROWS, lambda ticket, _: not is_reserved(ticket.intent, ticket.product)
    )
    messages = {message for _, message in train}
    order_ids = {ticket.order_id for ticket, _ in train} - {None}
    heldout = make_rows(
        Draw(SEED + 1),
        HELDOUT_ROWS,
        lambda ticket, message: message not in messages and ticket.order_id not in order_ids,
    )
    return train, heldout


def to_line(ticket: Ticket, message: str) -> str:
    """One line of chat data."""
    turns = (("system", SYSTEM), ("user", message), ("assistant", ticket.to_json()))
    return json.dumps(
        {"messages": [{"role": role, "content": text} for role, text in turns]}, ensure_ascii=False
    )


def main() -> None:
    """Rewrite both files."""
    folder = Path(__file__).parent
    for name, rows in zip(("train", "heldout"), make_data(), strict=True):
        text = "".join(f"{to_line(ticket, message)}\n" for ticket, message in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
