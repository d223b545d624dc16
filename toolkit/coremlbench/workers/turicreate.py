"""Worker: the tasks that need Turi Create, under Python 3.8 with the standard library and turicreate only.

Started as ``python -I turicreate.py FOLDER PROGRESS_FD``. ``FOLDER/request.json`` names the task:

extract
    Read the file "pixels" (uint8 RGB rows of height x width x 3) and write the file "features" (float32 rows), with
    Turi Create's own extractor.
train
    Train a logistic classifier on the file "features" and the "labels", and test it. The result holds the solver's
    table and status, the coefficients, and the prediction for each test image.

Progress is written to the file descriptor PROGRESS_FD as JSON lines, the result to ``FOLDER/result.json``.
"""

import array
import faulthandler
import importlib.metadata as importlib_metadata
import json
import os
import platform
import sys
import time
import traceback

CHUNK_ROWS = 1000  # rows that are converted at once


class ProgressChannel:
    """Writes progress and errors to a file descriptor, as JSON lines."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def send(self, line):
        os.write(self.descriptor, (json.dumps(line) + "\n").encode("utf-8"))

    def report(self, phase, done, total, message="", **figures):
        self.send({"phase": phase, "done": done, "total": total, "message": message, "figures": figures})


class SolverTable:
    """Replaces standard output during the training: reports the rows of the solver's table, and passes all text on."""

    def __init__(self, out, channel, iterations):
        self.out, self.channel, self.iterations, self.line = out, channel, iterations, ""

    def write(self, text):
        self.out.write(text)
        self.line += text
        *lines, self.line = self.line.split("\n")
        for line in lines:
            self.report_row(line)
        return len(text)

    def report_row(self, line):
        """Report a line if it is a row of the table, with accuracies in the fifth and sixth cell."""
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) >= 5 and cells[0].isdigit():
            figures = {"training_accuracy": float(cells[4])}
            if len(cells) > 5:
                figures["validation_accuracy"] = float(cells[5])
            done = min(int(cells[0]) + 1, self.iterations)
            self.channel.report("train", done, self.iterations, "iteration %d" % done, **figures)

    def flush(self):
        self.out.flush()


def read_rows(path, length, first, last):
    """Yield the rows [first, last) of a file of float32 rows, as arrays of doubles, which SArray requires."""
    with open(path, "rb") as file:
        file.seek(first * length * 4)
        for _ in range(first, last):
            row = array.array("f")
            row.fromfile(file, length)
            yield array.array("d", row)


def load_part(tc, channel, request, name, done, total):
    """Return a part ("train", "validation" or "test") as an SFrame with the columns "features" and "label".

    ``done`` of ``total`` rows were loaded before; progress is reported as rows are loaded.
    """
    first, last = request["parts"][name]
    builder = tc.SArrayBuilder(array.array)
    chunk = []
    for row in read_rows(request["features"], request["length"], first, last):
        chunk.append(row)
        if len(chunk) == CHUNK_ROWS:
            builder.append_multiple(chunk)
            done += len(chunk)
            chunk = []
            channel.report("train", 0, request["iterations"], "loading features", rows=done, of=total)
    builder.append_multiple(chunk)
    labels = request["labels"][name]
    copies = (last - first) // max(len(labels), 1)
    column = tc.SArray([label for label in labels for _ in range(copies)], dtype=int)
    return tc.SFrame({"features": builder.close(), "label": column})


def train(tc, channel, request):
    """Train and test the logistic classifier; return the worker's result."""
    frames = load_parts(tc, channel, request)
    model = fit_classifier(tc, channel, request, frames)
    start = time.time()
    accuracy, predicted = evaluate_classifier(channel, model, frames["test"])
    fields = model._list_fields()
    return {
        "classes": list(model.classes),
        "coefficients": coefficients(model, request["length"]),
        "training_accuracy": model.training_accuracy,
        "validation_accuracy": model.validation_accuracy if "validation_accuracy" in fields else None,
        "test_accuracy": accuracy,
        "predicted": predicted,
        "iterations": [iteration_row(row) for row in model.progress],
        "solver": model.solver,
        "solver_status": model.training_solver_status,
        "solver_iterations": model.training_iterations,
        "seconds": {"evaluate": time.time() - start},  # all that follows the training, as in earlier releases
        "versions": versions(),
    }


def load_parts(tc, channel, request):
    """Return {part: SFrame} of all parts of the request."""
    total = sum(last - first for first, last in request["parts"].values())
    frames, done = {}, 0
    for name in ("train", "validation", "test"):
        frames[name] = load_part(tc, channel, request, name, done, total)
        done += len(frames[name])
    return frames


