"""How fast and how large the network is beside the same network in other toolkits: ``make bench``.

`bench` lets the contestants of `players`, each in a process of its own (`remote`), take turns; ``results.json``
keeps what that gives; `markdown` and `plot` make ``RESULTS.md`` and ``results.png`` of it. `streaming`, `latency`,
`shift` and `windows` measure one thing each and put a section into the same `page`.
"""
