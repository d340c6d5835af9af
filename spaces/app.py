"""A Space of the Hugging Face hub: the page of `tasnet app`, for everybody."""

import os

from speechbrain_tasnet.app import AppOptions, serve

# A free Space has two processors: a minute takes about two seconds. Recordings are forgotten when a page is left.
options = AppOptions(
    host=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
    port=7860,
    max_minutes=10,
    max_megabytes=100,
)

if __name__ == "__main__":
    serve(options)
