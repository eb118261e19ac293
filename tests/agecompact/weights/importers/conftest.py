"""The public networks, rebuilt in Keras, and the shapes of the public files' layers."""

import os
from itertools import count
from pathlib import Path

import numpy as np
import pytest

STAGE_POOLS = (1, 4, 8)


@pytest.fixture(scope="session")
def keras():
    """tf_keras, once per session: importing TensorFlow takes seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tf_keras", reason="needs the 'tflite' extra")


class Namer:
    """Names as in a Keras session, from `kind_<first>` on; 0 is a bare `kind`."""

    def __init__(self, first):
        self.first = first
        self.counters = {}

    def __call__(self, kind):
        number = next(self.counters.setdefault(kind, count(self.first)))
        return f"{kind}_{number}" if number else kind


@pytest.fixture(scope="session")
def ssrnet_in_keras(keras):
    """Builder of the public SSR-Net (Yang et al., IJCAI 2018, section 3), raw NHWC in."""
    layers = keras.layers

    def build(prefix="pred_age_stage", v=101.0, first=1):
        name = Namer(first)

        def conv(maps, filters, side, activation=None):
            return layers.Conv2D(filters, side, activation=activation, name=name("conv2d"))(maps)

        def dense(inputs, units, activation, given=None):
            return layers.Dense(units, activation=activation, name=given or name("dense"))(inputs)

        def stream(image, filters, activation, pool):
            maps, taps = image, []
            for i in range(4):
                maps = conv(maps, filters, 3)
                maps = layers.BatchNormalization(name=name("batch_normalization"))(maps)
                maps = layers.Activation(activation)(maps)
                maps = pool(2)(maps) if i < 3 else maps
                taps.append(maps)
            return taps[3], taps[1], taps[0]

        def branch(maps, pool, size):
            maps = conv(maps, 10, 1, "relu")
            flat = layers.Flatten()(pool(size)(maps) if size > 1 else maps)
            return flat, dense(layers.Dropout(0.2)(flat), 3, "relu")

        # Stored as byte code, so it must not be a closure.
        def equation_7(heads, v):
            total, width = 0.0, 1.0
            for p, eta, delta in zip(heads[0::3], heads[1::3], heads[2::3], strict=True):
                width = width * 3.0 * (1.0 + delta)
                expected = sum(p[:, i : i + 1] * (i + eta[:, i : i + 1]) for i in range(3))
                total += expected / width
            return v * total

        image = layers.Input((64, 64, 3))
        x = stream(image, 32, "relu", layers.AveragePooling2D)
        s = stream(image, 16, "tanh", layers.MaxPooling2D)
        heads = []
        for k, size in enumerate(STAGE_POOLS):
            s_flat, s_mix = branch(s[k], layers.MaxPooling2D, size)
            x_flat, x_mix = branch(x[k], layers.AveragePooling2D, size)
            mixed = dense(layers.Multiply()([s_mix, x_mix]), 6, "relu")
            p = dense(mixed, 3, "relu", f"{prefix}{k + 1}")
            eta = dense(mixed, 3, "tanh", f"local_delta_stage{k + 1}")
            delta = dense(layers.Multiply()([s_flat, x_flat]), 1, "tanh", f"delta_s{k + 1}")
            heads += [p, eta, delta]
        output = "pred" if prefix == "pred_stage" else "pred_a"
        age = layers.Lambda(equation_7, arguments={"v": v}, name=output)(heads)
        return keras.Model(image, age)

    return build


@pytest.fixture(scope="session")
def c3ae_in_keras(keras):
    """Builder of the public C3AE layouts (Zhang et al., CVPR 2019, and the public variations)."""
    layers = keras.layers

    def build(squeeze_excite=False, w1="dense", first=1, white_norm=False):
        name = Namer(first)

        def attention(maps):
            if not squeeze_excite:
                return maps
            squeezed = layers.GlobalAveragePooling2D()(maps)
            squeezed = layers.ReLU()(layers.Dense(16, name=name("dense"))(squeezed))
            scale = layers.Dense(32, activation="sigmoid", name=name("dense"))(squeezed)
            return layers.Multiply()([layers.Reshape((1, 1, 32))(scale), maps])

        image = maps = layers.Input((64, 64, 3))
        if white_norm:
            maps = layers.Lambda(lambda raw: (raw - 127.5) / 128.0, name="white_norm")(maps)
        for i in range(1, 5):
            maps = layers.Conv2D(32, 3, use_bias=i > 1, name=f"conv{i}")(maps)
            maps = layers.BatchNormalization(name=name("batch_normalization"))(maps)
            maps = layers.ReLU()(maps)
            maps = layers.AveragePooling2D(2)(maps) if i < 4 else maps
            maps = attention(maps)
        maps = attention(layers.Conv2D(32, 1, name="conv5")(maps))
        trunk = keras.Model(image, layers.Reshape((1, 1, -1))(maps), name=f"model_{first}")

        crops = [layers.Input((64, 64, 3)) for _ in range(3)]
        context = layers.Concatenate()([trunk(crop) for crop in crops])
        if w1 == "dense":
            flat = layers.Flatten()(context)
            bins = layers.Dense(12, activation="softmax", name="W1")(flat)
        else:
            bins = layers.Conv2D(12, 1, activation="softmax", name=name("conv2d"))(context)
            bins = layers.GlobalMaxPooling2D()(bins)
        return keras.Model(crops, [layers.Dense(1, name="age")(bins), bins])

    return build


@pytest.fixture
def randomise():
    """Sets a Keras model's weights and BN statistics at the scale of a trained network."""

    def apply(model, seed=0):
        rng = np.random.default_rng(seed)
        values = []
        for weight in model.weights:
            shape = tuple(weight.shape)
            if weight.name.split("/")[-1].startswith(("gamma", "moving_variance")):
                values.append(rng.uniform(0.5, 1.5, shape))
            else:
                # Ages are tens. A delta near -1 would divide by almost zero and amplify rounding.
                layer = weight.name.split("/")[0].rstrip("123")
                scale = {"age": 100.0, "delta_s": 0.01}.get(layer, 1.0)
                values.append(rng.normal(0.0, scale / np.sqrt(np.prod(shape[:-1])), shape))
        model.set_weights(values)
        return model

    return apply


