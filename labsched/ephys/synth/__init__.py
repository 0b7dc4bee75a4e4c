"""A synthetic block with known spikes, as a Spike2 export looks: ``make(folder, Recipe(seed=1))``."""

from .block import Made, make
from .command import main
from .recipe import Recipe
from .truth import Truth, Unit, load

__all__ = ["Made", "Recipe", "Truth", "Unit", "load", "main", "make"]
