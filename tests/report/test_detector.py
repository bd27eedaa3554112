"""The detector's section: figures, the sheet, and nothing where there is no detector."""

from flexpose_ray.report.data import ReportData
from flexpose_ray.report.detector import detector

FOUND = {"pictures": 3000, "poses": 21000, "steps": 1200, "confidence": 0.91, "side": 64}


def test_scores_and_pictures_are_shown():
    rows = [
        {"what": "detector", "count": 1200, "error": 0.08, "best_error": 0.05, "flipped": 0.5},
        {"what": "mean <pose>", "count": 1200, "error": 0.1, "best_error": 0.1, "flipped": 0.4},
    ]
    page = detector(ReportData("run", detector=FOUND | {"scores": rows}, detector_sheet=b"\x89PNG"))
    assert "<td>8.00</td><td>5.00</td>" in page and "mean &lt;pose&gt;" in page and "<td>1,200</td>" in page
    assert 'src="data:image/png;base64,iVBORw=="' in page and "mean confidence 0.91" in page
    assert "<th>NME</th>" not in page and "1,200 steps" in page


def test_a_detector_without_annotated_pictures_has_no_table():
    page = detector(ReportData("run", detector=FOUND | {"scores": []}))
    assert "<table>" not in page and "3,000 pictures" in page
    assert detector(ReportData("run")) == ""
