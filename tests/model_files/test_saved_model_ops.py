"""SavedModels as TensorFlow and Keras write them, and as somebody could who means harm."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

from coremlbench.conversion.originals import open_original
from coremlbench.conversion.sources import source_of_file
from coremlbench.model_files.saved_model_ops import HARMLESS_OPS, IO_OPS, check_graph, is_harmless
from coremlbench.types.errors import InputError

layers, v1 = keras.layers, tf.compat.v1
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and Keras warn about each other
]


def save(folder: Path, body: Callable[..., Any], **helpers: Callable[..., Any]) -> Path:
    """Save a model of four numbers; ``helpers`` are functions that the graph calls by these names."""
    model = tf.Module()
    for name, helper in helpers.items():
        helper.__name__ = name
        setattr(model, name, tf.function(helper))

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])  # no types
    def predict(x: Any) -> Any:
        return tf.ensure_shape(body(model, x), (1, 4))

    tf.saved_model.save(model, str(folder), signatures=predict)
    return folder


def read(folder: Path) -> Any:
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    return saved


def write(folder: Path, saved: Any) -> None:
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())


def refused(folder: Path, op: str) -> None:
    with pytest.raises(InputError, match=rf"The graph of {folder.name} runs (.*, )?{op}(, .*)?, which.*--allow-code"):
        open_original(source_of_file(folder), {})


# --- refused ------------------------------------------------------------------------------------------------


def test_a_function_named_like_those_of_checkpoints_hides_nothing(tmp_path: Path) -> None:
    written = tmp_path / "written"

    def helper(x: Any) -> Any:
        tf.io.write_file(str(written), "by the model")
        return x * 2.0

    for name in ("_traced_save_x", "_traced_restore", "save"):
        folder = save(tmp_path / name, lambda model, x, name=name: getattr(model, name)(x), **{name: helper})
        refused(folder, "WriteFile")
    assert not written.exists()


def test_summaries_data_sets_and_constants_from_files_are_refused(tmp_path: Path) -> None:
    raw, logs = tf.raw_ops, str(tmp_path / "logs")

    def summary(model: Any, x: Any) -> Any:
        del model
        writer = raw.SummaryWriter(shared_name="a", container="")
        raw.CreateSummaryFileWriter(writer=writer, logdir=logs, max_queue=1, flush_millis=1, filename_suffix="x")
        return x * 2.0

    def records(model: Any, x: Any) -> Any:
        del model
        rows = tf.data.TFRecordDataset([logs])
        return rows.reduce(x, lambda total, row: total + tf.cast(tf.strings.length(row), tf.float32))

    def region(model: Any, x: Any) -> Any:
        del model
        return x + raw.ImmutableConst(dtype=tf.float32, shape=(1, 4), memory_region_name=logs)

    def printed(model: Any, x: Any) -> Any:
        del model
        tf.print(x, output_stream=f"file://{logs}")
        return x * 2.0

    for body, op in (
        (summary, "CreateSummaryFileWriter"),
        (records, "TFRecordDataset"),
        (region, "ImmutableConst"),
        (printed, "PrintV2"),
    ):
        refused(save(tmp_path / body.__name__, body), op)
    assert not Path(logs).exists()


def test_an_operation_that_is_not_registered_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", lambda model, x: x * 2.0)
    saved = read(folder)
    saved.meta_graphs[0].graph_def.node.add(name="more", op="OpOfSomebodysLibrary")
    write(folder, saved)
    refused(folder, "OpOfSomebodysLibrary")
    saved.meta_graphs[0].graph_def.library.function.add().signature.name = "WriteFile"
    saved.meta_graphs[0].graph_def.node[-1].op = "WriteFile"  # it is none, whatever function is named so
    write(folder, saved)
    refused(folder, "WriteFile")


def with_variable(folder: Path) -> Any:
    """Save a model with a variable; return its proto and the function that saves it, named by the saver's node."""
    model = tf.Module()
    model.weight = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])  # no types
    def predict(x: Any) -> Any:
        return x * model.weight

    tf.saved_model.save(model, str(folder), signatures=predict)
    saved = read(folder)
    (meta,) = saved.meta_graphs
    node = next(each for each in meta.graph_def.node if f"{each.name}:0" == meta.saver_def.save_tensor_name)
    return saved, node.attr["f"].func.name


def test_the_functions_of_the_checkpoint_pass_only_as_long_as_nothing_else_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    saved, saving = with_variable(folder)
    check_graph("model", saved, allow_code=False)
    graph = saved.meta_graphs[0].graph_def

    called = read(folder)
    other = next(
        each for each in called.meta_graphs[0].graph_def.library.function if "traced" not in each.signature.name
    )
    other.node_def.add(name="more", op="StatefulPartitionedCall").attr["f"].func.name = saving
    noted = read(folder)
    noted.meta_graphs[0].object_graph_def.concrete_functions[saving].SetInParent()
    beside = read(folder)
    beside.meta_graphs[0].graph_def.node.add(name="more", op="StatefulPartitionedCall").attr["f"].func.name = saving
    classic = read(folder)  # loaded as a graph, whose every node can be asked for
    classic.meta_graphs[0].ClearField("object_graph_def")
    for changed in (called, noted, beside, classic):
        with pytest.raises(InputError, match="runs MergeV2Checkpoints, RestoreV2, SaveV2,"):
            check_graph("model", changed, allow_code=False)

    (own,) = [each for each in graph.library.function if each.signature.name == saving]
    own.node_def.add(name="more", op="WriteFile")  # more than saving
    with pytest.raises(InputError, match="runs WriteFile,"):
        check_graph("model", saved, allow_code=False)


