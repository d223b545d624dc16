"""Recurrent layers of Keras models: short ones are unrolled, long ones become loops of the program.

An unrolled layer has the ops of every step in the program, which any compute unit can run. The time of a conversion
grows with their number: an LSTM of 400 steps took coremltools 13 minutes, as a loop it takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coremlbench.system.formatting import format_count

MAX_UNROLLED_STEPS = 64
"""Number of steps of all unrolled layers of a model together."""


class RecurrentLayers:
    """The recurrent layers of a Keras model. Each is unrolled or not when it is traced, in the order of execution."""

    def __init__(self, model: Any) -> None:
        import keras

        self._unrolled: dict[int, int] = {}
        self._loops: dict[int, str] = {}
        for layer in model._flatten_layers():  # noqa: SLF001 - nested ones too
            if isinstance(layer, keras.layers.RNN):
                layer.__dict__["inner_loop"] = self._inner_loop(layer)  # Keras would track a normal attribute

    @property
    def note(self) -> str:
        """Return a note on the layers that were traced, empty if there are none."""
        if not self._loops:
            return "Recurrent layers are unrolled: each step is a part of the program." if self._unrolled else ""
        return (
            f"Recurrent layers that are loops of the program: {', '.join(self._loops.values())}. Only "
            f"{MAX_UNROLLED_STEPS} steps in all are unrolled, because the conversion of more takes many minutes."
        )

    def _inner_loop(self, layer: Any) -> Callable[..., Any]:
        """Return the layer's ``inner_loop``, which decides first whether it is unrolled."""
        inner_loop = layer.inner_loop

        def decide_and_loop(sequences: Any, *args: Any, **kwargs: Any) -> Any:
            steps = int(sequences.shape[1])
            if id(layer) not in self._unrolled and id(layer) not in self._loops:
                if sum(self._unrolled.values()) + steps <= MAX_UNROLLED_STEPS:
                    self._unrolled[id(layer)] = steps
                else:
                    self._loops[id(layer)] = f"{layer.name} ({format_count(steps, 'step')})"
            layer.unroll = id(layer) in self._unrolled
            return inner_loop(sequences, *args, **kwargs)

        return decide_and_loop
