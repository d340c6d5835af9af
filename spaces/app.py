"""A Space on the Hugging Face hub: the page of `tasnet app`, for everyone."""

import os

from speechbrain_tasnet.app import AppOptions, serve

# A Space is shared: short recordings, one at a time. They are removed when their page is closed.
options = AppOptions(
    host=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
    port=7860,
    max_minutes=10,
    max_megabytes=100,
)

if __name__ == "__main__":
    serve(options)
