"""The card of a trained generator: what a user wants to know about it, as JSON and as Markdown."""

from __future__ import annotations

from flexpose_ray.config import Recipe
from flexpose_ray.models.weights import Model


def generator_card(recipe: Recipe, history: list[dict], facts: dict) -> dict:
    """The card of the generator whose row is the last one of ``history``.

    Args:
        recipe: that it is trained by.
        history: rows of the run so far.
        facts: further entries: ``poses``, ``beta_error_px``, ``fd_floor``, ``mmd2_floor``.
    """
    last = history[-1]
    attributions = [source.attribution for source in recipe.sources if source.attribution]
    card = {
        "kind": recipe.pretrain.kind,
        "command": f"flexpose pretrain {recipe.name}",
        "attribution": "; ".join(dict.fromkeys(attributions)) or None,
        "source": recipe.source_name,
        "kimg": last["kimg"],
        "fd": last["fd"],
        "mmd2": last["mmd2"],
        **{name: last[name] for name in ("density", "coverage") if name in last},
        **facts,
        "settings": recipe.pretrain.model_dump(mode="json"),
        "history": [row for row in history if "fd" in row],
    }
    if len(recipe.sources) > 1:
        card["sources"] = [source.model_dump(mode="json") for source in recipe.sources]
    return card


def card_text(model: Model, kimg: float) -> str:
    """The card of a finished run's generator as Markdown.

    Args:
        model: the generator as it was saved.
        kimg: how far the run has trained.
    """
    card = model.card
    beta = []
    if "beta_error_px" in card:
        beta = [("beta's error", f"{card['beta_error_px']:.2f} px of {model.config['alpha']['size']}")]
    rows = [
        ("FD to held-out poses", f"{card['fd']:.4f} (floor {card['fd_floor']:.4f})"),
        ("MMD^2 to held-out poses", _figure(card, "mmd2")),
        ("coverage of held-out poses", _plain(card, "coverage")),
        ("AUC of trees that tell its poses from held-out ones", _plain(card, "auc")),
        ("nearest training pose: distance over that of held-out poses", _plain(card, "nearest_ratio")),
        ("trained", f"{kimg:g} kimg; this is the generator at {card['kimg']:g} kimg, the best by FD"),
        ("source", card["source"]),
        ("poses", f"{card['poses']:,}" if "poses" in card else "unknown"),
        (
            "attribution",
            card["attribution"] or "none given: name the owner of the data before you share it",
        ),
        *beta,
        ("digest", model.digest),
        ("made by", f"`{card['command']}`"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    settings = "\n".join(f"* {name}: {value}" for name, value in card["settings"].items())
    return f"# Generator\n\n| | |\n| --- | --- |\n{table}\n\n## Settings\n\n{settings}\n"


def _figure(card: dict, name: str) -> str:
    """A score with its floor; generators of earlier versions have no MMD^2."""
    if card.get(name) is None:
        return "not measured"
    return f"{card[name]:.4f} (floor {card[f'{name}_floor']:.4f})"


def _plain(card: dict, name: str) -> str:
    return f"{card[name]:.3f}" if name in card else "not measured"
