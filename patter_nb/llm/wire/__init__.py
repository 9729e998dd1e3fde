"""Language models over HTTP: everything that the vendors have in common.

    vendor     the base of each: key, options, and how an answer comes         exchange    one request and the events of its answer
    decoding   the base of each decoder: events to chunks, and the last two    sse         events out of bytes
    clients    a vendor's own client in place of the exchange                  surrogates  text that was cut inside a character
    history    a conversation in the order that vendors insist on

Connections, errors and when to ask again are `patter_nb.wire`'s, which other stages share.
"""
