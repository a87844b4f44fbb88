"""Looking inside: captured activations and gradients with respect to them, summaries, drawings."""

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


class Residual(nn.Module):
    first: Any
    norm: Any
    extra: dict

    def __init__(self):
        self.first = nn.Linear(4, 4, key=0)
        self.norm = nn.Sequential([nn.LayerNorm(4), nn.relu, self.first])
        self.extra = {"drop": nn.Dropout(0.5), "unused": nn.Linear(4, 4, key=1)}

    def __call__(self, x):
        return x + self.extra["drop"](self.norm(self.first(x)))


# --- capture ---


def test_capture_activations():
    model = Residual()
    y, found = nn.capture(model, ["first", r"norm\..*"])(X)
    np.testing.assert_array_equal(y, model(X))
    assert list(found) == ["first", "norm.layers.0", "norm.layers.1", "first#2"]
    np.testing.assert_array_equal(found["first"], model.first(X))
    np.testing.assert_array_equal(found["norm.layers.1"], nn.relu(found["norm.layers.0"]))
    np.testing.assert_array_equal(X + found["first#2"], y)
    assert len(nn.capture(model)(X)[1]) == 6
    jitted, activations = fg.jit(lambda m, x: nn.capture(m, "first")(x))(model, X)
    np.testing.assert_allclose(jitted, y, rtol=1e-5)
    np.testing.assert_allclose(activations["first#2"], found["first#2"], rtol=1e-5, atol=1e-6)
    dropped = nn.capture(model, "extra.drop")(X, train=True, key=0)[1]["extra.drop"]
    assert (dropped == 0).any()


def test_gradients_with_respect_to_activations():
    model = Residual()
    capture = nn.capture(model, ["norm.layers.0", "first"])
    value, found, slopes = capture.gradients(lambda y: (y**2).sum(), X)
    y = model(X)
    assert value == pytest.approx((y**2).sum(), rel=1e-5)
    np.testing.assert_allclose(slopes["first#2"], 2 * y, rtol=1e-5)
    wanted = (2 * y @ model.first.weight) * (found["norm.layers.0"] > 0)
    np.testing.assert_allclose(slopes["norm.layers.0"], wanted, rtol=1e-4, atol=1e-5)
    compiled = fg.jit(lambda x: capture.gradients(lambda y: (y**2).sum(), x))(X)
    np.testing.assert_allclose(compiled[2]["first"], slopes["first"], rtol=1e-4, atol=1e-5)


def test_gradients_of_tuples_and_integers():
    class Pair(nn.Module):
        inner: Any

        def __call__(self, x):
            values, places = self.inner(x)
            return values.sum() + places.sum()

    model = Pair(nn.Lambda(lambda x: (np.sort(x), np.argsort(x))))
    _, found, slopes = nn.capture(model, "inner").gradients(lambda y: y, np.array([3.0, 1.0]))
    assert found["inner"][1].tolist() == [1, 0]
    assert slopes["inner"][0].tolist() == [1, 1] and slopes["inner"][1] is None


def test_edited_activations():
    model = Residual()
    y, found = nn.capture(model, edit={"extra.drop": lambda x: 0 * x})(X)
    np.testing.assert_array_equal(y, X)
    assert (found["extra.drop"] == 0).all()
    y, found = nn.capture(model, "first", edit={"extra.drop": lambda x: 0 * x})(X)
    assert list(found) == ["first", "first#2"] and (y == X).all()


def test_capture_errors_and_what_stays():
    model = Residual()
    with pytest.raises(ValueError, match=r"\[capture\] no path matches 'second'"):
        nn.capture(model, "second")
    with pytest.raises(ValueError, match="first"):
        nn.capture(model, edit={"frist": abs})
    with pytest.raises(ValueError, match=r"\[Linear at first\]"):
        nn.capture(model, "first")(X[:, :2])
    np.testing.assert_array_equal(model(X), nn.capture(model)(X)[0])
    assert type(model.first) is nn.Linear


def test_subclasses_of_sequential_keep_their_fields():
    class Scaled(nn.Sequential):
        scale: Any
        label: str

        def __init__(self, layers, scale):
            super().__init__(layers)
            self.scale, self.label = scale, "scaled"

        def __call__(self, x, *, key=None):
            assert self.label == "scaled"
            return super().__call__(x, key=key) * self.scale

    model = Scaled([nn.relu, nn.tanh], np.full(4, 2.0, np.float32))
    y, found = nn.capture(model)(X)
    np.testing.assert_array_equal(y, model(X))
    assert list(found) == ["layers.0", "layers.1"]


def test_layers_inside_checkpoints_are_seen():
    model = nn.Sequential([nn.Checkpoint(nn.Sequential([nn.Linear(4, 3, key=0), nn.relu]))])
    y, found = nn.capture(model, r".*layers\.0")(X)
    assert list(found) == ["layers.0.layer.layers.0", "layers.0"]
    np.testing.assert_allclose(y, model(X), rtol=1e-6)
    dropped = nn.Sequential([nn.Checkpoint(nn.Dropout(0.5))])
    y, _ = nn.capture(dropped)(X, train=True, key=0)
    np.testing.assert_array_equal(y, dropped.apply(X, train=True, key=0)[0])
    with pytest.raises(RuntimeError, match=r"extra.unused .* was not called"):
        nn.capture(Residual(), "extra.unused")(X)


