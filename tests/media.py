"""Files that FFmpeg's libraries write: of phones, of browsers, films."""

from fractions import Fraction

import numpy as np

RATE = 16000


def write_media(path, samples, codec="aac", kind=None, pictures=0, late=0.0, options=None, rate=RATE):
    """Write samples [channels, time] with a codec; a film has so many pictures, ten a second."""
    import av

    layout = "stereo" if len(samples) == 2 else "mono"
    with av.open(str(path), "w", format=kind, options=options or {}) as container:
        sound = container.add_stream(codec, rate=rate, layout=layout)
        sound.bit_rate = 96000
        film = container.add_stream("mpeg4", rate=10) if pictures else None
        if film:
            film.width, film.height, film.pix_fmt = 64, 64, "yuv420p"
        for begin in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, begin : begin + 1024], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = begin + round(late * rate)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        for number in range(pictures):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8), format="rgb24")
            picture.pts = number
            container.mux(film.encode(picture))
        if film:
            container.mux(film.encode(None))
