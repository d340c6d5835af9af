"""The sizes of the networks that are measured."""

from typing import NamedTuple

SAMPLE_RATE = 8000


class Sizes(NamedTuple):
    """The paper's letters."""

    N: int
    L: int
    B: int
    H: int
    Sc: int
    P: int
    X: int
    R: int
    C: int = 2

    def __str__(self):
        return " ".join(f"{letter}{value}" for letter, value in self._asdict().items())


SIZES = {
    "best": Sizes(N=512, L=16, B=128, H=512, Sc=128, P=3, X=8, R=3),
    "shipped": Sizes(N=256, L=32, B=128, H=256, Sc=128, P=3, X=7, R=2),
    "small": Sizes(N=128, L=32, B=64, H=192, Sc=64, P=3, X=8, R=1),
}
