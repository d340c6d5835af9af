"""A local web page that separates recordings: ``tasnet app``, and a Space of the Hugging Face hub."""

from speechbrain_tasnet.app.options import AppOptions
from speechbrain_tasnet.app.server import serve

__all__ = ["AppOptions", "serve"]