def test_state_and_subclasses_under_capture():
    class Own(nn.Linear):
        def __call__(self, x, *, key=None):
            return super().__call__(x, key=key) * 2

    model = nn.Sequential([Own(4, 3, key=0), nn.BatchNorm1d(3)])
    y, found = nn.capture(model, r"layers\.\d")(X, train=True)
    assert list(found) == ["layers.0", "layers.1"] and abs(y.mean()) < 1e-5
    np.testing.assert_array_equal(found["layers.0"], model[0](X))


# --- summary ---


def test_summary_counts():
    model = nn.Sequential(
        [
            nn.Conv2d(3, 8, 3, padding=1, key=0),
            nn.BatchNorm2d(8),
            nn.relu,
            nn.Flatten(),
            nn.freeze(nn.Linear(8 * 64, 10, key=1)),
        ]
    )
    for x in ((2, 3, 8, 8), np.zeros((2, 3, 8, 8), np.float32)):
        found = nn.summary(model, x)
        rows = {row.path: row for row in found.rows}
        assert rows["layers.0"].parameters == 3 * 8 * 9 + 8
        products = 2 * (2 * 8 * 64) * 27
        assert rows["layers.0"].flops == products + 2 * 8 * 64
        assert rows["layers.4"].flops == 2 * 2 * 512 * 10 + 20
        assert rows["layers.4"].output == "f32[2,10]" and rows["layers.2"].type == "relu"
        assert rows["layers.4"].bytes == 4 * (5130 + 20)
        assert found.parameters == nn.count_parameters(model)
        assert found.trainable == nn.count_parameters(model, trainable=True)
        assert rows[""].flops == found.flops
    text = str(found)
    assert "5,130 of them frozen" in text and "BatchNorm2d" in text
    assert found._repr_html_().count("<tr>") == 1 + len(found.rows)


def test_lookups_are_no_arithmetic():
    found = nn.summary(nn.Embedding(1000, 8, key=0), np.zeros((2, 3), int))
    assert found.flops < 100
    attention = nn.summary(nn.MultiheadAttention(2, 8, key=0), (3, 5, 8), (3, 5, 8), (3, 5, 8))
    products = 4 * 2 * 15 * 8 * 8 + 2 * 2 * 3 * 5 * 5 * 8
    assert products < attention.flops < 1.5 * products


def test_summary_of_shared_layers_loops_and_methods():
    model = Residual()
    found = nn.summary(model, (6, 4))
    rows = [row for row in found.rows if row.path == "first"]
    assert [row.parameters for row in rows] == [20, 0]
    assert found.unused == ["extra.unused"] and "not called: extra.unused" in str(found)
    lstm = nn.summary(nn.LSTM(4, 8, key=0), (50, 2, 4))
    assert lstm.flops > 50 * 2 * 2 * 32 * 8
    one = nn.summary(model, (6, 4), method=lambda m, x: m.first(x))
    assert [row.path for row in one.rows] == ["first"] and one.flops == one.rows[0].flops
    trained = nn.summary(model, (6, 4), train=True, key=0)
    assert trained.flops > found.flops


# --- drawings ---


def test_drawing_of_a_network(tmp_path):
    drawing = nn.draw(Residual(), (6, 4))
    names = [" ".join(node.lines) for node in drawing.graph.nodes]
    assert names[0] == "input f32[6,4]" and names[-1] == "result f32[6,4]"
    assert "Linear first f32[6,4]" in names and "relu norm.layers.1 f32[6,4]" in names
    assert "add f32[6,4]" in names
    whole = nn.draw(Residual(), (6, 4), depth=1)
    assert any(node.lines[0] == "Sequential" for node in whole.graph.nodes)
    assert len(whole.graph.nodes) < len(names)
    drawing.save(tmp_path / "net.svg")
    drawing.save(tmp_path / "net.dot")
    root = ET.fromstring((tmp_path / "net.svg").read_text())
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == len(names)
    assert (tmp_path / "net.dot").read_text().startswith("digraph {")
    assert drawing._repr_svg_() == drawing.svg
    with pytest.raises(ValueError, match="ends in .svg or .dot"):
        drawing.save(tmp_path / "net.png")


def test_boxes_do_not_overlap_and_edges_lead_down():
    from funcgrad.nn.drawing.layered import lay_out

    graph = nn.draw(nn.TransformerEncoderLayer(8, 2, 16, key=0), (5, 3, 8)).graph
    layout = lay_out(graph)
    boxes = [place for place in layout.places if place.node is not None]
    for i, a in enumerate(boxes):
        assert a.x - a.width / 2 >= 0 and a.x + a.width / 2 <= layout.width
        for b in boxes[:i]:
            apart_x = abs(a.x - b.x) >= (a.width + b.width) / 2
            assert apart_x or abs(a.y - b.y) >= (a.height + b.height) / 2
    for route in layout.routes.values():
        heights = [layout.places[i].y for i in route]
        assert heights == sorted(heights)


def test_drawing_of_a_function():
    w = np.ones((3, 2))

    def f(x, scale):
        return fg.lax.scan(lambda c, _: (c * scale["a"], c), x @ w, None, 3)[0] < 1

    drawing = nn.draw(f, (5, 3), {"a": 2.0})
    first = [node.lines[0] for node in drawing.graph.nodes]
    assert first[:3] == ["array", "x", "scale.a"]
    assert any(line.startswith("scan (") for line in first) and "less 1" in first
    assert "\\n" in drawing.dot and 'label="x\\nf32[5,3]"' in drawing.dot
    assert ET.fromstring(drawing.svg) is not None
    gradient = nn.draw(fg.grad(lambda x: np.sum(np.tanh(x))), (4,))
    assert gradient.graph.nodes[-1].lines == ["result", "f32[4]"]
    assert len(nn.draw(lambda x: (x, 2 * x), (2,)).graph.nodes) == 4