def classic_model(folder: Path, *, resources: bool) -> None:
    """Save a model as TensorFlow 1 did, with the two savers of its training still in its graph."""
    use = v1.enable_resource_variables if resources else v1.disable_resource_variables
    use()
    try:
        with tf.Graph().as_default():
            x = v1.placeholder(tf.float32, (None, 4), name="x")
            weight = v1.get_variable("w", initializer=np.eye(4, dtype=np.float32))
            y = tf.nn.softmax(tf.nn.dropout(x, rate=0.0) @ weight)
            v1.add_to_collection("savers", v1.train.Saver())
            v1.train.Saver(sharded=True)
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": y})
    finally:
        v1.enable_resource_variables()


@pytest.mark.parametrize("resources", [True, False])
def test_a_classic_model_may_restore_itself_and_nothing_else(tmp_path: Path, resources: bool) -> None:
    folder = tmp_path / "model"
    classic_model(folder, resources=resources)
    found = open_original(source_of_file(folder), {}).predict(np.eye(4, dtype=np.float32))["output"]
    assert found.argmax(axis=1).tolist() == [0, 1, 2, 3]

    signature = read(folder)
    saving = next(node for node in signature.meta_graphs[0].graph_def.node if node.op == "SaveV2").name
    after = next(node for node in signature.meta_graphs[0].graph_def.node if f"^{saving}" in node.input).name
    signature.meta_graphs[0].signature_def["serving_default"].outputs["y"].name = f"{after}:0"
    restoring = read(folder)  # loading would save, to a place of the model's choice
    (restore,) = [
        node
        for node in restoring.meta_graphs[0].graph_def.node
        if node.name == restoring.meta_graphs[0].saver_def.restore_op_name
    ]
    restore.input.append(f"^{saving}")
    initial = read(folder)
    initial.meta_graphs[0].collection_def["saved_model_main_op"].node_list.value.append(after)
    for changed in (signature, restoring, initial):
        with pytest.raises(InputError, match=r"runs .*SaveV2"):
            check_graph("model", changed, allow_code=False)


# --- passed -------------------------------------------------------------------------------------------------


def test_what_keras_exports_passes(tmp_path: Path) -> None:
    augment = [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.2), layers.RandomCrop(8, 8)]
    body = [layers.Rescaling(1 / 255), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.SpatialDropout2D(0.1)]
    head = [layers.GlobalAveragePooling2D(), layers.Dropout(0.5), layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((9, 9, 3)), *augment, *body, *head])
    archive = keras.export.ExportArchive()
    archive.track(model)
    shape = [tf.TensorSpec((2, 9, 9, 3), tf.float32)]
    archive.add_endpoint("serve", lambda x: model(x, training=False), input_signature=shape)
    archive.add_endpoint("train", lambda x: model(x, training=True) + tf.random.normal((2, 3)), input_signature=shape)
    archive.write_out(str(tmp_path / "pictures"), verbose=False)
    recurrent = keras.Sequential([keras.Input((5, 4)), layers.LSTM(3, return_sequences=True), layers.GRU(2)])
    recurrent.export(str(tmp_path / "recurrent"), verbose=False)
    for name in ("pictures", "recurrent"):
        saved = read(tmp_path / name)
        functions = saved.meta_graphs[0].graph_def.library.function
        assert "SaveV2" in {node.op for function in functions for node in function.node_def}
        check_graph(name, saved, allow_code=False)


# --- the registry -------------------------------------------------------------------------------------------


def test_every_operation_of_this_tensorflow_that_takes_a_path_is_refused() -> None:
    registry = op_def_pb2.OpList()
    registry.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    # TRTEngineOp, which TensorFlow 2.16 for Linux has, takes a profile_strategy.
    path = re.compile("(?<!pro)file|path|dir$|url|address|prefix|descriptor_source|region|target_name|spec$")
    found = set()
    for op in registry.op:
        texts = [each.name for each in op.input_arg if each.type == types_pb2.DT_STRING]
        texts += [each.name for each in op.attr if each.type in {"string", "list(string)"}]
        if any(path.search(each) for each in texts):
            found.add(op.name)
    assert {"ReadFile", "WriteFile", "SaveV2", "DecodeProtoV2", "DebugIdentity", "SnapshotDataset"} <= found
    assert {op for op in found if is_harmless(op)} == set()
    names = {op.name for op in registry.op}
    assert names >= HARMLESS_OPS
    assert names >= IO_OPS
    assert {op.name for op in registry.op if op.name in HARMLESS_OPS and not op.is_stateful} == set()
