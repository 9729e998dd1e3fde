"""Language models over HTTP: everything that the vendors have in common.

    vendor     the base of each: key, options, and how an answer comes         exchange    one request and the events of its answer
    decoding   the base of each decoder: events to chunks, and the last two    sse         events out of bytes
    clients    a vendor's own client in place of the exchange                  pool        connections, warm and shared
    refusals   what an error of a vendor means                                 retrying    when to ask again
    history    a conversation in the order that vendors insist on              surrogates  text that was cut inside a character
"""
