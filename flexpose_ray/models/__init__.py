"""Weights on storage: pretrained generators, adapted models, and the samplers made of them."""
