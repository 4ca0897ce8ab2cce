"""The host: reads a package, runs images under a budget, and reports; on a board with numpy alone.

from host import Engine
print(Engine("package.npz").predict("cat.jpg", budget="74M")[0])
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from host.front.engine import Engine as Engine
    from host.front.engine import Prediction as Prediction

__all__ = ["Engine", "Prediction"]


def __getattr__(name):
    """The front door when it is asked for: a script of a board that has no pictures loads nothing for them."""
    if name in __all__:
        from host.front import engine

        return getattr(engine, name)
    raise AttributeError(f"module 'host' has no attribute {name!r}")
