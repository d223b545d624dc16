"""The part of a run that Turi Create does, under its own Python 3.8: the standard library and turicreate only.

Started as ``python -I turicreate.py FOLDER PROGRESS_FD``. ``FOLDER/request.json`` names the task:

extract
    "pixels" (uint8 rows of height x width x 3, RGB) to "features" (float32 rows) with Turi Create's own extractor.
train
    "features" and "labels" to a logistic classifier; the answer holds the solver's table, its status, the
    coefficients and the prediction for each test image.

Progress goes to the descriptor as JSON lines, the answer to ``FOLDER/result.json``.
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

CHUNK = 1000


class Channel:
    """Where progress goes."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def send(self, line):
        os.write(self.descriptor, (json.dumps(line) + "\n").encode("utf-8"))

    def report(self, phase, done, total, message="", **figures):
        self.send({"phase": phase, "done": done, "total": total, "message": message, "figures": figures})


class SolverTable:
    """Stands in for standard output while Turi Create trains, and reads the solver's table as it is printed."""

    def __init__(self, out, channel, iterations):
        self.out, self.channel, self.iterations, self.line = out, channel, iterations, ""

    def write(self, text):
        self.out.write(text)
        self.line += text
        *lines, self.line = self.line.split("\n")
        for line in lines:
            self.read(line)
        return len(text)

    def read(self, line):
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
    """Yield rows ``first`` to ``last`` of a file of float32 rows as arrays of doubles, which is what SArray takes."""
    with open(path, "rb") as file:
        file.seek(first * length * 4)
        for _ in range(first, last):
            row = array.array("f")
            row.fromfile(file, length)
            yield array.array("d", row)


def load_part(tc, channel, request, name, done, total):
    """Return a part ("train", "validation" or "test") as an SFrame with columns "features" and "label"."""
    first, last = request["parts"][name]
    builder = tc.SArrayBuilder(array.array)
    chunk = []
    for row in read_rows(request["features"], request["length"], first, last):
        chunk.append(row)
        if len(chunk) == CHUNK:
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
    total = sum(last - first for first, last in request["parts"].values())
    frames, done = {}, 0
    for name in ("train", "validation", "test"):
        frames[name] = load_part(tc, channel, request, name, done, total)
        done += len(frames[name])

    # What image_classifier.create calls once it has features; called directly, it loads no TensorFlow.
    stdout, sys.stdout = sys.stdout, SolverTable(sys.stdout, channel, request["iterations"])
    try:
        model = tc.logistic_classifier.create(
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
    trained = time.time()

    count = len(frames["test"])
    channel.report("evaluate", 0, count)
    accuracy = model.evaluate(frames["test"])["accuracy"]
    predicted = list(model.predict(frames["test"], output_type="class"))
    channel.report("evaluate", count, count)
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
        "seconds": {"evaluate": time.time() - trained},
        "versions": versions(),
    }


def iteration_row(row):
    return {
        "iteration": int(row["Iteration"]),
        "seconds": float(row["Elapsed Time"]),
        "training_accuracy": float(row["Training Accuracy"]),
        "validation_accuracy": float(row["Validation Accuracy"]) if "Validation Accuracy" in row else None,
    }


def coefficients(model, length):
    """Return {class: [intercept, one number a feature…]}; the first class is the reference and has none."""
    found = {}
    for row in model.coefficients:
        values = found.setdefault(str(row["class"]), [0.0] * (length + 1))
        values[0 if row["name"] == "(intercept)" else int(row["index"]) + 1] = row["value"]
    return found


def extract(tc, channel, request):
    """Write the features of prepared pixels, with the extractor that Turi Create would use itself."""
    height, width = request["size"]
    size = height * width * 3
    rows = request["rows"]
    extractor = tc.toolkits._image_feature_extractor._create_feature_extractor(request["extractor"])
    done = length = 0
    with open(request["pixels"], "rb") as pixels, open(request["features"], "wb") as features:
        while done < rows:
            images = [image(tc, pixels.read(size), height, width) for _ in range(min(CHUNK, rows - done))]
            frame = tc.SFrame({"image": tc.SArray(images, dtype=tc.Image)})
            for vector in extractor.extract_features(frame, "image", verbose=False, batch_size=64):
                length = len(vector)
                array.array("f", vector).tofile(features)
            done += len(images)
            channel.report("extract", done, rows)
        features.flush()
        os.fsync(features.fileno())
    return {"length": length, "rows": done, "versions": versions()}


def image(tc, data, height, width):
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
    found = {
        "turicreate": importlib_metadata.version("turicreate"),
        "turicreate python": "%d.%d.%d" % sys.version_info[:3],
    }
    found["turicreate architecture"] = platform.machine()
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        found["turicreate tensorflow"] = tensorflow.__version__
    return found


TASKS = {"extract": extract, "train": train}


def main(folder, descriptor):
    faulthandler.enable()
    channel = Channel(descriptor)
    try:
        with open(os.path.join(folder, "request.json"), encoding="utf-8") as file:
            request = json.load(file)
        channel.report(request["task"], 0, request.get("rows", request.get("iterations", 1)), "starting Turi Create")
        import turicreate as tc

        tc.config.set_runtime_config("TURI_CACHE_FILE_LOCATIONS", request["scratch"])
        result = TASKS[request["task"]](tc, channel, request)
        partial = os.path.join(folder, "result.json.partial")
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(result, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, os.path.join(folder, "result.json"))
        # All is done: a crash while Turi Create is torn down would make a failure of it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    except BrokenPipeError:
        os._exit(1)  # nobody is listening any more
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
