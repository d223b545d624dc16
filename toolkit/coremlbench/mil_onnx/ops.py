"""All ops of the reference runtime: for each name, the function that adds the op's nodes to a graph."""

from __future__ import annotations

from coremlbench.mil_onnx import (
    activation,
    attention,
    classify,
    control,
    conv,
    detection,
    elementwise,
    generate,
    linear,
    lists,
    normalization,
    pool,
    quantization,
    rearrange,
    recurrent,
    reduction,
    resize,
    sampling,
    scatter_gather,
    slicing,
    states,
    tensor,
)
from coremlbench.mil_onnx.graph import Builder

OPS: dict[str, Builder] = {
    **elementwise.OPS,
    **activation.OPS,
    **conv.OPS,
    **pool.OPS,
    **linear.OPS,
    **attention.OPS,
    **normalization.OPS,
    **reduction.OPS,
    **tensor.OPS,
    **slicing.OPS,
    **scatter_gather.OPS,
    **generate.OPS,
    **rearrange.OPS,
    **resize.OPS,
    **sampling.OPS,
    **detection.OPS,
    **quantization.OPS,
    **recurrent.OPS,
    **control.OPS,
    **lists.OPS,
    **states.OPS,
    **classify.OPS,
}
