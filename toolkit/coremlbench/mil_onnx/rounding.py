"""Ops whose outputs need no rounding to float16, and ops that commute with the rounding.

An op in neither set computes in float32 from rounded inputs, and its float16 outputs are rounded.
"""

EXACT = frozenset(
    {
        # If their inputs are float16 values, their outputs are too.
        "argsort",
        "ceil",
        "fill",
        "fill_like",
        "floor",
        "list_gather",
        "list_read",
        "logical_not",
        "non_maximum_suppression",
        "non_zero",
        "one_hot",
        "reduce_argmax",
        "reduce_argmin",
        "round",
        "shape",
        "sign",
        "topk",
    }
)
"""Ops whose float16 outputs are float16 values already, given rounded inputs."""

COMMUTES = frozenset(
    {
        # They move values, or select them by position or by order, which rounding preserves.
        "abs",
        "band_part",
        "batch_to_space",
        "clip",
        "concat",
        "crop",
        "depth_to_space",
        "expand_dims",
        "flatten2d",
        "gather",
        "gather_along_axis",
        "gather_nd",
        "identity",
        "max_pool",
        "maximum",
        "minimum",
        "pad",
        "pixel_shuffle",
        "pixel_unshuffle",
        "reduce_max",
        "reduce_min",
        "relu",
        "relu6",
        "reshape",
        "reshape_like",
        "reverse",
        "reverse_sequence",
        "select",
        "slice_by_index",
        "slice_by_size",
        "slice_update",
        "sliding_windows",
        "space_to_batch",
        "space_to_depth",
        "split",
        "squeeze",
        "stack",
        "threshold",
        "tile",
        "transpose",
        "upsample_nearest_neighbor",
    }
)
"""Ops for which ``op(round(x)) == round(op(x))``; their constants are float16."""
