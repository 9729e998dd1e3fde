"""Connections to vendors, whatever they carry: words of a model, sound, or an event at a time.

    pool       connections, warm and shared      refusals   what an error of a vendor means
    retrying   when to ask again                 tls        whom to trust
    websocket  one that stays open               openai_usage   what one vendor counts, for whoever listens by it
    unreachable   why a vendor could not be reached, without a key
"""
