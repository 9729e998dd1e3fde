"""What the voices behind a vendor's API share; no vendor is known here.

`vendor`: keys, options, when to ask again. `words`: the text as it comes, and again from its start. `sound`: bytes become samples.
`sockets`: WebSockets, kept and opened ahead. `posting`: requests whose answer is sound. `failing`: what goes wrong on the way.
"""
