"""The report is one file that loads nothing, escapes everything, and leaves out what it has no data for."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from flexpose_ray.errors import StorageError
from flexpose_ray.evaluation.compare import evaluate
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.report.data import ReportData
from flexpose_ray.report.html import duration
from flexpose_ray.report.plots import curve_svg, skeletons_svg, tsne_svgs
from flexpose_ray.report.run import write_run_report
from flexpose_ray.report.run_page import render_report
from flexpose_ray.storage.local import LocalStore

EVIL = '</pre><script src="http://evil.example/x.js">alert(1)</script>'


def poses(count, seed, mean=0.5, joints=15):
    return np.random.default_rng(seed).normal(mean, 0.1, (count, joints, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def run():
    target, source, shots = PoseSet(poses(300, 0, 0.6)), PoseSet(poses(300, 1)), PoseSet(poses(12, 2, 0.6))
    return ReportData(
        title=EVIL,
        count=1_234_567,
        data_uri=f"s3://bucket/{EVIL}",
        source_NJ2=source.keypoints_NJ2[:40],
        adapted_NJ2=poses(40, 3, 0.6),
        target_NJ2=target.keypoints_NJ2[:40],
        shots_NJ2=shots.keypoints_NJ2,
        evaluation=evaluate(poses(300, 4, 0.6), target, source, shots, count=100, extra={EVIL: poses(300, 5)}),
        losses=[{"stage": EVIL, "kimg": k, "g_loss": 1 / (k + 1), EVIL: float(k), "gone": np.nan} for k in range(20)]
        + [{"stage": EVIL, "kimg": 20, "fd": 0.5}, {"stage": EVIL, "kimg": 40, "fd": 0.2}],
        config_text=f"name: {EVIL}",
        timings={EVIL: 3723.0, "adapt": 4.2},
        versions={"torch": EVIL},
    )


@pytest.fixture(scope="module")
def page(run):
    return render_report(run)


@pytest.mark.parametrize(
    ("layers", "blended", "told"),
    [
        (None, False, "what poses look like."),
        ("none", True, "; its poses are blended with the few poses that were annotated."),
        ((3,), False, "; a linear map on style layer 3 was trained on the few poses that were annotated."),
        ((3, 5), True, "; maps on style layers 3, 5 were trained on the few poses that were annotated, and its poses"),
        ("w", False, "; one linear map before its style layers was trained on the few poses that were annotated."),
    ],
)
def test_the_page_says_what_was_adapted_and_no_more(layers, blended, told):
    page = render_report(ReportData(title="run", layers=layers, blended=blended))
    assert told in page
    assert ("style layer" in page) == (layers not in (None, "none"))


class Tags(HTMLParser):
    """Every element with its attributes; counts elements left open."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_loads_nothing(page):
    tags = Tags(page)
    assert tags.open == []
    names = {tag for tag, _ in tags.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "image", "base", "form", "foreignobject"}
    for _, attributes in tags.seen:
        assert not {"src", "srcset", "data", "action", "onload", "onerror"} & set(attributes)
        for key in ("href", "xlink:href"):
            assert attributes.get(key, "#").startswith("#")
    assert re.search(r"@import|url\((?!#)", page) is None
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in page


def test_everything_foreign_is_escaped(page):
    assert "<script" not in page
    assert page.count("&lt;script src=") >= 8  # title twice, place, method, stage, curve, recipe, timing, version


def test_ids_are_unique_and_every_reference_resolves(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    references = set(re.findall(r'(?:href="|url\()#([^")]+)', page))
    assert len(ids) == len(set(ids))
    assert len(references) > 40
    assert references <= set(ids)


def test_numbers_table_and_verdict_are_there(page, run):
    rows = re.findall(r"<tr class=\"(\w*)\"><td>(.*?)</td>", page)
    assert [kind for kind, _ in rows] == ["floor", *[""] * 6, "yours"]
    assert rows[-1][1].startswith("your data set")
    for row in (run.evaluation, run.evaluation["floor"], run.evaluation["baselines"]["coral"]):
        assert f"<span>{row['fd']:.4f}</span>" in page
    assert "1,234,567" in page
    assert "Better than every simple method" in page
    assert run.evaluation["verdict"] in page
    assert "<b>62 min</b>" in page
    assert page.count('<div class="triples">') == 1
    assert page.count("nearest shot</span>") == 12


def test_curves_skip_what_is_no_number_and_put_fd_first(page):
    names = re.findall(r"<figcaption><b>(.*?)</b>", page)
    assert names[0] == "fd"
    assert "g_loss" in names
    assert "gone" not in names
    assert "kimg" not in names


@pytest.mark.parametrize("behind", [True, False])
def test_the_verdict_is_honest(behind):
    target, source = PoseSet(poses(300, 0, 0.6)), PoseSet(poses(300, 1))
    result = evaluate(source.keypoints_NJ2, target, source, PoseSet(poses(12, 2, 0.6)) if behind else None, count=200)
    page = render_report(ReportData("a run", evaluation=result))
    words = "Not better than the simple methods" if behind else "No better and no worse"
    assert words in page
    assert "Better than every" not in page


def test_a_run_with_nothing_but_a_title_is_still_a_page():
    page = render_report(ReportData("only a title"))
    assert "<h1>only a title</h1>" in page
    assert "<h2>" not in page
    assert "<table" not in page


def test_sets_too_small_for_a_map_leave_it_out():
    few = ReportData("few", source_NJ2=poses(3, 0), adapted_NJ2=poses(5, 1), target_NJ2=poses(5, 2))
    page = render_report(few)
    assert "Where the poses lie" not in page
    assert page.count("<span>adapted</span>") == 3
    assert "nearest shot" not in page


def test_figures_are_the_same_every_time_and_take_the_pages_colours():
    svg = skeletons_svg("a", poses(2, 0), BODY_15)
    assert svg == skeletons_svg("a", poses(2, 0), BODY_15)
    assert svg.count("stroke: #") == 2 * len(BODY_15.limbs)
    assert "#ff0000" in svg  # the first limb's own colour
    assert "var(--canvas)" in svg
    assert skeletons_svg("f", poses(1, 0, joints=68), FACE_68).count("stroke: #") == len(FACE_68.limbs)
    curve = curve_svg("b", np.arange(5000), np.arange(5000.0), "kimg")
    assert "var(--adapted)" in curve
    assert len(curve) < 20_000
    for both in tsne_svgs(poses(20, 0), poses(20, 1), poses(20, 2)):
        assert "var(--target)" in both
        assert "#0102" not in both


def test_a_page_is_written_whole_and_a_bad_place_is_named(tmp_path):
    store = LocalStore(tmp_path / "new")
    for name in ("first", "second"):
        store.put("recipe.json", json.dumps({"name": name}).encode())
        assert write_run_report(store) == f"{store.uri}/report.html"
    page = tmp_path / "new" / "report.html"
    assert "second" in page.read_text(encoding="utf-8")
    assert sorted(p.name for p in page.parent.iterdir()) == ["recipe.json", "report.html"]
    with pytest.raises(StorageError, match="a file is in the way"):
        LocalStore(page).put("below_a_file.html", b"third")


def test_times_as_a_person_says_them():
    assert [duration(s) for s in (4.2, 26, 150, 6960)] == ["4.2 s", "26 s", "2 min", "1 h 56 min"]