def fit_classifier(tc, channel, request, frames):
    """Return a logistic classifier with the settings that image_classifier.create uses once it has features.

    Called directly, it does not load TensorFlow. Iterations are reported as Turi Create prints them.
    """
    stdout, sys.stdout = sys.stdout, SolverTable(sys.stdout, channel, request["iterations"])
    try:
        return tc.logistic_classifier.create(
            frames["train"],
            target="label",
            features=["features"],
            max_iterations=request["iterations"],
            validation_set=frames["validation"] if len(frames["validation"]) else None,
            seed=request["seed"],
            verbose=True,
            l2_penalty=0.01,
            l1_penalty=0.0,
            solver="auto",
            feature_rescaling=True,
            convergence_threshold=0.01,
            step_size=1.0,
            lbfgs_memory_level=11,
            class_weights=None,
        )
    finally:
        sys.stdout = stdout


def evaluate_classifier(channel, model, test):
    """Return the accuracy on the test images, and the predicted class of each."""
    count = len(test)
    channel.report("evaluate", 0, count)
    accuracy = model.evaluate(test)["accuracy"]
    predicted = list(model.predict(test, output_type="class"))
    channel.report("evaluate", count, count)
    return accuracy, predicted


def iteration_row(row):
    """Return a row of the solver's table with the field names of an ``IterationRow``."""
    return {
        "iteration": int(row["Iteration"]),
        "seconds": float(row["Elapsed Time"]),
        "training_accuracy": float(row["Training Accuracy"]),
        "validation_accuracy": float(row["Validation Accuracy"]) if "Validation Accuracy" in row else None,
        "passes": int(row["Passes"]),
    }


def coefficients(model, length):
    """Return {class: [intercept, one number per feature...]}; the first class is the reference and has none."""
    by_class = {}
    for row in model.coefficients:
        values = by_class.setdefault(str(row["class"]), [0.0] * (length + 1))
        values[0 if row["name"] == "(intercept)" else int(row["index"]) + 1] = row["value"]
    return by_class


def extract(tc, channel, request):
    """Write the features of the prepared pixels with Turi Create's own extractor; return the worker's result."""
    height, width = request["size"]
    size = height * width * 3
    rows = request["rows"]
    extractor = tc.toolkits._image_feature_extractor._create_feature_extractor(request["extractor"])
    done = length = 0
    with open(request["pixels"], "rb") as pixels, open(request["features"], "wb") as features:
        while done < rows:
            images = [raw_image(tc, pixels.read(size), height, width) for _ in range(min(CHUNK_ROWS, rows - done))]
            frame = tc.SFrame({"image": tc.SArray(images, dtype=tc.Image)})
            for vector in extractor.extract_features(frame, "image", verbose=False, batch_size=64):
                length = len(vector)
                array.array("f", vector).tofile(features)
            done += len(images)
            channel.report("extract", done, rows)
        features.flush()
        os.fsync(features.fileno())
    return {"length": length, "rows": done, "versions": versions()}


def raw_image(tc, data, height, width):
    """Return a turicreate Image of uint8 RGB pixels."""
    raw_format = 2  # turicreate.data_structures.image: 0 JPEG, 1 PNG, 2 raw pixels
    return tc.Image(
        _image_data=data,
        _height=height,
        _width=width,
        _channels=3,
        _image_data_size=len(data),
        _version=1,
        _format_enum=raw_format,
    )


def versions():
    """Return the versions that are recorded; TensorFlow's only if Turi Create has loaded it."""
    by_name = {
        "turicreate": importlib_metadata.version("turicreate"),
        "turicreate python": "%d.%d.%d" % sys.version_info[:3],
        "turicreate architecture": platform.machine(),
    }
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        by_name["turicreate tensorflow"] = tensorflow.__version__
    return by_name


def write_result(folder, result):
    """Write ``result.json`` atomically."""
    partial = os.path.join(folder, "result.json.partial")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(result, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, os.path.join(folder, "result.json"))


TASKS = {"extract": extract, "train": train}


def main(folder, descriptor):
    """Run the task of the request, write the result or report the error, and exit."""
    faulthandler.enable()
    channel = ProgressChannel(descriptor)
    try:
        with open(os.path.join(folder, "request.json"), encoding="utf-8") as file:
            request = json.load(file)
        channel.report(request["task"], 0, request.get("rows", request.get("iterations", 1)), "starting Turi Create")
        import turicreate as tc

        tc.config.set_runtime_config("TURI_CACHE_FILE_LOCATIONS", request["scratch"])
        result = TASKS[request["task"]](tc, channel, request)
        write_result(folder, result)
        # Skip the interpreter's teardown: a crash of Turi Create in it would turn a finished task into a failure.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    except BrokenPipeError:
        os._exit(1)  # the parent process is gone
    except BaseException as error:
        channel.send(
            {
                "error": {
                    "type": type(error).__name__,
                    "message": str(error),
                    "errno": getattr(error, "errno", None),
                    "traceback": traceback.format_exc(),
                }
            }
        )
        raise


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