def _norm(layer, channels):
    variables = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"{layer}/{variable}:0": (channels,) for variable in variables}


def _kernel(layer, *shape, bias=True):
    return {f"{layer}/kernel:0": shape} | ({f"{layer}/bias:0": shape[-1:]} if bias else {})


@pytest.fixture
def c3ae_shapes():
    """Shapes of a public C3AE file's arrays by path, as h5py lists them."""

    def shapes(squeeze_excite=False):
        trunk = {}
        for i in range(1, 6):
            kernel = (1, 1, 32, 32) if i == 5 else (3, 3, 3 if i == 1 else 32, 32)
            trunk |= _kernel(f"conv{i}", *kernel, bias=i > 1)
            trunk |= _norm(f"batch_normalization_{i}", 32) if i < 5 else {}
            if squeeze_excite:
                trunk |= _kernel(f"dense_{2 * i - 1}", 32, 16) | _kernel(f"dense_{2 * i}", 16, 32)
        head = _kernel("W1/W1", 1536, 12) | _kernel("age/age", 12, 1)
        return {f"model_1/{path}": shape for path, shape in trunk.items()} | head

    return shapes


@pytest.fixture
def ssrnet_shapes():
    """Shapes of a public SSR-Net file's arrays by path, as h5py lists them."""

    def shapes(prefix="pred_age_stage"):
        layers = {}
        for first, channels in ((1, 32), (5, 16)):
            for i in range(4):
                inputs = channels if i else 3
                layers |= _kernel(f"conv2d_{first + i}", 3, 3, inputs, channels)
                layers |= _norm(f"batch_normalization_{first + i}", channels)
        for k, features in enumerate((160, 90, 90)):
            layers |= _kernel(f"conv2d_{9 + 2 * k}", 1, 1, 16, 10)
            layers |= _kernel(f"conv2d_{10 + 2 * k}", 1, 1, 32, 10)
            layers |= _kernel(f"dense_{1 + 3 * k}", features, 3)
            layers |= _kernel(f"dense_{2 + 3 * k}", features, 3)
            layers |= _kernel(f"dense_{3 + 3 * k}", 3, 6)
            layers |= _kernel(f"{prefix}{k + 1}", 6, 3)
            layers |= _kernel(f"local_delta_stage{k + 1}", 6, 3)
            layers |= _kernel(f"delta_s{k + 1}", features, 1)
        return {f"{path.split('/')[0]}/{path}": shape for path, shape in layers.items()}

    return shapes


@pytest.fixture
def write_h5(tmp_path):
    """Writes arrays of given shapes, all ones, as Keras' HDF5."""
    h5py = pytest.importorskip("h5py", reason="needs the 'train' extra")

    def write(shapes, root="model_weights", **arrays):
        path = tmp_path / "public.h5"
        with h5py.File(path, "w") as file:
            group = file.require_group(root)
            for name, shape in shapes.items():
                group[name] = arrays.get(name, np.ones(shape, np.float32))
        return path

    return write


@pytest.fixture(scope="session")
def public_weights():
    """Finds a public file, or skips the test."""

    def find(name):
        folder = os.environ.get("AGECOMPACT_WEIGHTS")
        if not folder:
            pytest.skip("AGECOMPACT_WEIGHTS does not name the folder of the public weights")
        path = Path(folder) / name
        if not path.is_file():
            pytest.skip(f"AGECOMPACT_WEIGHTS holds no {name}")
        return path

    return find


@pytest.fixture(scope="session")
def faces():
    """Face chips, uint8 HWC BGR: a public-domain portrait in several lights, and photos if any."""
    import cv2
    from skimage.data import astronaut

    portrait = np.ascontiguousarray(astronaut()[30:210, 135:315, ::-1])
    chips = [portrait, portrait[:, ::-1]]
    chips += [cv2.convertScaleAbs(portrait, alpha=a, beta=b) for a, b in ((0.5, 0), (1.4, 30))]
    if folder := os.environ.get("AGECOMPACT_DATA"):
        photos = sorted(Path(folder).rglob("*.jpg"))
        chips += [cv2.imread(str(path)) for path in photos[:: max(1, len(photos) // 28)]]
    return chips
