"""Model cards: README with front matter for the Hugging Face Hub, and pictures, in a model's folder.

What a card says comes from a run's `report.json` and `steps.csv`; no row of the data is in it, and no network
is asked. No torch is needed.
"""

from ist_core.card.card import write_card
from ist_core.card.facts import CardFormat, Names, Verdict, read_run

__all__ = ["CardFormat", "Names", "Verdict", "read_run", "write_card"]
