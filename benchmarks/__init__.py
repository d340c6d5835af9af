"""How fast and how large the network is beside the same network in other toolkits: ``make bench``.

`bench` measures, ``results.json`` keeps it, `markdown` and `plot` make ``RESULTS.md`` and ``results.png`` of that.
"""
