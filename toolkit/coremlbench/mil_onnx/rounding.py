"""Which ops need their float16 outputs rounded, and which let the rounding wait.

An op that is in neither table computes in float32 from rounded inputs, and its float16 outputs are rounded.
"""

EXACT = frozenset(
    {
        # Their results are float16 values whenever their inputs are.
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
        # They move values, or choose between them by position or by order, and rounding keeps the order.
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
"""Ops that give the same after rounding as before it: ``op(round(x)) == round(op(x))``, constants being float16."""
